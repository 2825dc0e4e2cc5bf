"""The data set as word ids, and batches of it.

Shapes: N pairs, B pairs of a batch, T longest sentence of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esim.config import TrainConfig
from esim.data import sample
from esim.data.labels import LABELS
from esim.data.pairs import find_sources
from esim.data.tokens import TokenPairs, Tokens, token_pairs
from shared.data.checksum import describe
from shared.data.samples import data_or_sample
from shared.errors import UserError
from shared.text.batching import pad
from shared.text.vocabulary import Vocabulary

UNKNOWN, PADDING = "<unk>", "<pad>"
DATA_SET = "snli"


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

    def facts(self) -> dict[str, int]:
        """Return the counts that `summary.json` keeps."""
        counts = np.bincount(self.labels, minlength=len(LABELS)).tolist()
        return {
            "pairs": len(self),
            **dict(zip(LABELS, counts, strict=True)),
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
    """

    vocabulary: Vocabulary
    splits: Mapping[str, Pairs]
    is_sample: bool
    listing: dict[str, Any]

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
    if "all" in sources:
        raise UserError(
            f"{path}: is one file. Training needs a folder or zip with train and dev pairs."
        )
    for name in ("train",) if config.hold_out else ("train", "dev"):
        if name not in sources:
            raise UserError(
                f"{path}: has no {name} pairs (found: {', '.join(sources)}). "
                f"Expected a file with {name} in its name, as snli_1.0_{name}.jsonl."
            )
    texts: dict[str, TokenPairs] = {
        name: token_pairs(
            sources[name],
            config.tokenizer,
            on_bad_line=config.on_bad_line,
            is_cached=config.cache and not is_sample,
        )
        for name in ("train", "dev", "test")
        if name in sources
    }
    if config.hold_out:
        texts["train"], texts["dev"] = _hold_out(texts["train"], config.hold_out)
    vocabulary = _vocabulary(config, texts)
    splits: dict[str, Pairs] = {
        name: encode(part, vocabulary, config.max_length) for name, part in texts.items()
    }
    for name, part in splits.items():
        if not len(part):
            raise UserError(f"{sources[name]}: holds no pair with a label. Expected one a line.")
    if len(set(splits["train"].labels.tolist())) < 2:
        only = LABELS[int(splits["train"].labels[0])]
        raise UserError(
            f"{sources['train']}: every pair is {only}. Expected at least two different labels."
        )
    return Data(vocabulary, splits, is_sample, describe(path).as_dict())


def load_split(
    data: str | None, split: str | None, vocabulary: Vocabulary, config: TrainConfig
) -> tuple[str, Pairs]:
    """Return one split of a data set, or a whole file, as ids of a given vocabulary.

    Parameters
    ----------
    data : str or None
        File, folder or zip; None: as for `load_data`.
    split : {"train", "dev", "dev_mismatched", "test"} or None
        Which file of a folder; None: test if there is one, else dev, else the only one.
    vocabulary : Vocabulary
        Words outside it become `<unk>`.
    config : TrainConfig
        Tokenizer and what to do with bad lines.

    Returns
    -------
    name : str
        Name of the split or file.
    pairs : Pairs

    Raises
    ------
    UserError
        As for `load_data`.
    """
    path, is_sample = data_or_sample(DATA_SET, data, sample.write)
    sources = find_sources(path)
    wanted = [split] if split else ["test", "dev", "all", *sources]
    name = "all" if "all" in sources else next((n for n in wanted if n in sources), None)
    if name is None:
        raise UserError(f"{path}: has no {split} pairs. Found: {', '.join(sources)}.")
    texts = token_pairs(
        sources[name],
        config.tokenizer,
        on_bad_line=config.on_bad_line,
        is_cached=config.cache and not is_sample,
    )
    pairs = encode(texts, vocabulary, config.max_length)
    if not len(pairs):
        raise UserError(f"{sources[name]}: holds no pair with a label. Expected one a line.")
    return sources[name].path.name if name == "all" else name, pairs


def encode(texts: TokenPairs, vocabulary: Vocabulary, max_length: int) -> Pairs:
    """Return tokens as ids; sentences of more than `max_length` words are truncated."""
    known: dict[Tokens, NDArray[np.int32]] = {}

    def ids(sentence: Tokens) -> NDArray[np.int32]:
        if sentence not in known:
            known[sentence] = vocabulary.ids(sentence[:max_length])
        return known[sentence]

    sides = [[ids(s) for s in side] for side in (texts.premises, texts.hypotheses)]
    truncated = sum(
        len(s) > max_length for side in (texts.premises, texts.hypotheses) for s in side
    )
    labels = np.array(texts.labels, dtype=np.int64)
    return Pairs(sides[0], sides[1], labels, texts.unlabeled, texts.bad, truncated)


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
        raise UserError(f"--hold-out is {count}, but train has {total} pairs. Take fewer.")

    kept = TokenPairs(
        texts.premises[:cut], texts.hypotheses[:cut], texts.labels[:cut], texts.unlabeled, texts.bad
    )
    held = TokenPairs(texts.premises[cut:], texts.hypotheses[cut:], texts.labels[cut:], 0, 0)
    return kept, held


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"
