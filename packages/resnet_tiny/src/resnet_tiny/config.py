"""The settings of a training run. The docstrings here are what `resnet-tiny train --help` prints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from shared.command.config import OnlyWith, Problems
from shared.torch.config import MAY_CHANGE, LoopConfig

DATA_SET = "tiny-imagenet-200"
"""Name of the data set's folder."""
K = 5
"""Top-5 accuracy is given where there are more classes than that; of five or fewer it is always 1."""
MAY_CHANGE_ON_RESUME = ("data", "cache", "pack_threads", "evaluation_batch_size", *MAY_CHANGE)
"""Settings that do not change what is trained. Data may have moved: its content is compared instead."""

Stem = Literal["7x7", "3x3"]


@dataclass(frozen=True)
class PackSettings:
    """How image files become rows of one file."""

    data: str | None = None
    """Folder laid out as tiny-imagenet-200, or with a folder for each class (train/<class>/*.jpg, val/<class>/*.jpg);
    default: $DLTASKS_DATA/tiny-imagenet-200, else a small made-up sample."""
    cache: str | None = None
    """Folder for the decoded images (1.3 GB); default: dltasks/packed in the user's cache folder."""
    image_size: int = 64
    """Height and width of the images in pixels, >= 8."""
    resize: bool = False
    """Accept images of any size: scale the shorter side to `image_size` and take a center crop."""
    on_bad_image: Literal["fail", "skip"] = "fail"
    """What to do with a file that is truncated, not an image, or of another size; each one is named."""
    pack_threads: int = 0
    """Threads that decode images, >= 0; 0: two for each core, at most 8."""

    def check_pack(self, problem: Problems) -> None:
        """Note every setting that is out of range."""
        problem(self.image_size < 8, "image_size", self.image_size, ">= 8")
        problem(self.pack_threads < 0, "pack_threads", self.pack_threads, ">= 0")


