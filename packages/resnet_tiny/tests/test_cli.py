from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from resnet_tiny.cli import VERBS
from resnet_tiny.config import TrainConfig
from resnet_tiny.model.loss import stage_of
from shared.command.config import load, load_recipe
from shared.testing import (
    assert_finds_learning_rate,
    assert_help_is_light,
    assert_recipe_states,
    assert_verb_explains,
)

Caller = Callable[..., tuple[int, str, str]]


def test_help_starts_at_once_and_imports_nothing_heavy() -> None:
    assert_help_is_light(
        "resnet_tiny", heavy=("torch", "torchvision", "PIL", "numpy", "matplotlib", "jsonargparse")
    )


@pytest.mark.parametrize("verb", [verb.name for verb in VERBS])
def test_every_verb_explains_its_options(verb: str, resnet_tiny: Caller) -> None:
    assert_verb_explains(resnet_tiny, "resnet-tiny", verb)


@pytest.mark.parametrize("name", ["baseline", "laptop", "modern"])
def test_recipe_reads_strictly_and_says_what_to_expect(
    name: str, resnet_tiny: Caller, tmp_path: Path
) -> None:
    assert_recipe_states(resnet_tiny, "resnet_tiny", TrainConfig, name, tmp_path)


def test_baseline_is_the_courseworks() -> None:
    config = load_recipe(TrainConfig, "resnet_tiny", "baseline")
    expected = {
        "arch": "resnet18", "stem": "7x7", "optimizer": "sgd", "learning_rate": 0.1, "momentum": 0.9,
        "weight_decay": 1e-4, "schedule": "decay", "decay_factor": 0.1, "decay_epochs": 30, "batch_size": 256,
        "epochs": 90, "crop": "none", "flip": "none", "label_smoothing": 0.0, "precision": "float32",
        "checkpoint_epochs": (5, 10), "selection": "val", "sizes": (), "ema_decay": None, "decay_norms": True,
    }  # fmt: skip
    assert {name: getattr(config, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("words", "sizes"),
    [
        ((), [32, 48, 64]),
        (("--image-size", 96), [96]),
        (("--image-size", 96, "--sizes", "[48,96]", "--size-fractions", "[0.5,0.5]"), [48, 96]),
    ],
)
def test_images_of_another_size_are_trained_on_at_the_size_that_is_evaluated(
    words: tuple, sizes: list[int], resnet_tiny: Caller, tmp_path: Path
) -> None:
    """A recipe's own sizes would end with another one."""
    _, printed, _ = resnet_tiny("train", "--recipe", "laptop", *words, "--print-config")
    (tmp_path / "config.yaml").write_text(printed)
    config = load(TrainConfig, tmp_path / "config.yaml")
    stages = [stage_of(config)(progress / 100)[0] for progress in range(100)]
    assert list(dict.fromkeys(stages)) == sizes
    assert stages[-1] == config.image_size


BAD_TRAINING = {
    "batch 1": (["--batch-size", "1"], "--batch-size is 1, expected >= 2"),
    "batch too large": (["--batch-size", "999"], "do not fill one batch of 999"),
    "hold-out too large": (["--holdout-per-class", "8"], "--holdout-per-class is 8"),
    "no hold-out": (["--holdout-per-class", "0"], "expected >= 1 unless --selection is val or last"),
    "unknown model": (["--arch", "resnet19"], "--arch is resnet19, which torchvision does not have"),
    "stem of no ResNet": (["--arch", "vgg11", "--stem", "3x3"], "--stem is 3x3, expected 7x7"),
    "shares without sizes": (["--size-fractions", "[0.5,0.5]"], "--size-fractions has no effect without --sizes"),
    "shares of fewer sizes": (["--sizes", "[64]", "--size-fractions", "[0.5,0.5]"], "--size-fractions is [0.5, 0.5]"),
    "shares that are not 1": (["--sizes", "[32,64]", "--size-fractions", "[0.5,0.6]"], "together 1"),
    "smoothing 1": (["--label-smoothing", "1"], "--label-smoothing is 1.0, expected 0 to below 1"),
    "negative cutmix": (["--cutmix", "-1"], "--cutmix is -1.0, expected >= 0"),
    "two at once": (["--mix-probability", "2", "--momentum", "1"], "--mix-probability is 2.0, expected 0 to 1"),
    "nothing to mix": (["--mix-probability", "0.5"], "--mix-probability has no effect without --mixup or --cutmix"),
    "nothing to stop": (["--mix-until", "0.5", "--mixup", "0"], "--mix-until has no effect without --mixup or"),
    "no number": (["--learning-rate", "fast"], "--learning-rate is fast, expected a number"),
    "muon 0": (["--muon-learning-rate", "0"], "--muon-learning-rate is 0.0, expected > 0"),
    "size too small for the model": (
        ["--arch", "squeezenet1_1", "--sizes", "[16,64]"], "--arch squeezenet1_1 does not take images of 16x16 pixels",
    ),
    "patience without evaluations": (
        ["--selection", "last", "--patience", "1"], "--patience has no effect with --selection last",
    ),
    "averaging without evaluations": (
        ["--selection", "last", "--asgd-window", "1"], "--asgd-window has no effect with --selection last",
    ),
    "evaluations without images": (
        ["--selection", "last", "--evaluate-every", "1"], "--evaluate-every has no effect with --selection last",
    ),
    "plateau without evaluations": (
        ["--selection", "last", "--schedule", "plateau"], "--schedule is plateau, expected another one with",
    ),
    "fp16": (["--precision", "fp16"], "--precision is fp16"),
    "unknown flag": (["--batchsize", "3"], "--batchsize is not known to `resnet-tiny train`"),
    "unknown recipe": (["--recipe", "laptp"], "--recipe laptp does not exist (did you mean laptop"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_TRAINING)
def test_bad_training_is_refused_in_one_line(
    case: str, resnet_tiny: Caller, sample_folder: Path, tmp_path: Path
) -> None:
    words, expected = BAD_TRAINING[case]
    first = [
        "train",
        "--device",
        "cpu",
        "--data",
        sample_folder,
        "--out",
        "run",
        "--batch-size",
        16,
    ]
    code, _, error = resnet_tiny(*first, "--holdout-per-class", 2, *words)
    assert code == 2
    assert expected in error
    assert error.count("\n") == 1 and "Traceback" not in error
    assert not (tmp_path / "run").exists()  # the mended command can be given the same --out


def test_bad_files_are_refused_in_one_line(
    resnet_tiny: Caller, tmp_path: Path, small_run: Path, sample_folder: Path
) -> None:
    (tmp_path / "text.png").write_text("not an image")
    (tmp_path / "data.zip").write_text("not unpacked")
    wrapped = tmp_path / "outer"
    shutil.copytree(sample_folder, wrapped / "tiny-imagenet-200")
    stranger = tmp_path / "stranger"
    shutil.copytree(sample_folder, stranger)
    path = stranger / "val" / "val_annotations.txt"
    path.write_text(path.read_text().replace("n90000001", "n00000001"))
    cases = [
        (("train", "--data", "none"), "--data none: not found"),
        (("train", "--data", "data.zip"), "is a file, expected the folder"),
        (("train", "--data", wrapped), f"did you mean {wrapped / 'tiny-imagenet-200'}"),
        (("evaluate", small_run, "--data", wrapped), "val/ is missing"),
        (
            ("evaluate", small_run, "--data", stranger),
            "class 'n00000001' is not among the 10 classes",
        ),
        (("evaluate", "none"), "none: is not a run"),
        (
            ("evaluate", small_run, "--checkpoint", "epoch-0007"),
            "Expected one of: best, last, epoch-0001, epoch-0002, step-00000006.",
        ),
        (("predict", small_run, "text.png"), "text.png: is not an image"),
        (("predict", small_run, "none.png"), "none.png: not found"),
        (("export", small_run, "--out", tmp_path), "is not empty"),
        (("evaluate", small_run, "--list", "--json"), "--list has no effect with --json true"),
        (
            ("bench", "--rounds", 0, "--peer-workers", 2),
            "--peer-workers has no effect without --rounds",
        ),
        (
            ("summary", "--arch", "alexnet", "--stem", "3x3"),
            "--stem is 3x3, expected 7x7, or 3x3 where",
        ),
        (("evaluate", small_run, "--device", "mps"), "--device is mps, but torch"),
        (("predict", small_run, "text.png", "--device", "mps"), "--device is mps, but torch"),
        (("report", "none"), "none: is not a run"),
        (("bench", "--recipe", "none"), "--recipe none does not exist"),
    ]
    for words, expected in cases:
        code, _, error = resnet_tiny(*words)
        assert code == 2, words
        assert expected in error, (words, error)
        assert error.count("\n") == 1, (words, error)


def test_damaged_checkpoint_is_named(
    resnet_tiny: Caller, small_run: Path, tmp_path: Path, sample_folder: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(small_run, run)
    for path in (run / "checkpoints").glob("*/model.safetensors"):
        path.write_bytes(path.read_bytes()[:100])
    code, _, error = resnet_tiny("evaluate", run, "--data", sample_folder)
    assert code == 2 and "every checkpoint in it is damaged" in error


def test_damaged_manifest_of_a_named_checkpoint_is_named(
    resnet_tiny: Caller, small_run: Path, tmp_path: Path, sample_folder: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(small_run, run)
    for content in ("{", "[]", "{}"):
        (run / "checkpoints" / "epoch-0001" / "manifest.json").write_text(content)
        words = ("evaluate", run, "--data", sample_folder, "--checkpoint", "epoch-0001")
        code, _, error = resnet_tiny(*words)
        assert code == 2
        assert (
            "epoch-0001: is damaged (manifest.json cannot be read). Name another checkpoint"
            in error
        )


def test_folder_that_holds_something_is_not_overwritten(
    resnet_tiny: Caller, small_run: Path, sample_folder: Path
) -> None:
    before = (small_run / "summary.json").read_bytes()
    code, _, error = resnet_tiny("train", "--data", sample_folder, "--holdout-per-class", 2, "--batch-size", 16,
                                 "--out", small_run)  # fmt: skip
    assert code == 2 and "is not empty" in error
    assert (small_run / "summary.json").read_bytes() == before


def test_ended_run_is_not_trained_again(resnet_tiny: Caller, small_run: Path) -> None:
    code, printed, _ = resnet_tiny("train", "--out", small_run, "--resume")
    assert code == 0 and "ended already" in printed


def test_prediction_names_classes_of_images_of_any_kind_and_size(
    resnet_tiny: Caller, small_run: Path, tmp_path: Path
) -> None:
    Image.new("RGBA", (300, 200), (200, 50, 45, 255)).save(tmp_path / "wide.png")
    Image.new("L", (20, 33), 90).save(tmp_path / "tiny.jpg")
    code, printed, _ = resnet_tiny(
        "predict", small_run, "wide.png", "tiny.jpg", "--json", "--top", 10
    )
    assert code == 0
    rows = [json.loads(line) for line in printed.splitlines()]
    assert [Path(row["file"]).name for row in rows] == ["wide.png", "tiny.jpg"]
    for row in rows:
        probabilities = [one["probability"] for one in row["classes"]]
        assert sum(probabilities) == pytest.approx(1, abs=1e-4)
        assert probabilities == sorted(probabilities, reverse=True)
        assert "red disc" in {one["name"] for one in row["classes"]}
    assert "red disc" in resnet_tiny("predict", small_run, "wide.png", "--top", 10)[1]


def test_file_that_cannot_be_read_costs_its_own_answer_alone(
    resnet_tiny: Caller, small_run: Path, tmp_path: Path
) -> None:
    Image.new("RGB", (30, 20), (200, 50, 45)).save(tmp_path / "good.png")
    Image.new("F", (30, 20), 0.5).save(tmp_path / "float.tiff")
    (tmp_path / "empty").mkdir()
    names = ("none.png", "float.tiff", "good.png", "empty")
    code, printed, error = resnet_tiny("predict", small_run, *names, "--json")
    assert code == 2
    assert [json.loads(line)["file"] for line in printed.splitlines()] == ["good.png"]
    told = error.splitlines()
    assert told.pop() == "resnet-tiny: left out: 3, classified: 1"
    assert len(told) == 3
    assert "none.png: not found" in told[0]
    assert "empty: holds no image" in told[1]
    assert "float.tiff: holds floating-point values" in told[2]


def test_page_can_be_made_again(resnet_tiny: Caller, small_run: Path, tmp_path: Path) -> None:
    assert resnet_tiny("report", small_run, "--out", "page.html")[0] == 0
    assert (tmp_path / "page.html").read_text() == (small_run / "report.html").read_text()
    assert (tmp_path / "accuracy.png").read_bytes()[:4] == b"\x89PNG"


def test_courseworks_figures_stand_only_beside_its_data(
    resnet_tiny: Caller, small_run: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(small_run, run)
    assert "coursework" not in (run / "report.html").read_text()
    summary = json.loads((run / "summary.json").read_text())
    summary["data"] |= {"classes": 200, "images": {"train": 98_000, "holdout": 2_000}}
    (run / "summary.json").write_text(json.dumps(summary))
    assert resnet_tiny("report", run)[0] == 0
    assert "35.09 / 59.92 %" in (run / "report.html").read_text()


def test_sample_never_overwrites(resnet_tiny: Caller, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").write_text("mine")
    code, _, error = resnet_tiny("sample", "--out", "a")
    assert code == 2 and "a: is not empty" in error


def test_learning_rate_is_looked_for_and_no_run_is_left(
    resnet_tiny: Caller, sample_folder: Path, tmp_path: Path
) -> None:
    words = (
        "train",
        "--data",
        sample_folder,
        "--arch",
        "shufflenet_v2_x0_5",
        "--batch-size",
        16,
        "--holdout-per-class",
        2,
        "--device",
        "cpu",
        "--threads",
        1,
    )
    assert_finds_learning_rate(resnet_tiny, words, tmp_path)
