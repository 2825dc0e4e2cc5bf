"""ESIM, the sequential model of Chen et al. 2017 (arXiv 1609.06038), in the parts that the paper names.

Shapes: B pairs, T time in words, N real words of a batch in all, D size of a word vector, H hidden size, V words of the
vocabulary, C = 3 classes. Premises are `a`, hypotheses `b` in the paper. Between the parts, words lie packed
(`esim.model.packing`): premises and hypotheses go through one LSTM together and no work is done on padding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from esim.config import TrainConfig
from esim.data.labels import LABELS
from esim.model.bilstm import BiLSTM, start_weights
from esim.model.packing import Packing
from shared.text.vocabulary import Vocabulary
from shared.torch.masking import masked_softmax
from shared.torch.rounding import even_rows

VOCABULARY = "vocab.txt"
UNKNOWN_ID = 0


class Esim(nn.Module):
    """Premise and hypothesis to scores of the three labels.

    Parameters
    ----------
    config : TrainConfig
    vocabulary_size : int
        V, `<unk>` and `<pad>` included.
    vectors : float array (V, D), optional
        Where word vectors begin; default: drawn.
    """

    def __init__(self, config: TrainConfig, vocabulary_size: int, vectors: Any = None) -> None:
        super().__init__()
        hidden = config.hidden_size
        self.encoding = InputEncoding(config, vocabulary_size, vectors)
        self.is_masked = config.mask
        self.local_inference = LocalInference()
        self.composition = Composition(config)
        self.pooling = Pooling()
        self.classifier = Classifier(hidden, config.dropout)

    def forward(
        self, premises: Tensor, premise_lengths: Any, hypotheses: Tensor, hypothesis_lengths: Any
    ) -> Tensor:
        """Return the scores of the labels.

        Parameters
        ----------
        premises, hypotheses : int64 tensor (B, T), each with its own T
        premise_lengths, hypothesis_lengths : int array or CPU tensor (B,)
            Real words of each sentence; what stands behind them is not looked at.

        Returns
        -------
        float tensor (B, C)
            Before the softmax, in the order of `LABELS`.
        """
        return self.with_attention(premises, premise_lengths, hypotheses, hypothesis_lengths)[0]

    def with_attention(
        self, premises: Tensor, premise_lengths: Any, hypotheses: Tensor, hypothesis_lengths: Any
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the scores and what each word looked at; parameters as for `forward`.

        Returns
        -------
        scores : float tensor (B, C)
        over_hypothesis : float tensor (B, Tp, Th)
            Weights of the hypothesis' words for each word of the premise; each row sums to 1.
        over_premise : float tensor (B, Th, Tp)
            Weights of the premise's words for each word of the hypothesis.
        """
        widths = (premises.shape[1], hypotheses.shape[1])
        lengths: tuple[Any, ...] = (premise_lengths, hypothesis_lengths)
        if not self.is_masked:  # padding is read like words: for the ablation
            lengths = tuple(np.full(len(part), w) for part, w in zip(lengths, widths, strict=True))
        packing = Packing.of((lengths[0], lengths[1]), widths, premises.device)
        encoded = self.encoding(premises, hypotheses, packing)  # (N, 2 H), eq. 1, 2
        aligned, over_hypothesis, over_premise = self.local_inference(encoded, packing)
        composed = self.composition(encoded, aligned, packing)  # (N, 2 H), eq. 16, 17
        scores = self.classifier(self.pooling(composed, packing))
        return scores, over_hypothesis, over_premise


