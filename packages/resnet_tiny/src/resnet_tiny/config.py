"""Options of every verb. What stands here in docstrings is what `--help` prints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from shared.command.config import Problems
from shared.torch.config import MAY_CHANGE, LoopConfig

DATA_SET = "tiny-imagenet-200"
"""Name of the data set's folder."""
MAY_CHANGE_ON_RESUME = ("data", "cache", "pack_threads", "evaluation_batch", *MAY_CHANGE)
"""Settings that do not change what is trained: data may have moved, its content is compared by itself."""

Stem = Literal["7x7", "3x3"]


@dataclass(frozen=True)
class PackSettings:
    """How picture files become rows of one file."""

    data: str | None = None
    """Folder laid out as tiny-imagenet-200; default: $DLTASKS_DATA/tiny-imagenet-200, else a small made-up sample."""
    cache: str | None = None
    """Folder for the decoded pictures (1.3 GB); default: dltasks/packed in the user's cache folder."""
    side: int = 64
    """Pixels of a side of the pictures, >= 8."""
    resize: bool = False
    """Scale pictures of other sizes and cut the middle out; otherwise they are bad."""
    on_bad_image: Literal["fail", "skip"] = "fail"
    """What to do with pictures that are truncated, no pictures, or of another size; each is named."""
    pack_threads: int = 0
    """Threads that decode, >= 0; 0: two for each core, 8 at most."""

    def check_pack(self, problem: Problems) -> None:
        """Note every setting that is out of range."""
        problem(self.side < 8, "side", self.side, ">= 8")
        problem(self.pack_threads < 0, "pack_threads", self.pack_threads, ">= 0")


@dataclass(frozen=True)
class TrainConfig(PackSettings, LoopConfig):
    """Settings of a training run; the defaults are plain SGD, computed the fast way."""

    precision: Literal["float32", "bf16", "auto", "fp16"] = "auto"

    only_classes: int | None = None
    """Train and measure on the first so many classes, >= 2, for trials; null: all."""
    holdout_per_class: int = 10
    """Training pictures of each class that are kept out, to choose the best checkpoint by, >= 0."""
    selection: Literal["holdout", "val", "last"] = "holdout"
    """What the best checkpoint is chosen by; val: the set that is reported, as the coursework did, which flatters;
    last: not chosen, the last one is it."""

    arch: str = "resnet18"
    """Any classification model of torchvision."""
    stem: Stem = "7x7"
    """First layers of a ResNet; 7x7: torchvision's, which halves pictures twice; 3x3: no halving, 15 times the work."""
    weights: str | None = None
    """Start from torchvision's weights of this name (DEFAULT, IMAGENET1K_V1), or from a .safetensors or .pth file."""
    zero_init_residual: bool = False
    """Residual branches of a ResNet start as zero."""

    crop: Literal["none", "pad", "resized"] = "none"
    """pad: shifted by up to `crop_padding`, edges mirrored; resized: a random part, scaled to the whole."""
    crop_padding: int = 4
    """Pixels that `--crop pad` shifts by at most, >= 1."""
    crop_area: float = 0.35
    """Smallest share of the picture that `--crop resized` keeps, above 0 and at most 1."""
    evaluation_crop: float = 1.0
    """Share of a picture's side that is shown when measuring, its middle scaled to the whole, above 0 and at most 1;
    0.875 with `--crop resized`, which shows things larger than they are."""
    flip: Literal["none", "random", "alternate"] = "none"
    """Mirror pictures; alternate: each one in every second epoch."""
    mixup: float = 0.0
    """Alpha of mixup's beta distribution, >= 0; 0: none."""
    cutmix: float = 0.0
    """Alpha of CutMix's beta distribution, >= 0; 0: none. With both, each batch takes one of them."""
    mix_share: float = 1.0
    """Share of batches that are mixed, 0 to 1."""
    mix_until: float = 1.0
    """Mixing stops after this share of the steps, 0 to 1."""
    label_smoothing: float = 0.0
    """Share of the target that is spread over all classes, 0 to below 1."""
    sizes: tuple[int, ...] = ()
    """Sides to train at, one after another (progressive resizing), each >= 8; empty: `side` throughout."""
    size_shares: tuple[float, ...] = ()
    """Share of the steps at each of `sizes`, together 1; empty: equal shares."""

    optimizer: Literal["sgd", "adamw", "muon"] = "sgd"
    """How weights follow gradients; muon: convolutions in all directions alike, their weights kept at one length, for
    networks that normalize after each convolution, as ResNets do; the other weights by SGD."""
    learning_rate: float = 0.1
    """Step size for this `batch_size`, > 0."""
    muon_learning_rate: float = 0.02
    """Length of a step of Muon as a share of the weights' length, > 0."""
    momentum: float = 0.9
    """Momentum of SGD and Muon, 0 to below 1."""
    nesterov: bool = False
    """Nesterov's momentum (SGD and Muon)."""
    weight_decay: float = 1e-4
    """Pull towards zero, >= 0 (adamw: decoupled); Muon's weights have none."""
    decay_norms: bool = True
    """Weight decay also for normalization layers and biases."""
    batch_size: int = 128
    """Pictures in a batch, over all processes, >= 2."""
    evaluation_batch: int = 256
    """Pictures in a batch when measuring, >= 1."""
    channels_last: bool = True
    """Keep the channels of a pixel side by side in memory, which is faster on most hardware."""

    def check(self, problem: Problems) -> None:
        """Note every setting that is out of range."""
        super().check(problem)
        self.check_pack(problem)
        few = self.only_classes
        problem(few is not None and few < 2, "only_classes", few, ">= 2 or null")
        for name, least in (
            ("holdout_per_class", 0), ("crop_padding", 1), ("batch_size", 2), ("evaluation_batch", 1),
        ):  # fmt: skip
            problem(getattr(self, name) < least, name, getattr(self, name), f">= {least}")
        for name in ("label_smoothing", "momentum"):
            problem(not 0 <= getattr(self, name) < 1, name, getattr(self, name), "0 to below 1")
        for name in ("mix_share", "mix_until"):
            problem(not 0 <= getattr(self, name) <= 1, name, getattr(self, name), "0 to 1")
        for name in ("mixup", "cutmix", "weight_decay"):
            problem(not getattr(self, name) >= 0, name, getattr(self, name), ">= 0")
        for name in ("learning_rate", "muon_learning_rate"):
            problem(not getattr(self, name) > 0, name, getattr(self, name), "> 0")
        problem(not 0 < self.crop_area <= 1, "crop_area", self.crop_area, "above 0 and at most 1")
        problem(
            not 0 < self.evaluation_crop <= 1,
            "evaluation_crop",
            self.evaluation_crop,
            "above 0 and at most 1",
        )
        problem(
            self.crop_padding >= self.side, "crop_padding", self.crop_padding, "less than --side"
        )
        problem(min(self.sizes, default=8) < 8, "sizes", list(self.sizes), "each >= 8")
        shares = self.size_shares
        problem(
            bool(shares)
            and (len(shares) != len(self.sizes) or min(shares) <= 0 or abs(sum(shares) - 1) > 1e-6),
            "size_shares",
            list(shares),
            "one > 0 for each of --sizes, together 1",
        )
        problem(
            self.selection == "holdout" and self.holdout_per_class == 0,
            "holdout_per_class",
            0,
            ">= 1 unless --selection is val or last",
        )
        problem(
            self.stem == "3x3" and not self.arch.startswith(("resnet", "resnext", "wide_resnet")),
            "stem",
            self.stem,
            "7x7 unless --arch is a ResNet",
        )
