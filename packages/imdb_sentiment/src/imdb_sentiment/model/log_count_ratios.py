"""Log-count ratios of n-grams as inputs of a network: how much more frequent an n-gram is in reviews of a class.

A network learns little about an n-gram that a handful of reviews have; counting tells at once what there is to know. So
each word gets, beside its vector, the ratios of the n-grams that begin with it. A review's own label would tell itself
by them: in training its ratios are those of reviews in other folds.

Shapes: B batch, T time in tokens, V vocabulary size, N reviews, F n-grams, L length of the longest, C classes, K
classes that are told from the rest (1 for two classes, else C).

References
----------
Wang and Manning 2012, "Baselines and bigrams: simple, good sentiment and topic classification", section 2.1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from imdb_sentiment.config import TrainConfig
from imdb_sentiment.data.reviews import Reviews, task_classes
from imdb_sentiment.data.splits import folds_of
from imdb_sentiment.data.text import Ids
from imdb_sentiment.model.ngrams import NgramCounter, Tokens
from shared.errors import UserError
from shared.text.vocabulary import Vocabulary

NONE = 0
"""Number of all n-grams that were not counted; their ratios are 0."""
MIN_REVIEWS = 2
"""Rarer n-grams are not counted: in training, no other review would tell of them."""


class LogCountRatios(nn.Module):
    """For each word of a review, the ratios of the n-grams that begin with it, one length after the other.

    Parameters
    ----------
    vocabulary : int
        V.
    sizes : sequence of int (L,)
        Number of unigrams, bigrams, ...; F is their sum.
    kinds : int
        K.
    """

    number_of: Tensor
    ratios: Tensor

    def __init__(self, vocabulary: int, sizes: Sequence[int], kinds: int) -> None:
        super().__init__()
        self.sizes = tuple(sizes)
        self.size = len(sizes) * kinds
        self.register_buffer("number_of", torch.zeros(vocabulary, dtype=torch.int64))
        for n, count in enumerate(sizes[1:], start=2):
            self.register_buffer(f"keys_{n}", torch.zeros(count, dtype=torch.int64))
        self.register_buffer("ratios", torch.zeros(1 + sum(sizes), kinds))
        # (1 + F, folds, K), in training alone, and no buffer: it is neither saved nor averaged.
        self.out_of_fold: Tensor | None = None

    @classmethod
    def of_shapes(cls, shapes: Mapping[str, Sequence[int]]) -> LogCountRatios | None:
        """Return a module for the weights of a network, whose shapes are given by name; None if they have none."""
        if "ratios.ratios" not in shapes:
            return None
        rows, kinds = shapes["ratios.ratios"]
        keys = [shapes[name][0] for name in sorted(shapes) if name.startswith("ratios.keys_")]
        return cls(shapes["ratios.number_of"][0], [rows - 1 - sum(keys), *keys], kinds)

    @classmethod
    def count(
        cls,
        sequences: Sequence[Ids],
        targets: NDArray[np.int64],
        folds: NDArray[np.int64],
        *,
        longest: int,
        vocabulary: Sequence[str],
        classes: int,
    ) -> LogCountRatios:
        """Count the n-grams of the training reviews.

        Parameters
        ----------
        sequences : sequence of int arrays (N,)
            Ids of the words of each review.
        targets : int64 array (N,)
            Its class.
        folds : int64 array (N,)
            Its fold, from 0 on.
        longest : int
            L, >= 1.
        vocabulary : sequence of str (V,)
        classes : int
            C.

        Raises
        ------
        UserError
            No word is in two reviews.
        """
        ids = np.concatenate([np.zeros(0, np.int32), *sequences]).astype(np.int64)
        reviews = np.repeat(np.arange(len(sequences)), [len(sequence) for sequence in sequences])
        counter = NgramCounter(longest, MIN_REVIEWS)
        try:
            counts = counter.fit(Tokens(list(vocabulary), ids, reviews, len(sequences)))  # (N, F)
        except UserError:
            raise UserError(
                f"No word is in {MIN_REVIEWS} of the {len(sequences)} training reviews. Give more reviews, or "
                "--log-count-ratios null."
            ) from None
        counts.data[:] = 1  # whether a review has an n-gram, not how often
        kinds = [1] if classes == 2 else range(classes)
        is_class = np.stack([targets == kind for kind in kinds])  # (K, N)
        made = cls(len(vocabulary), [len(counter.words), *map(len, counter.keys)], len(kinds))
        known = [1 + counter.words.id(w) if w in counter.words else NONE for w in vocabulary]
        made.number_of.copy_(torch.tensor(known))
        for n, keys in enumerate(counter.keys, start=2):
            # The counter's numbers begin at 0, and NONE is 0 here.
            first, last = (1 + torch.from_numpy(part) for part in divmod(keys, len(counter.words)))
            getattr(made, f"keys_{n}").copy_(made._key(first, last))
        made.ratios[1:] = torch.from_numpy(_log_ratios(counts, is_class))
        made.out_of_fold = torch.zeros(len(made.ratios), int(folds.max()) + 1, len(kinds))
        for fold in range(made.out_of_fold.shape[1]):
            others = np.flatnonzero(folds != fold)
            ratios = _log_ratios(counts[others], is_class[:, others])
            made.out_of_fold[1:, fold] = torch.from_numpy(ratios)
        return made

    def forward(self, ids: Tensor, folds: Tensor | None = None) -> Tensor:
        """Return ratios (B, T, L K) of ids (B, T); with the folds of the reviews (B,), of reviews in other folds."""
        words = self.number_of[ids]  # (B, T)
        ngrams, numbers, first = words, [words], self.sizes[0]
        for n, size in enumerate(self.sizes[1:], start=2):
            last = nn.functional.pad(words, (0, n - 1), value=NONE)[:, n - 1 :]
            # A key with NONE as one of its parts is no n-gram's, since these have numbers from 1 on.
            ngrams = _numbers(getattr(self, f"keys_{n}"), self._key(ngrams, last))
            numbers.append(torch.where(ngrams == NONE, NONE, first + ngrams))
            first += size
        chosen = torch.stack(numbers, -1)  # (B, T, L)
        if folds is None:
            return self.ratios[chosen].flatten(2)
        assert self.out_of_fold is not None, "made by count"
        if self.out_of_fold.device != ids.device:
            self.out_of_fold = self.out_of_fold.to(ids.device)
        return self.out_of_fold[chosen, folds[:, None, None]].flatten(2)

    def _key(self, first: Tensor, last: Tensor) -> Tensor:
        """Return what tells n-grams apart: the number of the first n - 1 words, and that of the last."""
        return first * (self.sizes[0] + 1) + last


def count_ratios(
    config: TrainConfig,
    vocabulary: Vocabulary,
    reviews: Reviews,
    sequences: Callable[[], Sequence[Ids]],
) -> LogCountRatios | None:
    """Count on the training reviews, whose ids `sequences` gives, if the configuration has log-count ratios."""
    if config.log_count_ratios is None:
        return None
    return LogCountRatios.count(
        sequences(),
        reviews.targets(config.task),
        folds_of(reviews),
        longest=config.log_count_ratios,
        vocabulary=vocabulary.tokens,
        classes=len(task_classes(config.task, reviews.classes)),
    )


def _numbers(keys: Tensor, wanted: Tensor) -> Tensor:
    """Return 1 + the position of each wanted key among rising keys, or `NONE`."""
    if not len(keys):
        return torch.full_like(wanted, NONE)
    smaller = _count_smaller(keys, wanted)
    is_there = keys[smaller.clamp(max=len(keys) - 1)] == wanted
    return torch.where(is_there, smaller + 1, NONE)


def _count_smaller(keys: Tensor, wanted: Tensor) -> Tensor:
    """Return how many of the rising keys are smaller than each wanted number."""
    if not torch.onnx.is_in_onnx_export():
        return torch.searchsorted(keys, wanted.contiguous())
    # ONNX has no such operation: a binary search, some times as slow.
    count = torch.zeros_like(wanted)
    for power in reversed(range(len(keys).bit_length())):
        more = count + (1 << power)
        is_smaller = (more <= len(keys)) & (keys[(more - 1).clamp(max=len(keys) - 1)] < wanted)
        count = torch.where(is_smaller, more, count)
    return count


def _log_ratios(counts: Any, is_class: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return ln of how much more often reviews of a class have an n-gram than the rest (F, K).

    Two reviews, of the classes as they are mixed, are added to those that have it: without any other, the ratio is 1.

    Parameters
    ----------
    counts : CSR matrix (N, F) of 1
    is_class : bool array (K, N)
    """
    own = (is_class.astype(np.float32) @ counts).T.astype(np.float64)  # (F, K)
    every = np.asarray(counts.sum(0)).T.astype(np.float64)  # (F, 1)
    chance = (is_class.sum(1) + 1) / (is_class.shape[1] + 2)  # (K,)
    odds = (own + 2 * chance) / (every - own + 2 * (1 - chance))
    return np.log(odds * (1 - chance) / chance).astype(np.float32)
