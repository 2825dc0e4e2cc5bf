"""The language model assignment as students and teachers get it: true to the package, graded fairly, bilingual."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from shared.errors import UserError
from shared.teaching.selftest import load_mutants
from shared.teaching.testing import (
    defined_by,
    require_enough_mutants,
    require_handout,
    require_mutant,
    require_sandbox_agrees,
    require_solution_and_gaps,
    run_solution_notebook,
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
    require_enough_mutants(ASSIGNMENT, MUTANTS)


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
        require_sandbox_agrees(ASSIGNMENT, next(mutant for mutant in MUTANTS if mutant.lost))
    except UserError as error:
        pytest.skip(str(error))


@pytest.mark.reliability
def test_student_notebook_with_the_solution_runs_from_top_to_bottom(tmp_path: Path) -> None:
    pytest.importorskip("nbclient")
    assert "valid perplexity" in run_solution_notebook(ASSIGNMENT, tmp_path, sample.write)
