"""ESIM, the sequential model of Chen et al. 2017 (arXiv 1609.06038), in the parts that the paper names.

Shapes: B pairs, T time in words (Tp premise, Th hypothesis), N real words of the batch, D size of a word vector, H
hidden size, V vocabulary size, C = 3 classes. Equation numbers are the paper's, where a premise is `a` and a hypothesis
`b`. Between the parts, words are packed (`esim.model.packing`): premises and hypotheses go through one LSTM together,
and nothing is computed for padding.

Three settings add what the paper does not have, for few training pairs: match features (`matches`), lexical relations
(`relations`, after Chen et al. 2018, arXiv 1711.04289), and vectors of unknown words by their stem (`stem_backoff`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from esim.config import TrainConfig
from esim.data.labels import LABELS
from esim.data.stems import UNKNOWN_ID, stem_ids
from esim.model.bilstm import BiLSTM, init_weights
from esim.model.packing import Packing
from shared.text.vocabulary import Vocabulary
from shared.torch.cpu import pad_rows
from shared.torch.masking import masked_softmax

VOCABULARY = "vocab.txt"
RELATIONS = 3
"""Lexical relations of a pair of words: same word, same stem, cosine of the word vectors."""
_INITIAL_WEIGHTS = (2.0, 2.0, 5.0)
"""Initial weights in the attention scores: alike words get most of the attention before anything is learned."""


class Esim(nn.Module):
    """Scores of the three labels for a premise and a hypothesis (the whole of section 3).

    Parameters
    ----------
    config : TrainConfig
    vocabulary_size : int
        V, `<unk>` and `<pad>` included.
    vectors : float array (V, D), optional
        Initial word vectors; default: drawn from N(0, 0.1).
    """

    def __init__(self, config: TrainConfig, vocabulary_size: int, vectors: Any = None) -> None:
        super().__init__()
        self.encoding = InputEncoding(config, vocabulary_size, vectors)
        self.is_masked = config.mask
        self.local_inference = LocalInference(config)
        self.composition = Composition(config)
        self.pooling = Pooling()
        self.classifier = Classifier(config)

    def forward(
        self, premises: Tensor, premise_lengths: Any, hypotheses: Tensor, hypothesis_lengths: Any
    ) -> Tensor:
        """Return the scores of the labels.

        Parameters
        ----------
        premises, hypotheses : int64 tensor (B, T), each with its own T
        premise_lengths, hypothesis_lengths : int array or CPU tensor (B,)
            Real words of each sentence; ids beyond them are not read.

        Returns
        -------
        float tensor (B, C)
            Before the softmax, in the order of `LABELS`.
        """
        return self.with_attention(premises, premise_lengths, hypotheses, hypothesis_lengths)[0]

    def with_attention(
        self, premises: Tensor, premise_lengths: Any, hypotheses: Tensor, hypothesis_lengths: Any
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the scores and the attention of both directions; parameters as for `forward`.

        Returns
        -------
        scores : float tensor (B, C)
        over_hypothesis : float tensor (B, Tp, Th)
            Attention of each word of the premise over the words of the hypothesis; each row sums to 1.
        over_premise : float tensor (B, Th, Tp)
            Attention of each word of the hypothesis over the words of the premise.
        """
        widths = (premises.shape[1], hypotheses.shape[1])
        lengths: tuple[Any, ...] = (premise_lengths, hypothesis_lengths)
        if not self.is_masked:  # padding is read like words: for the ablation
            lengths = tuple(np.full(len(part), w) for part, w in zip(lengths, widths, strict=True))
        packing = Packing.of((lengths[0], lengths[1]), widths, premises.device)
        encoded = self.encoding(premises, hypotheses, packing)  # (N, 2 H), eq. 1, 2
        relations = self.encoding.relations(
            premises, hypotheses, packing
        )  # None in the paper's model
        aligned, over_hypothesis, over_premise = self.local_inference(
            encoded, packing, relations
        )  # eq. 11-13
        composed = self.composition(encoded, aligned, packing)  # (N, 2 H), eq. 14-17
        pooled = self.pooling(composed, packing)  # (B, 8 H), eq. 18-20
        return self.classifier(pooled), over_hypothesis, over_premise


