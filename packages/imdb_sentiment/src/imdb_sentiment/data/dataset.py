"""From `--data` to train, valid and test reviews: the publisher's folder, your own folders, or tables.

A table is a CSV, TSV or JSONL file with a column of texts and one of labels. Where there is no test set, one is split
off, and where it is said: see `data.splits`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imdb_sentiment.config import TrainConfig
from imdb_sentiment.data import sample
from imdb_sentiment.data.folders import LAYOUT, class_folders, read_folders
from imdb_sentiment.data.reviews import Data, Reviews
from imdb_sentiment.data.splits import stratified_mask, subset, validation_mask
from shared.data.checksum import describe
from shared.data.datasets import data_root
from shared.data.samples import data_or_sample
from shared.data.tables import SUFFIXES, Table, is_table, separator_hint
from shared.errors import UserError

DATA_SET = "aclImdb"


@dataclass(frozen=True)
class Columns:
    """How to read tables.

    Parameters
    ----------
    text, label : str
        Names of the columns, or numbers from 1 where there is no header.
    separator : str or None
        None: by the file's name.
    encoding : str
    """

    text: str = "text"
    label: str = "label"
    separator: str | None = None
    encoding: str = "utf-8"

    @classmethod
    def of(cls, config: TrainConfig) -> Columns:
        """Return the columns that a configuration names."""
        return cls(config.text_column, config.label_column, config.separator, config.encoding)


def find(given: str | None) -> tuple[Path, bool]:
    """Return the data's folder or file, and whether it is the sample."""
    return data_or_sample(DATA_SET, given, sample.write)


def load_data(config: TrainConfig) -> Data:
    """Read the data that a configuration names; `load` tells the errors.

    Raises
    ------
    UserError
        A table's columns are named, and the data is folders.
    """
    columns, path = Columns.of(config), find(config.data)[0]
    is_table_meant = replace(columns, encoding=Columns.encoding) != Columns()
    if is_table_meant and path.is_dir() and _table_of(path, "train") is None:
        raise UserError(
            f"{path}: is a folder without a train table, so --text-column, --label-column and --separator "
            "mean nothing. Leave them out, or name a table."
        )
    return load(
        config.data,
        valid_fraction=config.valid_fraction,
        limit=config.limit,
        seed=config.seed,
        test_limit=config.test_limit,
        test_fraction=config.test_fraction,
        test_data=config.test_data,
        columns=columns,
    )


def load(
    given: str | None,
    *,
    valid_fraction: float,
    limit: int | None,
    seed: int,
    test_limit: int | None = None,
    test_fraction: float = 0.1,
    test_data: str | None = None,
    columns: Columns = Columns(),
) -> Data:
    """Read the data, and split off validation (and test, if there is none) from the training reviews.

    Parameters
    ----------
    given : str or None
        Value of `--data`.
    valid_fraction : float
        Fraction of the training reviews that becomes validation, above 0 and below 1.
    limit : int or None
        Training reviews to keep, as many of each class; validation stays whole.
    seed : int
        Seed of the choice of those.
    test_limit : int or None
        Test reviews to keep, as many of each class, the same for every seed.
    test_fraction : float
        Fraction of the reviews that becomes the test set where the data has none.
    test_data : str or None
        Value of `--test-data`.
    columns : Columns

    Raises
    ------
    UserError
        Something is missing, a file's name or text is not what it should be, or there are too few reviews.
    """
    path, is_sample = find(given)
    whole = read_split(path, "train", columns=columns)
    if test_data is not None:
        other, _ = find(test_data)
        test: Reviews | None = read_all(other, columns, whole.classes)
    else:
        test = read_split(path, "test", whole.classes, columns) if has_test(path) else None
    has_own_test = test is not None
    if test is None:
        is_test = stratified_mask(whole, test_fraction)
        whole, test = _divide(whole, is_test)
    train, valid = _divide(whole, validation_mask(whole, valid_fraction))
    if is_sample:  # recipes are made for larger data
        limit = None if limit is None else min(limit, len(train))
        test_limit = None if test_limit is None else min(test_limit, len(test))
    if limit is not None:
        train = subset(train, limit, seed)
    if test_limit is not None:
        test = subset(test, test_limit, seed=0, flag="--test-limit")
    for name, part in (("train", train), ("valid", valid)):
        if len(np.unique(part.labels)) < 2:
            raise UserError(
                f"{path}: too few reviews: {name} would have {len(part)}, all of one class. "
                "Give more reviews, or another --valid-fraction."
            )
    return Data(train, valid, test, is_sample, describe(path).as_dict(), has_own_test)


def read_part(
    config: TrainConfig,
    split: str,
    *,
    given: str | None = None,
    classes: Sequence[str] | None = None,
    trained_on: str | None = None,
) -> Reviews:
    """Read one split as training divided it, or other labelled data, for measuring a trained model.

    Test and validation are whole, whatever `test_limit` training measured; of train, those that it was trained on.

    Parameters
    ----------
    config : TrainConfig
    split : {"train", "valid", "test"}
    given : str, optional
        Other data than that of the configuration. Without a test set, all of it counts as one.
    classes : sequence of str, optional
        The model's classes.
    trained_on : str, optional
        Checksum of the training data: if `given` is that data under another name, its splits are those of training.

    Raises
    ------
    UserError
        As `load`.
    """
    path, is_sample = find(config.data if given is None else given)
    name = "the made-up sample" if is_sample else str(path)
    columns = Columns.of(config)
    is_training_data = given is None or describe(path).sha256 == trained_on
    test_data = config.test_data if is_training_data else None
    has_own_test = test_data is not None or has_test(path)
    if split == "test" and (has_own_test or not is_training_data):
        path = path if test_data is None else find(test_data)[0]
        part = "the test set" if has_test(path) else "all"
        source = f"{part} of {name if test_data is None else path}"
        if is_training_data and config.test_limit is not None:
            source += f" (training measured {config.test_limit:,} of it)"
        return replace(read_all(path, columns, classes), source=source)
    parts = {"train": read_split(path, "train", classes, columns)}
    if not has_own_test:
        is_test = stratified_mask(parts["train"], config.test_fraction)
        parts["train"], parts["test"] = _divide(parts["train"], is_test)
    if split != "test":
        is_valid = validation_mask(parts["train"], config.valid_fraction)
        parts["train"], parts["valid"] = _divide(parts["train"], is_valid)
    if is_training_data and config.limit is not None and config.limit < len(parts["train"]):
        parts["train"] = subset(parts["train"], config.limit, config.seed)
    return replace(parts[split], source=f"the {split} part of {name}, as training divides it")


