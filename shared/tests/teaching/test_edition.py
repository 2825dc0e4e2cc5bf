"""An edition: its cells, gaps and languages."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.teaching.edition import Edition

TEXT = """# %% [markdown] lang="en"
# # Title
# %% [markdown] lang="zh"
# # 标题
# %%
import math


def given(x):
    return x + 1


def f(x):
    # en: Twice x.
    # zh: x 的两倍。
    ### BEGIN SOLUTION f 2
    secret = given(x) - 1
    return 2 * secret
    ### END SOLUTION
# %% tags="tests"
assert f(2) == 4
# %% tags="solution"
print("only for teachers")
"""


def edition(tmp_path: Path, text: str = TEXT) -> Edition:
    path = tmp_path / "edition.py"
    path.write_text(text, encoding="utf-8")
    return Edition.read(path)


def test_students_get_a_gap_in_place_of_each_solution(tmp_path: Path) -> None:
    source = edition(tmp_path).source(with_solution=False)
    assert 'raise NotImplementedError("TODO f")' in source
    assert "secret" not in source
    assert "BEGIN SOLUTION" not in source
    assert "only for teachers" not in source
    compile(source, "handout.py", "exec")


def test_solution_works_and_carries_no_markers(tmp_path: Path) -> None:
    source = edition(tmp_path).source(with_solution=True)
    assert "SOLUTION" not in source
    names: dict = {}
    exec(source, names)
    assert names["f"](3) == 6


def test_each_language_has_its_own_words_alone(tmp_path: Path) -> None:
    for language, own, other in (("en", "Twice x.", "两倍"), ("zh", "两倍", "Twice x.")):
        cells = edition(tmp_path).in_language(language, with_solution=False)
        text = "\n".join(cell.text for cell in cells)
        assert own in text
        assert other not in text
        assert f"{language}: " not in text


def test_definitions_given_to_students_hold_no_function_with_a_gap(tmp_path: Path) -> None:
    names: dict = {}
    exec(edition(tmp_path).definitions(), names)
    assert names["given"](1) == 2
    assert "f" not in names


def test_points_are_those_at_the_first_block(tmp_path: Path) -> None:
    assert {name: todo.points for name, todo in edition(tmp_path).todos().items()} == {"f": 2}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("    ### END SOLUTION\n", ""),
        ("### BEGIN SOLUTION f 2", "### BEGIN SOLUTION f"),
        ("    ### BEGIN SOLUTION f 2\n", ""),
    ],
    ids=["not closed", "no points", "not opened"],
)
def test_misplaced_marker_is_an_error(tmp_path: Path, old: str, new: str) -> None:
    with pytest.raises(ValueError, match="f|marker"):
        edition(tmp_path, TEXT.replace(old, new))
