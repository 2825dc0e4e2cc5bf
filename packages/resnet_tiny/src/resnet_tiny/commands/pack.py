"""The verb `pack`."""

from __future__ import annotations

from collections.abc import Callable

from resnet_tiny.commands.options import PackOptions
from resnet_tiny.config import DATA_SET
from resnet_tiny.data import sample
from resnet_tiny.data.layout import read_classes, train_pictures, val_pictures
from resnet_tiny.data.pack import IMAGES, open_pack
from shared.data.samples import data_or_sample


def run(options: PackOptions) -> int:
    """Pack train and val (verb `pack`)."""
    root, _ = data_or_sample(DATA_SET, options.data, sample.write)
    classes = read_classes(root)
    say: Callable[[str], None] = (lambda line: None) if options.quiet else print
    # Both before either is packed.
    listed = train_pictures(root, classes), val_pictures(root, classes)
    for pictures in listed:
        pack = open_pack(pictures, options, say=say, quiet=options.quiet)
        say(
            f"{pack.folder / IMAGES}: {len(pack.rows):,} pictures of {pictures.split}, {len(classes)} classes, "
            f"sha256 {pack.sha256}"
        )
    return 0
