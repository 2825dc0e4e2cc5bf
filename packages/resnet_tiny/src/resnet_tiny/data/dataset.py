"""Training, hold-out and validation images of a configuration, and training batches of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from resnet_tiny.config import DATA_SET, PackSettings, TrainConfig
from resnet_tiny.data import sample
from resnet_tiny.data.layout import (
    read_classes,
    require_every_class,
    train_images,
    val_images,
)
from resnet_tiny.data.listing import Classes, ImageFiles, few
from resnet_tiny.data.mixing import draw_mix
from resnet_tiny.data.pack import Pack, open_pack
from resnet_tiny.data.transforms import draw
from shared.data.samples import data_or_sample
from shared.errors import UserError
from shared.torch.processes import from_first
from shared.torch.sampler import Shard

HOLDOUT_SEED = 2015
"""The hold-out is the same in all runs, whatever their seed, so that they compare."""
HOLDOUT, HOLDOUT_FRACTION = 10, 0.1
"""Training images of a class held out where the user names no number, and the largest fraction of the class."""


@dataclass(frozen=True)
class Subset:
    """Some rows of a pack.

    Parameters
    ----------
    pack : Pack
    rows : int64 array (N,)
    """

    pack: Pack
    rows: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def labels(self) -> NDArray[np.int64]:
        """Class numbers (N,)."""
        return self.pack.labels[self.rows]

    def pixels(self, indices: NDArray[np.int64]) -> torch.Tensor:
        """Return images as uint8 tensor (B, size, size, 3)."""
        # A copy of these rows only: the rest of the file stays on the disk until it is asked for.
        return torch.from_numpy(np.asarray(self.pack.images[self.rows[indices]]))

    def file(self, index: int) -> str:
        """Return the path of an image's file below the data set's folder."""
        return self.pack.listing.files[self.rows[index]]


@dataclass(frozen=True)
class Images:
    """A data set, ready to train on.

    Parameters
    ----------
    classes : Classes
    train, holdout, val : Subset
        `holdout` are training images held out to choose the checkpoint; it may be empty.
    root : Path
    is_sample : bool
    """

    classes: Classes
    train: Subset
    holdout: Subset
    val: Subset
    root: Path
    is_sample: bool

    def facts(self) -> dict[str, Any]:
        """Return what `summary.json` says about the data, and what a resumed run compares."""
        return {
            "name": self.root.resolve().name,
            "sha256": {"train": self.train.pack.checksum(), "val": self.val.pack.checksum()},
            "is_sample": self.is_sample,
            "images": {
                "train": len(self.train),
                "holdout": len(self.holdout),
                "val": len(self.val),
            },
            "classes": len(self.classes),
        }


def load_images(
    config: TrainConfig,
    *,
    accelerator: Any = None,
    say: Callable[[str], None] = lambda line: None,
    quiet: bool = True,
) -> Images:
    """Find, check and, the first time, pack the images that a configuration names.

    Parameters
    ----------
    config : TrainConfig
    accelerator : Accelerator, optional
        Of several processes the first packs, and the others wait for it.
    say, quiet
        As for `open_pack`.

    Raises
    ------
    UserError
        The folder is incomplete, an image is bad, or the hold-out takes too much.
    """
    root, is_sample = data_or_sample(DATA_SET, config.data, sample.write)
    classes = read_classes(root)
    listings = train_images(root, classes), val_images(root, classes)
    require_every_class(listings[1], classes)
    packs = open_packs(listings, config, accelerator, say=say, quiet=quiet)
    classes, train_rows, val_rows = _limited(classes, packs, config.only_classes)
    for pack, rows in zip(packs, (train_rows, val_rows), strict=True):
        _require_good_images(pack, rows, classes)
    held = config.holdout_per_class if config.selection == "holdout" else 0
    train, holdout = split_holdout(packs[0].labels, train_rows, held, classes)
    return Images(
        classes,
        Subset(packs[0], train),
        Subset(packs[0], holdout),
        Subset(packs[1], val_rows),
        root,
        is_sample,
    )


def open_packs(
    listings: Sequence[ImageFiles],
    settings: PackSettings,
    accelerator: Any,
    *,
    say: Callable[[str], None],
    quiet: bool,
) -> list[Pack]:
    """Open packs in all processes; the first makes and verifies them, and an error of it ends all.

    Parameters
    ----------
    listings, settings, say, quiet
        As for `open_pack`.
    accelerator : Accelerator or None
    """
    problem, packs = None, []  # type: str | None, list[Pack]
    if accelerator is None or accelerator.is_main_process:
        try:
            packs = [open_pack(listing, settings, say=say, quiet=quiet) for listing in listings]
        except UserError as error:
            problem = str(error)
    if accelerator is not None:
        problem = from_first(accelerator, problem)
    if problem:
        raise UserError(problem)
    return packs or [open_pack(listing, settings, verify=False) for listing in listings]


def split_holdout(
    labels: NDArray[np.int64], rows: NDArray[np.int64], per_class: int | None, classes: Classes
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Divide training rows into those to train on and a hold-out with some rows of each class.

    Parameters
    ----------
    labels : int array (N,)
        Of all rows of a pack.
    rows : int array (M,)
        Those to divide.
    per_class : int or None
        >= 0; None: `HOLDOUT`, but at most `HOLDOUT_FRACTION` of the class, at least 1.
    classes : Classes
        Their names, for the message.

    Returns
    -------
    train, holdout : int64 arrays
        Rising.

    Raises
    ------
    UserError
        A class would have nothing left to train on.
    """
    held = []
    for label in np.unique(labels[rows]):
        own = rows[labels[rows] == label]
        count = (
            max(1, min(HOLDOUT, int(HOLDOUT_FRACTION * len(own))))
            if per_class is None
            else per_class
        )
        if len(own) <= count:
            raise UserError(
                f"--holdout-per-class is {count}, but class {classes.names[label]!r} has only {len(own)} training "
                f"image{'s' * (len(own) != 1)}. Hold fewer out, or choose on val (--selection val)."
            )
        order = np.random.default_rng([HOLDOUT_SEED, int(label)]).permutation(len(own))
        held.append(own[order[:count]])
    holdout = np.sort(np.concatenate(held))
    return np.setdiff1d(rows, holdout), holdout


