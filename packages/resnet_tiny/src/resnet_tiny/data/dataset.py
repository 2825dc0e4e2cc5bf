"""Training, hold-out and validation pictures of a configuration, and training batches of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from resnet_tiny.config import DATA_SET, TrainConfig
from resnet_tiny.data import sample
from resnet_tiny.data.layout import (
    Classes,
    read_classes,
    require_every_class,
    train_pictures,
    val_pictures,
)
from resnet_tiny.data.mixing import draw_mix
from resnet_tiny.data.pack import Pack, open_pack
from resnet_tiny.data.transforms import draw
from shared.data.samples import data_or_sample
from shared.errors import UserError
from shared.torch.processes import from_first
from shared.torch.sampler import Share

HOLDOUT_SEED = 2015
"""The hold-out is the same in all runs, whatever their seed, so that they compare."""


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

    def pixels(self, places: NDArray[np.int64]) -> torch.Tensor:
        """Return pictures as uint8 tensor (B, side, side, 3)."""
        # A copy of these rows only: the rest of the file stays on the disk until it is asked for.
        return torch.from_numpy(np.asarray(self.pack.images[self.rows[places]]))


@dataclass(frozen=True)
class Images:
    """A data set, ready to train on.

    Parameters
    ----------
    classes : Classes
    train, holdout, val : Subset
        `holdout` are training pictures kept out; it may be empty.
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
            "name": self.root.resolve().name if not self.is_sample else "made-up sample",
            "sha256": {"train": self.train.pack.sha256, "val": self.val.pack.sha256},
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
    """Find, check and, the first time, pack the pictures that a configuration names.

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
        The folder is not whole, a picture is bad, or the hold-out takes too much.
    """
    root, is_sample = data_or_sample(DATA_SET, config.data, sample.write)
    classes = read_classes(root)
    listed = train_pictures(root, classes), val_pictures(root, classes)
    require_every_class(listed[1], classes)
    is_first = accelerator is None or accelerator.is_main_process
    problem, packs = None, []  # type: str | None, list[Pack]
    if is_first:
        try:
            packs = [open_pack(pictures, config, say=say, quiet=quiet) for pictures in listed]
        except UserError as error:
            problem = str(error)
    if accelerator is not None and (problem := from_first(accelerator, problem)):
        raise UserError(problem)
    if problem:
        raise UserError(problem)
    packs = packs or [open_pack(pictures, config, verify=False) for pictures in listed]
    classes, train_rows, val_rows = _limited(classes, packs, config.only_classes)
    held = config.holdout_per_class if config.selection == "holdout" else 0
    train, holdout = split_holdout(packs[0].labels, train_rows, held)
    return Images(
        classes,
        Subset(packs[0], train),
        Subset(packs[0], holdout),
        Subset(packs[1], val_rows),
        root,
        is_sample,
    )


def split_holdout(
    labels: NDArray[np.int64], rows: NDArray[np.int64], per_class: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Divide training rows into those to train on and a hold-out with `per_class` rows of each class.

    Parameters
    ----------
    labels : int array (N,)
        Of all rows of a pack.
    rows : int array (M,)
        Those to divide.
    per_class : int
        >= 0.

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
        if len(own) <= per_class:
            raise UserError(
                f"--holdout-per-class is {per_class}, but class number {label} has only {len(own)} pictures. "
                "Hold fewer out."
            )
        order = np.random.default_rng([HOLDOUT_SEED, int(label)]).permutation(len(own))
        held.append(own[order[:per_class]])
    holdout = np.sort(np.concatenate(held))
    return np.setdiff1d(rows, holdout), holdout


class TrainBatches:
    """What the loop fetches: bytes, labels, and what chance decided about them."""

    def __init__(self, config: TrainConfig, images: Images) -> None:
        self.config, self.train = config, images.train
        self.labels = images.train.labels

    def __call__(self, share: Share) -> dict[str, Any]:
        """Return one process' part of a batch: `pixels`, `labels`, `draws` and `mix`."""
        places = share.indices
        return {
            "pixels": self.train.pixels(places),
            "labels": torch.from_numpy(self.labels[places]),
            "draws": draw(self.config, places, share.epoch),
            "mix": draw_mix(self.config, len(places)),
        }


def _limited(
    classes: Classes, packs: list[Pack], most: int | None
) -> tuple[Classes, NDArray[np.int64], NDArray[np.int64]]:
    """Leave out the classes from number `most` on."""
    train, val = (pack.rows for pack in packs)
    if most is None:
        return classes, train, val
    kept = Classes(classes.wnids[:most], classes.names[:most])
    return kept, train[packs[0].labels[train] < most], val[packs[1].labels[val] < most]
