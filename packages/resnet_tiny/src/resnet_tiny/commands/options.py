"""The options of every verb but `train`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from resnet_tiny.config import PackSettings, Stem
from shared.command.config import OnlyWith, Problems, positional
from shared.command.options import Device


@dataclass(frozen=True)
class PackOptions(PackSettings):
    """What to pack, and where to."""

    quiet: bool = False
    """No progress bar and no lines."""

    def __post_init__(self) -> None:
        """Check all values."""
        with Problems() as problem:
            self.check_pack(problem)


@dataclass(frozen=True)
class EvaluateOptions:
    """What to measure."""

    run: str = positional()
    """Run folder, or a folder of runs: its newest."""
    data: str | None = None
    """Folder with val/, in Tiny ImageNet's layout or with a folder for each class; default: the data of the run."""
    cache: str | None = None
    """Folder for the decoded images; default: the run's."""
    resize: bool = False
    """Accept images of any size, also where training did not."""
    on_bad_image: Literal["fail", "skip"] = "fail"
    """What to do with bad images; each one is named."""
    checkpoint: str = "best"
    """best, last, or the name of a folder in checkpoints/ (epoch-0005)."""
    device: Device = "auto"
    """Where to compute; auto: a GPU if there is one."""
    precision: Literal["run", "float32", "bf16"] = "run"
    """Number format of the forward pass; run: that of training."""
    evaluation_crop: float | None = None
    """Side of the center crop as a fraction of the image's, above 0 and at most 1; default: the run's."""
    batch_size: int = 256
    """Images in a batch, >= 1."""
    list: bool = False
    """Print each image with its class, the predicted class, and whether that is correct."""
    out: str | None = None
    """Folder for evaluation.json (all figures) and examples.json (some images); default: none is written."""
    json: bool = False
    """Print one JSON object instead of tables."""

    ONLY_WITH: ClassVar[OnlyWith] = {"list": {"json": (False,)}}

    def __post_init__(self) -> None:
        """Check all values."""
        with Problems() as problem:
            problem(self.batch_size < 1, "batch_size", self.batch_size, ">= 1")
            crop = self.evaluation_crop
            is_fraction = crop is None or 0 < crop <= 1
            problem(not is_fraction, "evaluation_crop", crop, "above 0 and at most 1")


@dataclass(frozen=True)
class PredictOptions:
    """Which images to classify."""

    run: str = positional()
    """Run folder, or a folder of runs: its newest."""
    images: tuple[str, ...] = positional()
    """Image files of any size, or folders of them."""
    top: int = 5
    """Classes to print, most probable first, >= 1."""
    checkpoint: str = "best"
    """best, last, or the name of a folder in checkpoints/."""
    device: Device = "auto"
    """Where to compute; auto: a GPU if there is one."""
    json: bool = False
    """Print one JSON object a line instead of text."""

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
    """Number of classes, >= 2."""
    image_size: int = 64
    """Height and width of the images in pixels, >= 8."""
    json: bool = False
    """Print one JSON object instead of a table."""

    def __post_init__(self) -> None:
        """Check all values."""
        with Problems() as problem:
            problem(self.classes < 2, "classes", self.classes, ">= 2")
            problem(self.image_size < 8, "image_size", self.image_size, ">= 8")