class TrainBatches:
    """What the loop fetches: bytes, labels, and the random numbers drawn for them."""

    def __init__(self, config: TrainConfig, images: Images) -> None:
        self.config, self.train = config, images.train
        self.labels = images.train.labels

    def __call__(self, shard: Shard) -> dict[str, Any]:
        """Return one process' part of a batch: `pixels`, `labels`, `draws` and `mix`."""
        indices = shard.indices
        return {
            "pixels": self.train.pixels(indices),
            "labels": torch.from_numpy(self.labels[indices]),
            "draws": draw(self.config, indices, shard.epoch),
            "mix": draw_mix(self.config, len(indices)),
        }


def _require_good_images(pack: Pack, rows: NDArray[np.int64], classes: Classes) -> None:
    """Refuse a class of which `--on-bad-image skip` has left nothing."""
    missing = sorted(set(range(len(classes))) - set(pack.labels[rows].tolist()))
    if missing:
        names = few([classes.names[label] for label in missing])
        raise UserError(
            f"{pack.listing.root}: {len(missing)} of the {len(classes)} classes have no image of "
            f"{pack.listing.split} that is not bad ({names}). Replace bad images, or remove the class."
        )


def _limited(
    classes: Classes, packs: list[Pack], most: int | None
) -> tuple[Classes, NDArray[np.int64], NDArray[np.int64]]:
    """Keep the first `most` classes."""
    train, val = (pack.rows for pack in packs)
    if most is None:
        return classes, train, val
    kept = Classes(classes.ids[:most], classes.names[:most])
    return kept, train[packs[0].labels[train] < most], val[packs[1].labels[val] < most]
