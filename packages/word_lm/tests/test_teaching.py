"""The language model assignment as students and teachers get it: true to the package, graded fairly, bilingual."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from shared.errors import UserError
from shared.teaching.grade import grade_one
from shared.teaching.probe import choose
from shared.teaching.sandbox import Limits
from shared.teaching.selftest import load_mutants
from shared.teaching.submissions import Submission
from shared.teaching.testing import (
    defined_by,
    require_handout,
    require_mutant,
    require_solution_and_gaps,
)
from shared.text.batching import batchify
from word_lm.assignment.checks import ASSIGNMENT
from word_lm.data import sample
from word_lm.model.transformer import sinusoids

SOLUTION = ASSIGNMENT.edition.source(with_solution=True)
MUTANTS = load_mutants(ASSIGNMENT)


def test_the_solution_gets_all_points_and_the_handout_none() -> None:
    assert sum(ASSIGNMENT.points.values()) + sum(ASSIGNMENT.by_hand.values()) == 20
    require_solution_and_gaps(ASSIGNMENT)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_classic_mistake_costs_its_own_part_and_is_named(mutant) -> None:
    require_mutant(ASSIGNMENT, mutant)


def test_there_are_enough_mistakes_and_every_part_has_some() -> None:
    assert sum(bool(mutant.lost) for mutant in MUTANTS) >= 40
    assert {name for mutant in MUTANTS for name in mutant.lost} == set(ASSIGNMENT.points)


def test_handout_is_well_formed_and_holds_no_solution(tmp_path: Path) -> None:
    require_handout(ASSIGNMENT, tmp_path, sample.write)


def test_edition_computes_what_the_package_computes() -> None:
    names = defined_by(ASSIGNMENT, SOLUTION)
    ids = np.arange(11)
    columns, dropped = batchify(ids, 2)
    assert dropped == 1
    np.testing.assert_array_equal(names["batchify"](torch.from_numpy(ids), 2).numpy(), columns)
    table = sinusoids(0, 6, 8)
    torch.testing.assert_close(names["positions"](6, 8), table, atol=1e-6, rtol=1e-5)


@pytest.mark.reliability
def test_sandboxed_grades_are_those_of_this_process() -> None:
    try:
        sandbox = choose(ASSIGNMENT.distributions, Limits(seconds=60, memory=8 << 30))
    except UserError as error:
        pytest.skip(str(error))
    code = MUTANTS[-11].code(SOLUTION)
    result = grade_one(ASSIGNMENT, Submission("1", Path("1.py"), code), sandbox)
    sandbox.close()
    assert result.total == sum(ASSIGNMENT.points.values()) - sum(MUTANTS[-11].lost.values())


@pytest.mark.reliability
def test_student_notebook_with_the_solution_runs_from_top_to_bottom(tmp_path: Path) -> None:
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    require_handout(ASSIGNMENT, tmp_path, sample.write)
    book = nbformat.read(tmp_path / "a" / "teacher" / "solution.en.ipynb", 4)
    nbformat.validate(book)
    resources = {"metadata": {"path": str(tmp_path / "a" / "student")}}
    nbclient.NotebookClient(book, timeout=120, resources=resources).execute()
    text = "".join(o.get("text", "") for c in book.cells for o in c.get("outputs", ()))
    assert "valid perplexity" in text
