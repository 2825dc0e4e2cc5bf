"""Which of the two layouts a folder has, Tiny ImageNet's own or a folder for each class, and what is in it."""

from __future__ import annotations

from pathlib import Path

from resnet_tiny.data import image_folder, tiny_imagenet
from resnet_tiny.data.listing import Classes, ImageFiles, few
from shared.errors import UserError


def read_classes(root: Path) -> Classes:
    """Return the classes of a data set, in the order of their numbers.

    Raises
    ------
    UserError
        The folder is not a data set.
    """
    require_folder(root)
    if is_tiny_imagenet(root):
        return tiny_imagenet.read_classes(root)
    return image_folder.folder_classes(root)


def train_images(root: Path, classes: Classes) -> ImageFiles:
    """List the training images.

    Raises
    ------
    UserError
        The folder is incomplete, or a class is empty or unknown.
    """
    if is_tiny_imagenet(root):
        return tiny_imagenet.train_images(root, classes)
    return image_folder.folder_images(root, classes, "train")


def val_images(root: Path, classes: Classes) -> ImageFiles:
    """List the validation images, labelled with numbers in `classes`.

    Raises
    ------
    UserError
        Images have no label, are missing, or are of an unknown class.
    """
    require_folder(root)
    if is_tiny_imagenet(root):
        return tiny_imagenet.val_images(root, classes)
    return image_folder.folder_images(root, classes, "val")


def is_tiny_imagenet(root: Path) -> bool:
    """Whether a folder has, or is meant to have, the publisher's layout: one of its own files is there."""
    marks = (
        root / tiny_imagenet.WNIDS,
        root / tiny_imagenet.WORDS,
        root / "val" / tiny_imagenet.ANNOTATIONS,
        root / "val" / "images",
        root / "tiny-imagenet-200",
    )
    return any(mark.exists() for mark in marks)


def require_every_class(images: ImageFiles, classes: Classes) -> None:
    """Refuse a split without a single image of some class: a figure over the others would not compare.

    Raises
    ------
    UserError
        Naming the first such classes.
    """
    missing = sorted(set(range(len(classes))) - set(images.labels.tolist()))
    if missing:
        names = few([classes.ids[label] for label in missing])
        raise UserError(
            f"{images.root / images.split}: is incomplete: {len(missing)} of the {len(classes)} classes "
            f"have no image there ({names}). Add them, or unpack the archive again."
        )


def require_folder(root: Path) -> None:
    """Refuse a data set that is still an archive.

    Raises
    ------
    UserError
        `root` is a file.
    """
    if root.is_file():
        raise UserError(
            f"{root}: is a file, expected the folder of the data set. Unpack it and name that."
        )
