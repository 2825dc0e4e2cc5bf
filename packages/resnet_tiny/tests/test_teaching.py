"""The image assignment as students and teachers get it: true to the package, graded fairly, in both languages."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from resnet_tiny.assignment.checks import ASSIGNMENT
from resnet_tiny.data import sample
from resnet_tiny.data.layout import read_classes, val_images
from resnet_tiny.model.resnet import build_model
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
    assert sum(ASSIGNMENT.points.values()) + sum(ASSIGNMENT.by_hand.values()) == 20
    require_solution_and_gaps(ASSIGNMENT)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_classic_mistake_costs_its_own_part_and_is_named(mutant) -> None:
    require_mutant(ASSIGNMENT, mutant)


def test_there_are_enough_mistakes_and_every_part_has_some() -> None:
    require_enough_mutants(ASSIGNMENT, MUTANTS)


def test_handout_is_well_formed_and_holds_no_solution(tmp_path: Path) -> None:
    require_handout(ASSIGNMENT, tmp_path, sample.write)


def test_edition_has_the_model_and_the_labels_of_the_package(tmp_path: Path) -> None:
    names = defined_by(ASSIGNMENT, SOLUTION)
    model = build_model("resnet18", 200)
    theirs = names["replace_head"](names["ResNet18"](), 200)
    assert theirs.state_dict().keys() == model.state_dict().keys()
    theirs.load_state_dict(model.state_dict())
    x = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(theirs.eval()(x), model.eval()(x), atol=1e-5, rtol=1e-5)
    sample.write(tmp_path, train=2, val=3)
    lines = (tmp_path / "val" / "val_annotations.txt").read_text().splitlines()
    wnids = (tmp_path / "wnids.txt").read_text().split()
    labels = names["val_labels"](lines, wnids)
    images = val_images(tmp_path, read_classes(tmp_path))
    ours = {Path(file).name: int(n) for file, n in zip(images.files, images.labels, strict=True)}
    assert labels == ours


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
    assert "val_acc" in run_solution_notebook(ASSIGNMENT, tmp_path, sample.write)
