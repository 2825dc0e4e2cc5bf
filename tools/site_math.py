"""Formulas of the site as MathML, which browsers show without a script: a hook of MkDocs, see mkdocs.yml."""

from __future__ import annotations

import html
import re

from latex2mathml.converter import convert

FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)


def on_page_content(content: str, /, **_: object) -> str:
    """Replace the formulas of a page; `pymdownx.arithmatex` has marked them."""

    def formula(match: re.Match[str]) -> str:
        text = html.unescape(match[2].strip()).replace("'", r"^{\prime}")
        if match[1] == "span":
            return convert(text)
        return f'<div class="formula">{convert(text, display="block")}</div>'

    return FORMULA.sub(formula, content)
