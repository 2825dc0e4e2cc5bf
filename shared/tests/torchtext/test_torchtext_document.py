from __future__ import annotations

import re
from pathlib import Path

import pytest

import shared.torchtext.adapter
import shared.torchtext.rules
from shared.text import batching, tokenizers, vectors, vocabulary

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "from-torchtext.md"
TEXT = DOCUMENT.read_text(encoding="utf-8")


def test_worked_example_runs():
    blocks = re.findall(r"^```python\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
    assert len(blocks) >= 2
    names: dict[str, object] = {"__name__": "example"}
    for block in blocks:  # one after another, as a reader would
        exec(compile(block, str(DOCUMENT), "exec"), names)


def functions_here():
    """Return the names before a bracket in the right column of the table."""
    rows = [line.split(" | ") for line in TEXT.splitlines() if line.startswith("| `")]
    return sorted({name for row in rows for name in re.findall(r"(\w+)\(", row[1])})


@pytest.mark.parametrize("name", functions_here())
def test_functions_of_the_table_exist(name):
    places = (shared.torchtext.adapter, shared.torchtext.rules, batching, tokenizers, vectors)
    methods = (shared.torchtext.rules.TextField, vocabulary.Vocabulary)
    assert any(hasattr(place, name) for place in places + methods)