class InputEncoding(nn.Module):
    """Word vectors, read in context by a BiLSTM that both sentences share (equations 1 and 2)."""

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
        self.dropout = SequenceDropout(config.input_dropout, is_variational=config.variational)
        self.has_matches, self.has_relations = config.matches, config.relations
        self.has_backoff = config.stem_backoff
        if config.matches or config.relations or config.stem_backoff:
            self.register_buffer("stems", torch.arange(vocabulary_size))
        if config.stem_backoff:  # of each stem, its most frequent word
            self.register_buffer("heads", torch.arange(vocabulary_size))
        self.bilstm = _bilstm(config, size + 2 * config.matches)

    def set_stems(self, vocabulary: Vocabulary) -> None:
        """Record which words have the same stem; the checkpoint keeps it."""
        buffers = dict(self.named_buffers())
        if "stems" not in buffers:
            return
        stems = stem_ids(vocabulary.tokens)
        buffers["stems"].copy_(torch.tensor(stems))
        if self.has_backoff:
            heads = {stem: word for word, stem in reversed(list(enumerate(stems)))}
            buffers["heads"][: len(heads)] = torch.tensor([heads[n] for n in range(len(heads))])

    def forward(self, premises: Tensor, hypotheses: Tensor, packing: Packing) -> Tensor:
        """Return states (N, 2 H) for ids (B, T)."""
        ids = packing.pack(premises, hypotheses)  # (N,)
        states = self.embedding(self.rows(ids))  # (N, D)
        states = self.dropout(states, packing)
        if self.has_matches:
            matches = self.matches(premises, hypotheses, packing)
            states = torch.cat([states, matches], 1)  # (N, D + 2)
        return self.bilstm(states, packing)

    def rows(self, ids: Tensor) -> Tensor:
        """Return the rows of the embedding for ids: of an unknown word, that of a known one with its stem, if any."""
        if not self.has_backoff:
            return ids
        size = self.embedding.num_embeddings
        heads = self.get_buffer("heads")[(ids - size).clamp(0, size - 1)]
        return torch.where(ids < size, ids, heads.where(ids < 2 * size, UNKNOWN_ID))

    def matches(self, premises: Tensor, hypotheses: Tensor, packing: Packing) -> Tensor:
        """Return whether each word, and its stem, is in the other sentence, (N, 2)."""
        same = self._same(premises, hypotheses, packing)  # (B, Tp, Th, 2)
        dtype = self.embedding.weight.dtype
        return packing.pack(same.any(2).to(dtype), same.any(1).to(dtype))

    def relations(self, premises: Tensor, hypotheses: Tensor, packing: Packing) -> Tensor | None:
        """Return the lexical relations of each pair of words, (B, Tp, Th, 3), or None without the setting.

        They are 1 for the same word, 1 for the same stem, and the cosine of the word vectors (no gradient).
        """
        if not self.has_relations:
            return None
        same = self._same(premises, hypotheses, packing)
        a, b = (self._directions(self.rows(ids)) for ids in (premises, hypotheses))
        cosine = a @ b.mT  # (B, Tp, Th)
        is_a, is_b = packing.masks
        cosine = cosine.masked_fill(~(is_a[:, :, None] & is_b[:, None, :]), 0.0)
        return torch.cat([same.to(cosine.dtype), cosine[..., None]], 3)

    def _same(self, premises: Tensor, hypotheses: Tensor, packing: Packing) -> Tensor:
        """Return which words are the same, and which have the same stem, bool (B, Tp, Th, 2)."""
        is_a, is_b = packing.masks
        same = []
        for stem in (lambda ids: ids, self._stems):
            # `<unk>` stands for many words: two of them are not a match.
            a = stem(premises).masked_fill(premises == UNKNOWN_ID, -1)
            b = stem(hypotheses).masked_fill(hypotheses == UNKNOWN_ID, -2)
            same.append((a[:, :, None] == b[:, None, :]) & is_a[:, :, None] & is_b[:, None, :])
        return torch.stack(same, 3)

    def _stems(self, ids: Tensor) -> Tensor:
        size = self.embedding.num_embeddings
        known = self.get_buffer("stems")[ids.clamp(max=size - 1)]
        if not self.has_backoff:
            return known
        return torch.where(ids < size, known, torch.where(ids < 2 * size, ids - size, ids))

    def _directions(self, rows: Tensor) -> Tensor:
        """Return word vectors of length 1, (B, T, D); 0 for `<unk>`."""
        vectors = F.normalize(self.embedding.weight.detach()[rows], dim=2)
        return vectors.masked_fill((rows == UNKNOWN_ID)[:, :, None], 0.0)


