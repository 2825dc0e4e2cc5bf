"""The ESIM assignment as students and teachers get it: true to the package, graded fairly, in both languages."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from esim.assignment.checks import ASSIGNMENT
from esim.data import sample
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
from shared.torch.masking import masked_max, masked_mean, masked_softmax

SOLUTION = ASSIGNMENT.edition.source(with_solution=True)
MUTANTS = load_mutants(ASSIGNMENT)


def test_the_solution_gets_all_points_and_the_handout_none() -> None:
    assert sum(ASSIGNMENT.points.values()) == 20
    require_solution_and_gaps(ASSIGNMENT)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_classic_mistake_costs_its_own_part_and_is_named(mutant) -> None:
    require_mutant(ASSIGNMENT, mutant)


def test_there_are_enough_mistakes_and_every_part_has_some() -> None:
    require_enough_mutants(ASSIGNMENT, MUTANTS)


def test_handout_is_well_formed_and_holds_no_solution(tmp_path: Path) -> None:
    require_handout(ASSIGNMENT, tmp_path, sample.write)


def test_edition_computes_what_the_package_computes() -> None:
    """The model of the package, without its own additions, has the same attention and pooling."""
    names = defined_by(ASSIGNMENT, SOLUTION)
    torch.manual_seed(1)
    p, h = torch.randn(3, 4, 5), torch.randn(3, 6, 5)
    lengths = torch.tensor([4, 2, 1]), torch.tensor([3, 6, 2])
    masks = [
        (torch.arange(x.shape[1]) < n[:, None]).float()
        for x, n in zip((p, h), lengths, strict=True)
    ]
    m_p, m_h = names["LocalInference"]()(p, h, *masks)
    for own, other, m, mask, n in (
        (p, h, m_p, masks[1], lengths[1]),
        (h, p, m_h, masks[0], lengths[0]),
    ):
        weights = masked_softmax(own @ other.transpose(1, 2), mask.bool()[:, None, :])
        aligned = weights @ other
        expected = torch.cat([own, aligned, own - aligned, own * aligned], 2)
        torch.testing.assert_close(m, expected, atol=1e-6, rtol=1e-5)
        pooled = names["Pooling"]()(other, mask)
        expected = torch.cat([masked_mean(other, n), masked_max(other, n)], 1)
        torch.testing.assert_close(pooled, expected, atol=1e-6, rtol=1e-5)


@pytest.mark.reliability
def test_sandboxed_grades_are_those_of_this_process() -> None:
    try:
        require_sandbox_agrees(
            ASSIGNMENT, next(mutant for mutant in MUTANTS if len(mutant.lost) > 1)
        )
    except UserError as error:
        pytest.skip(str(error))


@pytest.mark.reliability
def test_student_notebook_with_the_solution_runs_from_top_to_bottom(tmp_path: Path) -> None:
    pytest.importorskip("nbclient")
    assert "test accuracy" in run_solution_notebook(ASSIGNMENT, tmp_path, sample.write)
