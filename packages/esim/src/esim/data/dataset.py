"""The data set as word ids, and batches of it.

Shapes: N pairs, B pairs of a batch, T longest sentence of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esim.config import Columns, TrainConfig
from esim.data import sample
from esim.data.labels import LABELS
from esim.data.pairs import Labels, PairTexts, Source, find_sources, read_pairs
from esim.data.stems import Encode, ids_by_stem
from esim.data.tokens import TokenPairs, Tokens, columns_of, split_with, token_pairs
from shared.data.checksum import describe
from shared.data.samples import data_or_sample
from shared.errors import UserError
from shared.text.batching import pad
from shared.text.vocabulary import Vocabulary

UNKNOWN, PADDING = "<unk>", "<pad>"
DATA_SET = "snli"
DEV_FRACTION, DEV_SEED = 0.1, 0
"""Part of the premises that becomes dev where the data has none, and the seed of the draw."""


@dataclass(frozen=True)
class Pairs:
    """Pairs as ids.

    Parameters
    ----------
    premises, hypotheses : list of int32 arrays (N,)
    labels : int64 array (N,)
        Positions in `LABELS`.
    unlabeled, bad : int
        Lines left out: without a label, and unreadable.
    truncated : int
        Sentences that were longer than `max_length`.
    """

    premises: list[NDArray[np.int32]]
    hypotheses: list[NDArray[np.int32]]
    labels: NDArray[np.int64]
    unlabeled: int = 0
    bad: int = 0
    truncated: int = 0

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Words of each premise and hypothesis, (N, 2)."""
        sides = (self.premises, self.hypotheses)
        return np.array([[len(s) for s in side] for side in sides], dtype=np.int64).T.reshape(-1, 2)

    @property
    def counts(self) -> list[int]:
        """Number of pairs of each label, in the order of `LABELS`."""
        counts: list[int] = np.bincount(self.labels, minlength=len(LABELS)).tolist()
        return counts

    def by_label(self, names: Sequence[str]) -> str:
        """Say how many pairs each label has, under its name."""
        return ", ".join(f"{name}: {n:,}" for name, n in zip(names, self.counts, strict=True))

    def facts(self) -> dict[str, int]:
        """Return the counts that `summary.json` keeps."""
        return {
            "pairs": len(self),
            **dict(zip(LABELS, self.counts, strict=True)),
            "unlabeled": self.unlabeled,
            "bad": self.bad,
            "truncated": self.truncated,
        }

    def left_out(self) -> str:
        """Say how many lines were left out and how many sentences truncated; empty if none."""
        if not (self.unlabeled or self.bad or self.truncated):
            return ""
        return (
            f"left out {_count(self.unlabeled, 'pair')} without a label and "
            f"{_count(self.bad, 'bad line')}; truncated {_count(self.truncated, 'sentence')}"
        )


@dataclass(frozen=True)
class Data:
    """A data set as ids.

    Parameters
    ----------
    vocabulary : Vocabulary
        `<unk>`, `<pad>`, then words by falling frequency.
    splits : dict of str to Pairs
        train, dev, and test if there is one.
    is_sample : bool
        Whether it is the made-up one.
    listing : dict
        Name and checksum of the data for `summary.json`.
    notes : tuple of str
        What there is to say about the splits.
    """

    vocabulary: Vocabulary
    splits: Mapping[str, Pairs]
    is_sample: bool
    listing: dict[str, Any]
    notes: tuple[str, ...] = ()

    def facts(self) -> dict[str, Any]:
        """Return what `summary.json` says about the data."""
        return {
            **self.listing,
            "is_sample": self.is_sample,
            "vocabulary": len(self.vocabulary),
            "splits": {name: pairs.facts() for name, pairs in self.splits.items()},
        }


def load_data(config: TrainConfig) -> Data:
    """Read the data that a configuration names.

    Raises
    ------
    UserError
        A file is missing or has a bad line, or train has no labels to learn.
    """
    path, is_sample = data_or_sample(DATA_SET, config.data, sample.write)
    sources = find_sources(path)
    texts, notes = _split_texts(config, path, sources, is_sample)
    vocabulary = _vocabulary(config, texts)
    splits = {name: encode(part, vocabulary, config) for name, part in texts.items()}
    if len(set(splits["train"].labels.tolist())) < 2:
        only = config.label_names[int(splits["train"].labels[0])]
        raise UserError(
            f"{path}: every training pair is {only}. Expected at least two different labels."
        )
    return Data(vocabulary, splits, is_sample, describe(path).as_dict(), tuple(notes))