class LocalInference(nn.Module):
    """Soft alignment of each word with the other sentence, by dot-product attention (equations 11 to 13).

    With lexical relations, a learned weight of each is added to the scores, and the relations to the aligned words are
    appended to the aligned states.
    """

    def __init__(self, config: TrainConfig) -> None:
        super().__init__()
        if config.relations:
            self.weight = nn.Parameter(torch.tensor(_INITIAL_WEIGHTS))

    def forward(
        self, encoded: Tensor, packing: Packing, relations: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return aligned states for encoded ones (N, 2 H), and the attention (B, Tp, Th) and (B, Th, Tp).

        With relations (B, Tp, Th, 3), the aligned states are (N, 2 H + 3).
        """
        a, b = packing.pad(encoded)  # (B, Tp, 2 H), (B, Th, 2 H)
        scores = a @ b.mT  # (B, Tp, Th), eq. 11
        scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
        if relations is not None:
            scores = scores + relations.to(scores.dtype) @ self.weight.to(scores.dtype)
        is_a, is_b = packing.masks
        over_b = masked_softmax(scores, is_b[:, None, :])  # over the *other* sentence
        over_a = masked_softmax(scores.mT, is_a[:, None, :])
        aligned_a = over_b.to(b.dtype) @ b  # (B, Tp, 2 H), eq. 12
        aligned_b = over_a.to(a.dtype) @ a  # (B, Th, 2 H), eq. 13
        if relations is not None:
            related_a = (over_b[..., None] * relations).sum(2)  # (B, Tp, 3)
            related_b = (over_a[..., None] * relations.transpose(1, 2)).sum(2)  # (B, Th, 3)
            aligned_a = torch.cat([aligned_a, related_a.to(a.dtype)], 2)
            aligned_b = torch.cat([aligned_b, related_b.to(b.dtype)], 2)
        return packing.pack(aligned_a, aligned_b), over_b, over_a


class Composition(nn.Module):
    """Comparison of each word with its aligned one, read along the sentence (equations 14 to 17).

    The paper writes equations 16 and 17 for the tree LSTM; the sequential model has a BiLSTM there.
    """

    def __init__(self, config: TrainConfig) -> None:
        super().__init__()
        self.projection = nn.Linear(
            8 * config.hidden_size + RELATIONS * config.relations, config.hidden_size
        )
        _init_linear(self.projection)
        self.has_relu = config.relu
        probability = config.projection_dropout
        self.dropout = SequenceDropout(
            config.input_dropout if probability is None else probability,
            is_variational=config.variational,
        )
        self.bilstm = _bilstm(config, config.hidden_size)

    def forward(self, encoded: Tensor, aligned: Tensor, packing: Packing) -> Tensor:
        """Return composed states (N, 2 H) for encoded ones (N, 2 H) and what `LocalInference` aligned with them."""
        projected = self.compare(encoded, aligned)  # (N, H), F of eq. 16
        if self.has_relu:
            projected = F.relu(projected)
        return self.bilstm(self.dropout(projected, packing), packing)  # (N, 2 H), eq. 16, 17

    def compare(self, a: Tensor, aligned: Tensor) -> Tensor:
        """Return the projection of [a; ã; a - ã; a * ã] (equations 14 and 15), (N, H).

        W1 a + W2 ã + W3 (a - ã) + W4 (a * ã) is computed as (W1 + W3) a + (W2 - W3) ã + W4 (a * ã): the same, with a
        quarter less work. Relations to the aligned words follow, if there are any.
        """
        size = a.shape[1]
        aligned, related = aligned[:, :size], aligned[:, size:]
        own, other, difference, product, of_related = self.projection.weight.split(
            [size, size, size, size, related.shape[1]], dim=1
        )
        weight = torch.cat([own + difference, other - difference, product, of_related], dim=1)
        parts = pad_rows(torch.cat([a, aligned, a * aligned, related], 1))  # (N, 6 H)
        return F.linear(parts, weight, self.projection.bias)[: len(a)]


class Pooling(nn.Module):
    """Mean and maximum over the words of each sentence (equations 18 to 20)."""

    def forward(self, composed: Tensor, packing: Packing) -> Tensor:
        """Return [mean a; max a; mean b; max b], (B, 8 H), for (N, 2 H); 0 for a sentence without words."""
        halves = []
        for states, mask in zip(packing.pad(composed), packing.masks, strict=True):
            count = mask.sum(1, keepdim=True).clamp(min=1)
            wide = torch.promote_types(states.dtype, torch.float32)
            # Padding is 0 already, so it adds nothing to the sum.
            mean = (states.sum(1, dtype=wide) / count).to(states.dtype)  # (B, 2 H)
            lowest = torch.finfo(states.dtype).min
            maximum = states.masked_fill(~mask[:, :, None], lowest).amax(1)  # (B, 2 H)
            maximum = maximum.masked_fill(~mask.any(1, keepdim=True), 0.0)
            halves += [mean, maximum]  # eq. 18 for premises, 19 for hypotheses
        return torch.cat(halves, 1)  # eq. 20


class Classifier(nn.Module):
    """Scores of the labels: a multilayer perceptron with one hidden layer (section 3.3).

    The paper's has tanh; the reference implementation drops out before both layers. The coursework's (`classifier:
    coursework`) has ReLU, and dropout before the first layer only.
    """

    def __init__(self, config: TrainConfig) -> None:
        super().__init__()
        hidden = config.hidden_size
        layers = [nn.Linear(8 * hidden, hidden), nn.Linear(hidden, len(LABELS))]
        for layer in layers:
            _init_linear(layer)
        is_paper = config.classifier == "paper"
        # Without dropout before the second layer its place is kept, so that weights have the same names in both.
        self.layers = nn.Sequential(
            nn.Dropout(config.dropout),
            layers[0],  # (B, 8 H) -> (B, H)
            nn.Tanh() if is_paper else nn.ReLU(),
            nn.Dropout(config.dropout) if is_paper else nn.Identity(),
            layers[1],  # (B, H) -> (B, C)
        )

    def forward(self, pooled: Tensor) -> Tensor:
        """Return (B, C) for (B, 8 H)."""
        return self.layers(pooled)


class SequenceDropout(nn.Module):
    """Dropout on the features of packed words.

    Parameters
    ----------
    probability : float
        0 to below 1.
    is_variational : bool
        Drop the same features at all words of a sentence (Gal and Ghahramani 2016, arXiv 1512.05287).
    """

    def __init__(self, probability: float, *, is_variational: bool) -> None:
        super().__init__()
        self.probability, self.is_variational = probability, is_variational

    def forward(self, states: Tensor, packing: Packing) -> Tensor:
        """Return (N, H) for (N, H)."""
        if not self.training or not self.probability:
            return states
        if not self.is_variational:
            return F.dropout(states, self.probability)
        ones = states.new_ones(len(packing.lengths), states.shape[1])  # (S, H)
        return states * F.dropout(ones, self.probability).index_select(0, packing.sentence)


class AcrossBatch(nn.Module):
    """DEFECT of the coursework, for the ablation: an LSTM without `batch_first` over tensors (batch, time, features).

    It reads the pairs of the batch as time steps, and each word position as a sequence of its own.
    """

    def __init__(self, inputs: int, hidden: int, *, orthogonal: bool = True) -> None:
        super().__init__()
        self.lstm = nn.LSTM(inputs, hidden, bidirectional=True)
        init_weights(self.lstm, orthogonal=orthogonal)

    def forward(self, packed: Tensor, packing: Packing) -> Tensor:
        """Return (N, 2 H) for (N, D)."""
        # Outside autocast, which computes LSTMs on a GPU in float16 whatever format was asked for.
        with torch.autocast(packed.device.type, enabled=False):
            sides = packing.pad(packed.to(next(self.lstm.parameters()).dtype))
            return packing.pack(*(self.lstm(padded)[0] for padded in sides))


def _bilstm(config: TrainConfig, inputs: int) -> nn.Module:
    layer = AcrossBatch if config.batch_axis else BiLSTM
    return layer(inputs, config.hidden_size, orthogonal=config.orthogonal)


def _init_linear(layer: nn.Linear) -> None:
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