class InputEncoding(nn.Module):
    """Words to states that know their sentence: word vectors and a BiLSTM (equations 1 and 2)."""

    def __init__(self, config: TrainConfig, vocabulary_size: int, vectors: Any = None) -> None:
        super().__init__()
        size = config.embedding_size
        # A batch meets some hundred words. A dense gradient, and an optimizer that updates all rows, would cost more
        # than the rest of the step at a vocabulary of 42,000.
        self.embedding = nn.Embedding(vocabulary_size, size, sparse=not config.frozen)
        if vectors is None:
            nn.init.normal_(self.embedding.weight, std=0.1)
        else:
            self.embedding.weight.data.copy_(torch.as_tensor(vectors))
        self.embedding.weight.requires_grad_(not config.frozen)
        self.dropout = SentenceDropout(
            config.input_dropout, is_same_for_all_words=config.variational
        )
        self.has_matches = config.matches
        if config.matches:
            self.register_buffer("stems", torch.arange(vocabulary_size))
        self.bilstm = _bilstm(config, size + 2 * config.matches)

    def know_stems(self, vocabulary: Vocabulary) -> None:
        """Take in which words have the same stem; the checkpoint keeps it."""
        if self.has_matches:
            self.get_buffer("stems").copy_(torch.tensor(stem_ids(vocabulary.tokens)))

    def forward(self, premises: Tensor, hypotheses: Tensor, packing: Packing) -> Tensor:
        """Return (N, 2 H) for ids (B, T)."""
        states = self.dropout(self.embedding(packing.pack(premises, hypotheses)), packing)
        if self.has_matches:
            states = torch.cat([states, self.matches(premises, hypotheses, packing)], 1)
        return self.bilstm(states, packing)

    def matches(self, premises: Tensor, hypotheses: Tensor, packing: Packing) -> Tensor:
        """Return whether each word, and its stem, is in the other sentence, (N, 2)."""
        is_a, is_b = packing.masks
        sides = []
        for table in (None, self.get_buffer("stems")):
            a, b = (ids if table is None else table[ids] for ids in (premises, hypotheses))
            # `<unk>` stands for many words; one is not the other.
            a, b = (
                a.masked_fill(premises == UNKNOWN_ID, -1),
                b.masked_fill(hypotheses == UNKNOWN_ID, -2),
            )
            same = (a[:, :, None] == b[:, None, :]) & is_a[:, :, None] & is_b[:, None, :]
            sides.append((same.any(2), same.any(1)))
        found = [
            torch.stack(side, 2).to(self.embedding.weight.dtype)
            for side in zip(*sides, strict=True)
        ]
        return packing.pack(*found)


class LocalInference(nn.Module):
    """Each word's counterpart in the other sentence, by dot-product attention both ways (equations 11 to 13)."""

    def forward(self, encoded: Tensor, packing: Packing) -> tuple[Tensor, Tensor, Tensor]:
        """Return aligned states (N, 2 H) for encoded ones, and the weights (B, Tp, Th) and (B, Th, Tp)."""
        a, b = packing.pad(encoded)
        scores = (a @ b.transpose(1, 2)).float() if a.dtype != torch.float64 else a @ b.mT  # eq. 11
        is_a, is_b = packing.masks
        over_b = masked_softmax(scores, is_b[:, None, :])  # over the *other* sentence
        over_a = masked_softmax(scores.transpose(1, 2), is_a[:, None, :])
        aligned = packing.pack(over_b.to(b.dtype) @ b, over_a.to(a.dtype) @ a)  # eq. 12, 13
        return aligned, over_b, over_a


class Composition(nn.Module):
    """What the comparison of each word comes to, read along the sentence (equations 14 to 17)."""

    def __init__(self, config: TrainConfig) -> None:
        super().__init__()
        self.projection = nn.Linear(8 * config.hidden_size, config.hidden_size)
        nn.init.xavier_uniform_(self.projection.weight)
        nn.init.zeros_(self.projection.bias)
        self.has_relu = config.relu
        self.dropout = SentenceDropout(
            config.input_dropout, is_same_for_all_words=config.variational
        )
        self.bilstm = _bilstm(config, config.hidden_size)

    def forward(self, encoded: Tensor, aligned: Tensor, packing: Packing) -> Tensor:
        """Return (N, 2 H) for encoded and aligned states (N, 2 H)."""
        projected = self.compare(encoded, aligned)
        if self.has_relu:
            projected = F.relu(projected)
        return self.bilstm(self.dropout(projected, packing), packing)

    def compare(self, a: Tensor, aligned: Tensor) -> Tensor:
        """Return the projection of [a; ã; a - ã; a * ã], (N, H).

        W1 a + W2 ã + W3 (a - ã) + W4 (a * ã) is computed as (W1 + W3) a + (W2 - W3) ã + W4 (a * ã): the same, with a
        quarter less work.
        """
        own, other, difference, product = self.projection.weight.chunk(4, dim=1)
        weight = torch.cat([own + difference, other - difference, product], dim=1)  # (H, 6 H)
        parts = even_rows(torch.cat([a, aligned, a * aligned], 1))
        return F.linear(parts, weight, self.projection.bias)[: len(a)]


