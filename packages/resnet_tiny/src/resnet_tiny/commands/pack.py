"""The verb `pack`."""

from __future__ import annotations

from collections.abc import Callable

from resnet_tiny.commands.options import PackOptions
from resnet_tiny.config import DATA_SET
from resnet_tiny.data import sample
from resnet_tiny.data.layout import read_classes, train_images, val_images
from resnet_tiny.data.pack import IMAGES, open_pack
from shared.data.samples import data_or_sample


def run(options: PackOptions) -> int:
    """Pack train and val (verb `pack`)."""
    root, _ = data_or_sample(DATA_SET, options.data, sample.write)
    classes = read_classes(root)
    say: Callable[[str], None] = (lambda line: None) if options.quiet else print
    # Both are listed before either is packed.
    listings = train_images(root, classes), val_images(root, classes)
    for listing in listings:
        pack = open_pack(listing, options, say=say, quiet=options.quiet)
        say(
            f"{pack.folder / IMAGES}: {len(pack.rows):,} images of {listing.split}, {len(classes)} classes, "
            f"sha256 {pack.sha256}"
        )
    return 0