def load_split(
    data: str | None,
    split: str | None,
    vocabulary: Vocabulary,
    config: TrainConfig,
    columns: Columns | None = None,
    trained_on: str | None = None,
) -> tuple[str, Pairs]:
    """Return one split of a data set, or a whole file, as ids of a given vocabulary.

    Parameters
    ----------
    data : str or None
        File, folder or zip; None: the data that the configuration was trained on.
    split : {"train", "dev", "dev_mismatched", "test"} or None
        Which file of a folder; None: test if there is one with labels, else dev, else the only one.
    vocabulary : Vocabulary
        Words outside it become `<unk>`.
    config : TrainConfig
        Tokenizer and what to do with bad lines.
    columns : Columns, optional
        Default: those of the configuration.
    trained_on : str, optional
        Checksum of the training data: if `data` is that, its splits are those of training. None: not known.

    Returns
    -------
    name : str
        Name of the split or file.
    pairs : Pairs

    Raises
    ------
    UserError
        As for `load_data`; the training data is asked for and has changed, or its parts with other columns.
    """
    if data is None and config.data is not None and not Path(config.data).expanduser().exists():
        raise UserError(f"{config.data}: the run's data is not there. Name data with --data.")
    path, is_sample = data_or_sample(DATA_SET, data or config.data, sample.write)
    is_own = data is None if trained_on is None else describe(path).sha256 == trained_on
    if data is None and not is_own:
        raise UserError(
            f"{path}: is not, or no longer, the data that the run was trained on. "
            "Name data with --data; a file's pairs are then measured as they are."
        )
    sources = find_sources(path)
    # Parts of train: the rest of the file, or all of it, is what the model has been trained on.
    divided = ("train", "dev") if "dev" not in sources else ("train",) if config.hold_out else ()
    for name in [split] if split else ["test", "dev", "all", *sources]:
        if is_own and name in divided:
            if columns is not None and columns_of(columns) != columns_of(config):
                raise UserError(
                    f"{path}: training divided it into train and dev, by its own columns. "
                    "Leave --premise-column and the like out."
                )
            texts, _ = _split_texts(config, path, sources, is_sample)
            return name, encode(texts[name], vocabulary, config)
        if name not in sources:
            continue
        own = _read(config, sources[name], is_sample, columns, _labels_in(name))
        if own.labels:
            shown = sources[name].path.name if name == "all" else name
            return shown, encode(own, vocabulary, config)
        if split or name != "test" or len(sources) == 1:  # else training left the test file out too
            raise UserError(f"{sources[name]}: holds no pair with a label. Expected one a line.")
    found = "one file" if "all" in sources else ", ".join(sources)
    raise UserError(f"{path}: has no {split} pairs. Found: {found}.")


def split_sentences(config: TrainConfig, split: str) -> Iterator[tuple[str, str, int]]:
    """Yield premise, hypothesis and label of a split as training divides the data; tokens are joined by spaces.

    A file of its own is read as it is; pairs that were held out of train are given by their tokens.
    """
    path, is_sample = data_or_sample(DATA_SET, config.data, sample.write)
    sources = find_sources(path)
    if split in sources and not config.hold_out:
        texts: PairTexts | TokenPairs = read_pairs(sources[split], config, on_bad_line="skip")
    else:
        texts = _split_texts(config, path, sources, is_sample)[0][split]
    tokenize, _ = split_with(config.tokenizer)
    for *pair, label in zip(texts.premises, texts.hypotheses, texts.labels, strict=True):
        premise, hypothesis = (s if isinstance(s, str) else " ".join(s) for s in pair)
        if tokenize(premise) and tokenize(hypothesis):  # as `token_pairs` leaves them out
            yield premise, hypothesis, label


def encode(texts: TokenPairs, vocabulary: Vocabulary, config: TrainConfig) -> Pairs:
    """Return tokens as ids; sentences of more than `max_length` words are truncated."""
    known: dict[Tokens, NDArray[np.int32]] = {}
    ids_of, max_length = encoder(vocabulary, config), config.max_length

    def ids(sentence: Tokens) -> NDArray[np.int32]:
        if sentence not in known:
            known[sentence] = ids_of(sentence[:max_length])
        return known[sentence]

    sides = [[ids(s) for s in side] for side in (texts.premises, texts.hypotheses)]
    truncated = sum(
        len(s) > max_length for side in (texts.premises, texts.hypotheses) for s in side
    )
    labels = np.array(texts.labels, dtype=np.int64)
    return Pairs(sides[0], sides[1], labels, texts.unlabeled, texts.bad, truncated)


def encoder(vocabulary: Vocabulary, config: TrainConfig) -> Encode:
    """Return the function from tokens to ids that a model was, or is to be, trained with."""
    return ids_by_stem(vocabulary) if config.stem_backoff else vocabulary.ids