@dataclass(frozen=True)
class AblateOptions:
    """Which recipe to take apart, at what scale."""

    data: str | None = None
    """Data as in `train`."""
    cache: str | None = None
    """Folder for the decoded images, as in `train`."""
    recipe: str = "modern"
    """Recipe whose parts are left out one at a time."""
    out: str = "ablation"
    """Folder for the runs; those that have ended in it are not trained again."""
    only_classes: int = 20
    """Classes to train on, >= 2."""
    epochs: int = 10
    """Passes over their images in each run, >= 1."""
    stem: Stem = "7x7"
    """Stem of all runs but the one that tries the 3x3 stem; 7x7 makes the study 15 times as fast."""
    batch_size: int = 128
    """Images in a batch, >= 2; the learning rate is scaled with it."""
    seeds: tuple[int, ...] = (1,)
    """Seeds of each variant, each >= 0; with several the standard deviation is printed."""
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
class StudyOptions:
    """What to compare, at what scale."""

    data: str | None = None
    """Data as in `train`."""
    cache: str | None = None
    """Folder for the decoded images, as in `train`."""
    recipe: str = "baseline"
    """Recipe to train, without augmentation and with it."""
    out: str | None = None
    """Folder for runs, table, plot and page; default: runs/resnet_tiny/study-<date-time>."""
    only_classes: int = 10
    """Classes to train on, >= 2."""
    holdout_per_class: int = 50
    """Training images of each class that are held out, >= 1."""
    epochs: int = 12
    """Passes over the training images, >= 1."""
    batch_size: int = 64
    """Images in a batch, >= 2; the learning rate is scaled with it."""
    steps: int = 3
    """Timed updates on each device, >= 0; 0: no timing."""
    seed: int = 42
    """Seed of all random numbers, >= 0."""
    resume: bool = False
    """Continue the study in --out; runs that have ended are not trained again."""
    quiet: bool = False
    """No progress bars, and of each run no lines."""

    def __post_init__(self) -> None:
        """Check all values."""
        with Problems() as problem:
            problem(self.resume and self.out is None, "out", self.out, "a folder with --resume")
            for name, least in (
                ("only_classes", 2), ("holdout_per_class", 1), ("epochs", 1), ("batch_size", 2), ("steps", 0),
                ("seed", 0),
            ):  # fmt: skip
                problem(getattr(self, name) < least, name, getattr(self, name), f">= {least}")


@dataclass(frozen=True)
class InspectOptions:
    """Which batch to show."""

    data: str | None = None
    """Data as in `train`."""
    cache: str | None = None
    """Folder for the decoded images, as in `train`."""
    recipe: str = "laptop"
    """Recipe whose crops, flips and mixing are applied."""
    batch_size: int = 64
    """Images in the batch, >= 2."""
    image_size: int = 64
    """Height and width of the images in pixels, >= 8."""
    resize: bool = False
    """Accept images of any size, as in `train`."""
    seed: int = 1
    """Seed of all random numbers, >= 0."""
    out: str | None = None
    """PNG file for the batch as the model sees it; default: none is written."""
    json: bool = False
    """Print one JSON object instead of text."""

    def __post_init__(self) -> None:
        """Check all values."""
        with Problems() as problem:
            problem(self.batch_size < 2, "batch_size", self.batch_size, ">= 2")
            problem(self.image_size < 8, "image_size", self.image_size, ">= 8")
            problem(self.seed < 0, "seed", self.seed, ">= 0")


@dataclass(frozen=True)
class ExportOptions:
    """What to write, and where to."""

    run: str = positional()
    """Run folder, or a folder of runs: its newest."""
    format: Literal["onnx", "safetensors", "pth"] = "onnx"
    """onnx: takes bytes, normalization included; safetensors, pth: torchvision's weights by name (a state_dict), which
    timm reads too."""
    out: str | None = None
    """Folder to write, new or empty; default: the format's name in the run folder."""
    checkpoint: str = "best"
    """best, last, or the name of a folder in checkpoints/."""


@dataclass(frozen=True)
class BenchOptions:
    """What to time."""

    data: str | None = None
    """Data as in `train`."""
    cache: str | None = None
    """Folder for the decoded images, as in `train`."""
    recipe: str = "laptop"
    """Recipe whose model, batches and transforms are timed."""
    batch_size: int | None = None
    """Images in a batch, >= 2; default: the recipe's."""
    steps: int = 6
    """Timed updates on each device, >= 1; two warm-up steps before them are not counted."""
    rounds: int = 3
    """Rounds of this package against pytorch/examples, in turn; medians are printed, >= 0; 0: no comparison."""
    threads: tuple[int, ...] = (1, 2)
    """Numbers of CPU threads to time, each >= 1."""
    peer_workers: int = 4
    """Data loading processes of pytorch/examples, >= 0; 4 is its default."""
    json: bool = False
    """Print one JSON object instead of tables."""

    ONLY_WITH: ClassVar[OnlyWith] = {"peer_workers": {"rounds": ...}}

    def __post_init__(self) -> None:
        """Check all values."""
        with Problems() as problem:
            problem(self.steps < 1, "steps", self.steps, ">= 1")
            problem(self.rounds < 0, "rounds", self.rounds, ">= 0")
            problem(self.peer_workers < 0, "peer_workers", self.peer_workers, ">= 0")
            problem(min(self.threads, default=0) < 1, "threads", list(self.threads), "each >= 1")
            size = self.batch_size
            problem(size is not None and size < 2, "batch_size", size, ">= 2")
