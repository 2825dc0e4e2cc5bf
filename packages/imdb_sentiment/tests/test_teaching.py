"""The sentiment assignment as students and teachers get it: true to the package, graded fairly, in both languages."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from imdb_sentiment import HandwrittenLSTM
from imdb_sentiment.assignment.checks import ASSIGNMENT
from imdb_sentiment.data import sample
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

SOLUTION = ASSIGNMENT.edition.source(with_solution=True)
MUTANTS = load_mutants(ASSIGNMENT)


def test_the_solution_gets_all_points_and_the_handout_none() -> None:
    assert sum(ASSIGNMENT.points.values()) + sum(ASSIGNMENT.by_hand.values()) == 25
    require_solution_and_gaps(ASSIGNMENT)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_classic_mistake_costs_its_own_part_and_is_named(mutant) -> None:
    require_mutant(ASSIGNMENT, mutant)


def test_there_are_enough_mistakes_and_every_part_has_some() -> None:
    require_enough_mutants(ASSIGNMENT, MUTANTS)


def test_handout_is_well_formed_and_holds_no_solution(tmp_path: Path) -> None:
    require_handout(ASSIGNMENT, tmp_path, sample.write)


def test_edition_computes_what_torch_and_the_package_compute() -> None:
    names = defined_by(ASSIGNMENT, SOLUTION)
    torch.manual_seed(1)
    D, H, lengths = 3, 4, torch.tensor([5, 2, 4])
    theirs = torch.nn.LSTM(D, H, num_layers=2, bidirectional=True, batch_first=True)
    x = torch.randn(3, 5, D)
    packed = torch.nn.utils.rnn.pack_padded_sequence(
        x, lengths, batch_first=True, enforce_sorted=False
    )
    final = theirs(packed)[1][0][-2:].transpose(0, 1).reshape(3, 2 * H)
    parts = dict(theirs.named_parameters())

    def weights(end: str) -> tuple[torch.Tensor, ...]:
        W, U = parts[f"weight_ih_{end}"], parts[f"weight_hh_{end}"]
        return W, U, parts[f"bias_ih_{end}"] + parts[f"bias_hh_{end}"]

    layers = [[weights(f"l{n}"), weights(f"l{n}_reverse")] for n in range(2)]
    torch.testing.assert_close(names["lstm"](x, lengths, layers), final, atol=1e-6, rtol=1e-5)
    assert HandwrittenLSTM.__module__.endswith(
        "model.lstm"
    )  # whose own tests hold it to nn.LSTM as well
    assert names["length_limit"]([100, 346]) == int(np.mean([100, 346]) + 2 * np.std([100, 346]))


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
    assert "epoch 3: loss" in run_solution_notebook(ASSIGNMENT, tmp_path, sample.write)