def batch_of(pairs: Pairs, indices: Iterable[int]) -> dict[str, Any]:
    """Return some pairs as one batch.

    Returns
    -------
    dict
        `premises`, `hypotheses`: int64 tensors (B, T), padded with 1, the id of `<pad>`; `premise_lengths`,
        `hypothesis_lengths`: int64 arrays (B,); `labels`: int64 tensor (B,).
    """
    import torch

    own = [int(i) for i in indices]
    premises, premise_lengths = pad([pairs.premises[i] for i in own], 1)
    hypotheses, hypothesis_lengths = pad([pairs.hypotheses[i] for i in own], 1)
    return {
        "premises": torch.from_numpy(premises),
        "premise_lengths": premise_lengths,
        "hypotheses": torch.from_numpy(hypotheses),
        "hypothesis_lengths": hypothesis_lengths,
        "labels": torch.from_numpy(pairs.labels[own]),
    }


def _split_texts(
    config: TrainConfig, path: Path, sources: Mapping[str, Source], is_sample: bool
) -> tuple[dict[str, TokenPairs], list[str]]:
    """Return the tokens of train, dev and perhaps test, and what there is to say about the splits."""
    if "all" in sources:
        sources = {"train": sources["all"]}
    if "train" not in sources:
        raise UserError(
            f"{path}: has no train pairs (found: {', '.join(sources)}). "
            "Expected a file with train in its name, as snli_1.0_train.jsonl."
        )
    names = [name for name in ("train", "dev", "test") if name in sources]
    texts = {
        name: _read(config, sources[name], is_sample, None, _labels_in(name)) for name in names
    }
    notes = []
    if "test" in texts and not texts["test"].labels:
        del texts["test"]
        notes.append(f"{sources['test']}: has no labels, so nothing is measured on it.")
    for name, part in texts.items():
        if not part.labels:
            raise UserError(f"{sources[name]}: holds no pair with a label. Expected one a line.")
    if config.hold_out:
        texts["train"], texts["dev"] = _hold_out(texts["train"], config.hold_out)
    elif "dev" not in texts:
        texts["train"], texts["dev"] = _draw_dev(texts["train"])
        notes.append(
            f"{path}: has no dev pairs, so a tenth of its premises, drawn at random, is dev."
        )
    return texts, notes


def _labels_in(split: str) -> Labels:
    """Return whether the pairs of a split need labels: those of test may be unpublished."""
    return "optional" if split == "test" else "required"


def _read(
    config: TrainConfig,
    source: Source,
    is_sample: bool,
    columns: Columns | None,
    labels: Labels = "required",
) -> TokenPairs:
    return token_pairs(
        source,
        config.tokenizer,
        columns or config,
        on_bad_line=config.on_bad_line,
        labels=labels,
        is_cached=config.cache and not is_sample,
    )


def _vocabulary(config: TrainConfig, texts: Mapping[str, TokenPairs]) -> Vocabulary:
    counts: Counter[str] = Counter()
    names = ["train"] if config.vocabulary == "train" else list(texts)
    for name in names:
        for side in (texts[name].premises, texts[name].hypotheses):
            for sentence in side:
                counts.update(sentence)
    return Vocabulary.from_counts(
        counts,
        max_size=config.max_vocab_size,
        min_count=config.min_count,
        specials=(UNKNOWN, PADDING),
    )


def _hold_out(texts: TokenPairs, count: int) -> tuple[TokenPairs, TokenPairs]:
    """Split off the end of train where the premise changes: SNLI has each premise in three consecutive pairs.

    Lines that were left out are counted with what stays.
    """
    total = len(texts.labels)
    cut = total - count
    while 0 < cut < total and texts.premises[cut] == texts.premises[cut - 1]:
        cut -= 1
    if cut < 1:
        raise UserError(
            f"--hold-out is {count}, but train has {total} pairs, and those of a premise stay together. Take fewer."
        )
    return _split(texts, np.arange(total) >= cut)


def _draw_dev(texts: TokenPairs) -> tuple[TokenPairs, TokenPairs]:
    """Draw a tenth of the premises, with all their pairs, as dev: one premise is never on both sides."""
    premises = {premise: number for number, premise in enumerate(dict.fromkeys(texts.premises))}
    if len(premises) < 2:
        raise UserError("All pairs have the same premise, so none can be dev. Give a dev file.")
    order = np.random.default_rng(DEV_SEED).permutation(len(premises))
    is_dev_premise = order < max(1, round(DEV_FRACTION * len(premises)))
    return _split(texts, np.array([is_dev_premise[premises[p]] for p in texts.premises]))


def _split(texts: TokenPairs, is_dev: NDArray[np.bool_]) -> tuple[TokenPairs, TokenPairs]:
    """Divide pairs in two; lines that were left out are counted with the first part."""
    train, dev = (
        TokenPairs(
            [texts.premises[i] for i in rows],
            [texts.hypotheses[i] for i in rows],
            [texts.labels[i] for i in rows],
            0,
            0,
        )
        for rows in (np.flatnonzero(~is_dev), np.flatnonzero(is_dev))
    )
    return replace(train, unlabeled=texts.unlabeled, bad=texts.bad), dev


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"