def has_test(path: Path) -> bool:
    """Return whether data has a test set of its own."""
    return path.is_dir() and ((path / "test").is_dir() or _table_of(path, "test") is not None)


def read_split(
    path: Path,
    split: str,
    classes: Sequence[str] | None = None,
    columns: Columns = Columns(),
) -> Reviews:
    """Read the labelled reviews of `train` or `test`; `train` is all there is where nothing is named so.

    Parameters
    ----------
    path : Path
        Folder or table.
    split : {"train", "test"}
    classes : sequence of str, optional
        The classes to expect; default: those that are there.
    columns : Columns

    Raises
    ------
    UserError
        Nothing is there that can be read; `data.folders` and `shared.data.tables` tell more.
    """
    if path.is_file():
        return read_table(path, classes, columns)
    table = _table_of(path, split)
    if table is not None:
        return read_table(table, classes, columns)
    if (path / split).is_dir() or (path / "train").is_dir() or split == "test":
        return read_folders(path / split, f"{split}/", classes)
    if class_folders(path):
        return read_folders(path, "", classes)
    raise UserError(f"{path / split}: not found. {LAYOUT}")


def read_all(path: Path, columns: Columns, classes: Sequence[str] | None = None) -> Reviews:
    """Read a test set: the folder's `test`, or all of a table or of class folders."""
    return read_split(path, "test" if has_test(path) else "train", classes, columns)


def read_table(path: Path, classes: Sequence[str] | None, columns: Columns) -> Reviews:
    """Read the labelled reviews of a CSV, TSV or JSONL file, in the order of its rows.

    Labels are texts or whole numbers; classes are sorted, numbers by value.

    Raises
    ------
    UserError
        A column is missing, a row is bad, a text is no string, or a label is not one of the expected classes.
    """
    table = Table.open(path, separator=columns.separator, encoding=columns.encoding)
    if not (columns.text.isdecimal() and columns.label.isdecimal()):
        for flag, name in (("--text-column", columns.text), ("--label-column", columns.label)):
            if name not in table.columns and not name.isdecimal():
                hint = separator_hint(table.columns, table.separator)
                raise UserError(
                    f"{path}:1: has no column {name!r}{hint}. Name it with {flag}; its columns: "
                    f"{', '.join(map(repr, table.columns[:20]))}."
                )
    texts, given, names = [], [], []
    for line, (text, label) in table.rows([columns.text, columns.label]):
        if not isinstance(text, str):
            raise UserError(f"{path}:{line}: the text is {text!r}. Expected a string.")
        if isinstance(label, float | list | dict) or label is None or str(label).strip() == "":
            raise UserError(
                f"{path}:{line}: the label is {label!r}. Expected a class, as text or whole number. Give it one, or "
                "remove the row."
            )
        texts.append(text)
        given.append(str(label).strip())
        names.append(f"{path.name}:{line}")
    if not texts:
        raise UserError(f"{path}: has a header alone. Expected a row for each review.")
    known = tuple(classes) if classes is not None else _sorted_classes(set(given))
    if len(known) < 2:
        raise UserError(
            f"{path}: every label is {known[0]!r}. Expected two or more different labels."
        )
    number_of = {name: number for number, name in enumerate(known)}
    for label, name in zip(given, names, strict=True):
        if label not in number_of:
            raise UserError(
                f"{path.parent / name}: the label {label!r} is not a class of the training reviews. "
                f"Expected {', '.join(known)}."
            )
    zeros = np.zeros(len(texts), dtype=np.int64)
    labels = np.array([number_of[label] for label in given], dtype=np.int64)
    return Reviews(texts, labels, zeros, [""] * len(texts), names, known)


def glove_file() -> Path | None:
    """Return the file of the coursework's word vectors, GloVe 6B 100d, if it is in the data root."""
    path = data_root() / "glove.6B" / "glove.6B.100d.txt"
    return path if path.is_file() else None


def _table_of(folder: Path, split: str) -> Path | None:
    """Return the table of a split in a folder: `train.csv`, `test.jsonl` and the like."""
    if not folder.is_dir():
        return None
    tables = [p for p in sorted(folder.glob(f"{split}.*")) if p.is_file() and is_table(p)]
    if len(tables) > 1:
        raise UserError(
            f"{folder}: has {tables[0].name} and {tables[1].name}. Expected one {split} table "
            f"({', '.join(SUFFIXES)})."
        )
    return tables[0] if tables else None


def _sorted_classes(labels: set[str]) -> tuple[str, ...]:
    try:
        return tuple(sorted(labels, key=int))
    except ValueError:
        return tuple(sorted(labels))


def _divide(reviews: Reviews, mask: NDArray[np.bool_]) -> tuple[Reviews, Reviews]:
    """Return the reviews outside a mask, and those in it."""
    return reviews.take(np.flatnonzero(~mask)), reviews.take(np.flatnonzero(mask))