@dataclass(frozen=True)
class TrainConfig(PackSettings, LoopConfig):
    """Settings of a training run; the defaults are plain SGD in the fastest number format of the hardware."""

    RENAMED: ClassVar[dict[str, str]] = {
        "side": "image_size",
        "evaluation_batch": "evaluation_batch_size",
        "mix_share": "mix_probability",
        "size_shares": "size_fractions",
    }

    ONLY_WITH: ClassVar[OnlyWith] = {
        "crop_padding": {"crop": ("pad",)},
        "crop_area": {"crop": ("resized",)},
        "holdout_per_class": {"selection": ("holdout",)},
        "evaluate_every": {"selection": ("holdout", "val")},
        "patience": {"selection": ("holdout", "val")},
        "asgd_window": {"selection": ("holdout", "val")},
        "mix_probability": {("mixup", "cutmix"): ...},
        "mix_until": {("mixup", "cutmix"): ...},
        "size_fractions": {"sizes": ...},
        "muon_learning_rate": {"optimizer": ("muon",)},
        "momentum": {"optimizer": ("sgd", "muon")},
        "nesterov": {"optimizer": ("sgd", "muon"), "momentum": ...},
    }

    # A recipe's sizes are for its own image size, and the last one must be that of evaluation.
    RESETS: ClassVar[dict[str, str]] = {"image_size": "sizes"}

    COMMON: ClassVar[tuple[str, ...]] = (
        *("recipe", "data", "image_size", "resize", "arch", "init", "weights", "epochs", "minutes", "batch_size"),
        *("optimizer", "learning_rate", "holdout_per_class", "selection", "seed", "device"),
    )  # fmt: skip
    GROUPS: ClassVar[dict[str, tuple[str, ...]]] = {
        "data": (
            *("data", "cache", "image_size", "resize", "on_bad_image", "pack_threads", "only_classes"),
            *("holdout_per_class", "selection"),
        ),
        "model": ("arch", "stem", "init", "weights", "zero_init_residual", "whiten_stem", "channels_last"),
        "augmentation": (
            *("crop", "crop_padding", "crop_area", "evaluation_crop", "flip", "mixup", "cutmix", "mix_probability"),
            *("mix_until", "label_smoothing", "sizes", "size_fractions"),
        ),
        "optimization": (
            *("optimizer", "learning_rate", "muon_learning_rate", "momentum", "nesterov", "weight_decay"),
            *("decay_norms", "batch_size", "evaluation_batch_size"),
        ),
    }  # fmt: skip

    precision: Literal["float32", "bf16", "auto", "fp16"] = "auto"

    only_classes: int | None = None
    """Train and evaluate on the first N classes only, >= 2, for quick experiments; null: all."""
    holdout_per_class: int | None = None
    """Training images of each class that are held out to choose the best checkpoint, >= 0; null: 10, of a class with
    fewer than 100 training images a tenth, at least 1."""
    selection: Literal["holdout", "val", "last"] = "holdout"
    """What chooses the best checkpoint: holdout: the held-out training images; val: the set that is reported, as in the
    coursework, which makes its figure optimistic; last: nothing, the last checkpoint is reported."""

    arch: str = "resnet18"
    """Any classification model of torchvision."""
    stem: Stem = "7x7"
    """First layers of a ResNet: 7x7: torchvision's, which downsamples by 4; 3x3: no downsampling, 15 times the work."""
    init: str | None = None
    """Start from the weights of this run; its last layer is matched by the names of the classes."""
    weights: str | None = None
    """Start from pretrained weights: torchvision's by name (DEFAULT, IMAGENET1K_V1), or a .safetensors or .pth file."""
    zero_init_residual: bool = False
    """Initialize the last batch norm of each residual block of a ResNet with zero."""
    whiten_stem: bool = False
    """Initialize the first convolution with the principal components of patches of the training images; weights that
    `--init` or `--weights` load stay as they are."""

    crop: Literal["none", "pad", "resized"] = "none"
    """Augmentation: pad: random crop of the image padded by reflection; resized: random resized crop."""
    crop_padding: int = 4
    """Pixels of padding of `--crop pad`, >= 1."""
    crop_area: float = 0.35
    """Smallest area of `--crop resized` as a fraction of the image, above 0 and at most 1."""
    evaluation_crop: float = 1.0
    """Side of the center crop in evaluation as a fraction of the image's, scaled back to full size, above 0 and at most
    1; 0.875 to 0.94 suit `--crop resized`, which shows objects larger than they are."""
    flip: Literal["none", "random", "alternate"] = "none"
    """Horizontal flips; alternate: each image in every second epoch instead of at random."""
    mixup: float = 0.0
    """Alpha of mixup's beta distribution, >= 0; 0: no mixup."""
    cutmix: float = 0.0
    """Alpha of CutMix's beta distribution, >= 0; 0: no CutMix. With both, each batch takes one of them at random."""
    mix_probability: float = 1.0
    """Probability that a batch is mixed (mixup or CutMix), 0 to 1."""
    mix_until: float = 1.0
    """Fraction of the steps after which mixing stops, 0 to 1."""
    label_smoothing: float = 0.0
    """Probability mass of the target that is spread over all classes, 0 to below 1."""
    sizes: tuple[int, ...] = ()
    """Image sizes to train at, one after another (progressive resizing), each >= 8; empty: `image_size` throughout, as
    with --image-size and no --sizes, whatever the recipe has."""
    size_fractions: tuple[float, ...] = ()
    """Fraction of the steps at each of `sizes`, together 1; empty: equal fractions."""

    optimizer: Literal["sgd", "adamw", "muon"] = "sgd"
    """muon: orthogonalized momentum for the convolutions, their weights kept at a constant norm, which suits networks
    that normalize after each convolution, as ResNets do; SGD for all other weights."""
    learning_rate: float = 0.1
    """Step size of SGD or AdamW for this `batch_size`, > 0."""
    muon_learning_rate: float = 0.02
    """Norm of a step of Muon as a fraction of the weights' norm, > 0."""
    momentum: float = 0.9
    """Momentum of SGD and Muon, 0 to below 1."""
    nesterov: bool = False
    """Nesterov momentum (SGD and Muon)."""
    weight_decay: float = 1e-4
    """Weight decay, >= 0 (adamw: decoupled); weights that Muon updates have none."""
    decay_norms: bool = True
    """Apply weight decay to normalization layers and biases too."""
    batch_size: int = 128
    """Images in a batch, over all processes, >= 2."""
    evaluation_batch_size: int = 256
    """Images in a batch in evaluation, >= 1."""
    channels_last: bool = True
    """Store images and weights channels last (NHWC), which is faster on most hardware."""

    def check(self, problem: Problems) -> None:
        """Note every setting that is out of range."""
        super().check(problem)
        self.check_pack(problem)
        few = self.only_classes
        problem(few is not None and few < 2, "only_classes", few, ">= 2 or null")
        held = self.holdout_per_class
        problem(held is not None and held < 0, "holdout_per_class", held, ">= 0 or null")
        for name, least in (
            ("crop_padding", 1), ("batch_size", 2), ("evaluation_batch_size", 1),
        ):  # fmt: skip
            problem(getattr(self, name) < least, name, getattr(self, name), f">= {least}")
        for name in ("label_smoothing", "momentum"):
            problem(not 0 <= getattr(self, name) < 1, name, getattr(self, name), "0 to below 1")
        for name in ("mix_probability", "mix_until"):
            problem(not 0 <= getattr(self, name) <= 1, name, getattr(self, name), "0 to 1")
        for name in ("mixup", "cutmix", "weight_decay"):
            problem(not getattr(self, name) >= 0, name, getattr(self, name), ">= 0")
        for name in ("learning_rate", "muon_learning_rate"):
            problem(not getattr(self, name) > 0, name, getattr(self, name), "> 0")
        for name in ("crop_area", "evaluation_crop"):
            value = getattr(self, name)
            problem(not 0 < value <= 1, name, value, "above 0 and at most 1")
        problem(
            self.crop_padding >= self.image_size,
            "crop_padding",
            self.crop_padding,
            "less than --image-size",
        )
        problem(min(self.sizes, default=8) < 8, "sizes", list(self.sizes), "each >= 8")
        parts = self.size_fractions
        is_whole = len(parts) == len(self.sizes) and min(parts, default=0) > 0
        problem(
            bool(parts and self.sizes) and not (is_whole and abs(sum(parts) - 1) <= 1e-6),
            "size_fractions",
            list(parts),
            "one > 0 for each of --sizes, together 1",
        )
        problem(
            self.selection == "holdout" and self.holdout_per_class == 0,
            "holdout_per_class",
            0,
            ">= 1 unless --selection is val or last",
        )
        problem(
            self.selection == "last" and self.schedule == "plateau",
            "schedule",
            self.schedule,
            "another one with --selection last, which evaluates nothing in training",
        )
        problem(
            self.init is not None and self.weights is not None,
            "weights",
            self.weights,
            "null (not set) where --init is given",
        )
        problem(
            self.stem == "3x3" and not self.arch.startswith(("resnet", "resnext", "wide_resnet")),
            "stem",
            self.stem,
            "7x7 unless --arch is a ResNet",
        )
