"""The options of every verb but `train`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from resnet_tiny.config import PackSettings, Stem
from shared.command.config import Problems, positional


@dataclass(frozen=True)
class PackOptions(PackSettings):
    """What to pack, and where to."""

    quiet: bool = False
    """No bar and no lines."""

    def __post_init__(self) -> None:
        """Check all values."""
        with Problems() as problem:
            self.check_pack(problem)


@dataclass(frozen=True)
class EvaluateOptions:
    """What to measure."""

    model: str = positional()
    """Run folder."""
    data: str | None = None
    """Folder with val/ in the publisher's layout; default: the data of the run."""
    cache: str | None = None
    """Folder for the decoded pictures; default: the run's."""
    on_bad_image: Literal["fail", "skip"] = "fail"
    """What to do with bad pictures; each is named."""
    checkpoint: str = "best"
    """best, last, or the name of a folder in checkpoints/ (epoch-0005)."""
    precision: Literal["run", "float32", "bf16"] = "run"
    """Number format of the forward pass; run: that of training."""
    evaluation_crop: float | None = None
    """Share of a picture's side that is shown, its middle; default: the run's."""
    batch: int = 256
    """Pictures in a batch, >= 1."""
    list: bool = False
    """Print each picture with its class, the answer, and whether it is right."""
    out: str | None = None
    """Folder for evaluation.json and the picture of the worst mistakes; default: none is written."""
    json: bool = False
    """Print one JSON object instead of tables."""

    def __post_init__(self) -> None:
        """Check all values."""
        with Problems() as problem:
            problem(self.batch < 1, "batch", self.batch, ">= 1")
            crop = self.evaluation_crop
            is_share = crop is None or 0 < crop <= 1
            problem(not is_share, "evaluation_crop", crop, "above 0 and at most 1")


@dataclass(frozen=True)
class PredictOptions:
    """Which pictures to classify."""

    model: str = positional()
    """Run folder."""
    pictures: tuple[str, ...] = positional()
    """One or more picture files of any size."""
    top: int = 5
    """Classes to print, >= 1."""
    checkpoint: str = "best"
    """best, last, or the name of a folder in checkpoints/."""
    json: bool = False
    """Print one JSON object instead of lines."""

    def __post_init__(self) -> None:
        """Check all values."""
        with Problems() as problem:
            problem(self.top < 1, "top", self.top, ">= 1")


@dataclass(frozen=True)
class SummaryOptions:
    """Which model's layers to print."""

    arch: str = "resnet18"
    """Any classification model of torchvision."""
    stem: Stem = "7x7"
    """First layers of a ResNet."""
    classes: int = 200
    """Classes, >= 2."""
    side: int = 64
    """Pixels of a side, >= 8."""
    json: bool = False
    """Print one JSON object instead of a table."""

    def __post_init__(self) -> None:
        """Check all values."""
        with Problems() as problem:
            problem(self.classes < 2, "classes", self.classes, ">= 2")
            problem(self.side < 8, "side", self.side, ">= 8")


@dataclass(frozen=True)
class AblateOptions:
    """Which recipe to take apart, at what scale."""

    data: str | None = None
    """Data as in `train`."""
    cache: str | None = None
    """Folder for the decoded pictures, as in `train`."""
    recipe: str = "modern"
    """Recipe whose parts are left out one at a time."""
    out: str = "ablation"
    """Folder for one run of each kind; runs that have ended in it are not made again."""
    only_classes: int = 20
    """Classes to train on, >= 2."""
    epochs: int = 10
    """Passes over their pictures in each run, >= 1."""
    stem: Stem = "7x7"
    """Stem of all runs but the one that tries the 3x3 stem; 7x7 makes the study 15 times as fast."""
    batch_size: int = 128
    """Pictures in a batch, >= 2; the learning rate is scaled with it."""
    seeds: tuple[int, ...] = (1,)
    """Seeds of each kind of run, each >= 0; with several the spread is told."""
    json: bool = False
    """Print one JSON object instead of a table."""

    def __post_init__(self) -> None:
        """Check all values."""
        with Problems() as problem:
            problem(self.only_classes < 2, "only_classes", self.only_classes, ">= 2")
            problem(self.epochs < 1, "epochs", self.epochs, ">= 1")
            problem(self.batch_size < 2, "batch_size", self.batch_size, ">= 2")
            problem(min(self.seeds, default=-1) < 0, "seeds", list(self.seeds), "each >= 0")


@dataclass(frozen=True)
class ExportOptions:
    """Where the ONNX file goes."""

    model: str = positional()
    """Run folder."""
    out: str | None = None
    """Folder to write, new or empty; default: onnx in the run folder."""
    checkpoint: str = "best"
    """best, last, or the name of a folder in checkpoints/."""


@dataclass(frozen=True)
class BenchOptions:
    """What to time."""

    data: str | None = None
    """Data as in `train`."""
    cache: str | None = None
    """Folder for the decoded pictures, as in `train`."""
    recipe: str = "laptop"
    """Recipe whose model, batches and transforms are timed."""
    batch_size: int | None = None
    """Pictures in a batch, >= 2; default: the recipe's."""
    steps: int = 6
    """Timed updates on each device, >= 1; two more go before them untimed."""
    rounds: int = 3
    """Rounds of ours against pytorch/examples, in turn; medians are printed, >= 0; 0: no comparison."""
    threads: tuple[int, ...] = (1, 2)
    """Numbers of CPU threads to time, each >= 1."""
    peer_workers: int = 4
    """Loading processes of pytorch/examples, >= 0; 4 is its default."""
    json: bool = False
    """Print one JSON object instead of tables."""

    def __post_init__(self) -> None:
        """Check all values."""
        with Problems() as problem:
            problem(self.steps < 1, "steps", self.steps, ">= 1")
            problem(self.rounds < 0, "rounds", self.rounds, ">= 0")
            problem(self.peer_workers < 0, "peer_workers", self.peer_workers, ">= 0")
            problem(min(self.threads, default=0) < 1, "threads", list(self.threads), "each >= 1")
            size = self.batch_size
            problem(size is not None and size < 2, "batch_size", size, ">= 2")
