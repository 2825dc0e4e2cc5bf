"""A check has a new version when something it uses changed, and only then."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from shared.teaching import versions

CHECKS = """
from demo_task.model import reference
from demo_task.assignment.remarks import REMARKS

LIMIT = 3
OTHER = 4

def _helper(x):
    return x + LIMIT

def check_one(student, random, most):
    return _helper(1)

def check_two(student, random, most):
    return reference(2) + OTHER
"""


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Return a function that writes the package anew and gives the sources of its two checks."""
    monkeypatch.syspath_prepend(str(tmp_path))
    for folder in ("demo_task", "demo_task/assignment"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "__init__.py").touch()

    def write(checks: str = CHECKS, model: str = "def reference(x): return x\n") -> list[str]:
        (tmp_path / "demo_task" / "model.py").write_text(model)
        (tmp_path / "demo_task" / "assignment" / "remarks.py").write_text("REMARKS = {}\n")
        (tmp_path / "demo_task" / "assignment" / "checks.py").write_text(checks)
        for name in [name for name in sys.modules if name.startswith("demo_task")]:
            monkeypatch.delitem(sys.modules, name)
        importlib.invalidate_caches()
        versions._definitions.cache_clear()
        module = importlib.import_module("demo_task.assignment.checks")
        return [versions.source_of(f) for f in (module.check_one, module.check_two)]

    return write


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ("return _helper(1)", "return _helper(5)", [True, False]),
        ("return x + LIMIT", "return x - LIMIT", [True, False]),
        ("LIMIT = 3", "LIMIT = 30", [True, False]),
        ("OTHER = 4", "OTHER = 40", [False, True]),
        ("LIMIT = 3", "# a remark\nLIMIT = 3\nUNUSED = 1", [False, False]),
    ],
)
def test_a_change_concerns_the_checks_that_use_it(sources, old: str, new: str, changed) -> None:
    before = sources()
    assert CHECKS.count(old) == 1
    after = sources(CHECKS.replace(old, new))
    assert [a != b for a, b in zip(after, before, strict=True)] == changed


def test_a_change_of_the_packages_own_code_concerns_the_checks_that_import_it(sources) -> None:
    before = sources()
    after = sources(model="def reference(x): return 2 * x\n")
    assert [a != b for a, b in zip(after, before, strict=True)] == [False, True]
