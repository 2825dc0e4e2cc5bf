from __future__ import annotations

import re
from pathlib import Path

import pytest

from shared.pages.heat_map import DARKEST, STYLE, heat_map
from shared.pages.report import Report


def test_shades_are_absolute_and_everything_given_is_escaped(tmp_path: Path) -> None:
    page = Report("a map")
    page.html(STYLE)
    shades = [[0.0, 0.5], [1.0, 2.0]]
    page.html(
        heat_map(
            "<i>", ["<b>", "r"], ["\udce9", "&"], shades, [["0", "<u>"], ["1", "2"]], marked=["r"]
        )
    )
    text = page.save(tmp_path / "page.html").read_text("utf-8")
    opacities = [float(value) for value in re.findall(r"opacity:([\d.]+)", text)]
    assert opacities == [0, DARKEST / 2, DARKEST, DARKEST]
    assert "<b>r" not in text and "&lt;b&gt;" in text and "&lt;u&gt;" in text and "&amp;" in text
    assert text.count('class="marked"') == 1


def test_rows_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match="argument 2 is longer"):
        heat_map("m", ["r"], ["c"], [[0.1]], [["a", "b"]])


def test_cells_of_a_few_columns_are_large() -> None:
    for columns, is_upright, is_large in ((3, False, True), (12, False, False), (3, True, False)):
        names, row = ["c"] * columns, [0.1] * columns
        text = heat_map("m", ["r"], names, [row], [["a"] * columns], is_upright=is_upright)
        assert ("data-few" in text) == is_large