class Pooling(nn.Module):
    """States of a sentence to one vector: their mean and their maximum (equations 18 to 20)."""

    def forward(self, composed: Tensor, packing: Packing) -> Tensor:
        """Return [mean a; max a; mean b; max b], (B, 8 H), for (N, 2 H); 0 for a sentence without words."""
        halves = []
        for states, mask in zip(packing.pad(composed), packing.masks, strict=True):
            count = mask.sum(1, keepdim=True).clamp(min=1)
            wide = torch.promote_types(states.dtype, torch.float32)
            # Padding is 0 already, so it adds nothing to the sum.
            mean = (states.sum(1, dtype=wide) / count).to(states.dtype)
            lowest = torch.finfo(states.dtype).min
            most = states.masked_fill(~mask[:, :, None], lowest).amax(1)
            halves += [mean, most.masked_fill(~mask.any(1, keepdim=True), 0.0)]
        return torch.cat(halves, 1)


class Classifier(nn.Module):
    """Pooled pair to scores: one hidden layer with tanh (section 3.4)."""

    def __init__(self, hidden: int, dropout: float) -> None:
        super().__init__()
        layers = [nn.Linear(8 * hidden, hidden), nn.Linear(hidden, len(LABELS))]
        for layer in layers:
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.layers = nn.Sequential(
            nn.Dropout(dropout), layers[0], nn.Tanh(), nn.Dropout(dropout), layers[1]
        )

    def forward(self, pooled: Tensor) -> Tensor:
        """Return (B, C) for (B, 8 H)."""
        return self.layers(pooled)


class SentenceDropout(nn.Module):
    """Drops features of packed words.

    Parameters
    ----------
    share : float
        0 to below 1.
    is_same_for_all_words : bool
        Of a sentence: Gal and Ghahramani 2016, arXiv 1512.05287.
    """

    def __init__(self, share: float, *, is_same_for_all_words: bool) -> None:
        super().__init__()
        self.share, self.is_same_for_all_words = share, is_same_for_all_words

    def forward(self, states: Tensor, packing: Packing) -> Tensor:
        """Return (N, H)."""
        if not self.training or not self.share:
            return states
        if not self.is_same_for_all_words:
            return F.dropout(states, self.share)
        ones = states.new_ones(len(packing.lengths), states.shape[1])
        return states * F.dropout(ones, self.share).index_select(0, packing.sentence)


class AcrossBatch(nn.Module):
    """DEFECT of the coursework, for the ablation: an LSTM without `batch_first` over tensors (batch, time, features).

    It takes the pairs of the batch for time steps and the words of a sentence for separate texts.
    """

    def __init__(self, inputs: int, hidden: int, *, orthogonal: bool = True) -> None:
        super().__init__()
        self.lstm = nn.LSTM(inputs, hidden, bidirectional=True)
        start_weights(self.lstm, orthogonal=orthogonal)

    def forward(self, packed: Tensor, packing: Packing) -> Tensor:
        """Return (N, 2 H) for (N, D)."""
        return packing.pack(*(self.lstm(padded)[0] for padded in packing.pad(packed)))


def _bilstm(config: TrainConfig, inputs: int) -> nn.Module:
    kind = AcrossBatch if config.batch_axis else BiLSTM
    return kind(inputs, config.hidden_size, orthogonal=config.orthogonal)


def stem_ids(words: Sequence[str]) -> list[int]:
    """Return a number for each word, the same for words with the same stem (Porter 1980)."""
    from nltk.stem import PorterStemmer

    stemmer = PorterStemmer()
    numbers: dict[str, int] = {}
    return [numbers.setdefault(stemmer.stem(word), len(numbers)) for word in words]
