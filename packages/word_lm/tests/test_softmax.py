from __future__ import annotations

import pytest
import torch

from word_lm.model.cross_entropy import total_nll
from word_lm.model.embedding import AdaptiveEmbedding, cluster_sizes
from word_lm.model.softmax import AdaptiveSoftmax, FullSoftmax

WORDS = 40


def heads() -> dict[str, FullSoftmax | AdaptiveSoftmax]:
    torch.manual_seed(0)
    embedding = AdaptiveEmbedding(WORDS, 12, (10, 25), 2.0)
    return {
        "full": FullSoftmax(12, WORDS),
        "full, tied, projected": FullSoftmax(8, WORDS, torch.nn.Parameter(torch.randn(WORDS, 12))),
        "adaptive": AdaptiveSoftmax(12, WORDS, (10, 25), 4.0),
        "adaptive, tied": AdaptiveSoftmax(12, WORDS, (10, 25), 2.0, embedding),
        "adaptive, one cluster": AdaptiveSoftmax(12, WORDS, (), 4.0),
    }


def inputs_for(head: FullSoftmax | AdaptiveSoftmax, count: int = 30) -> torch.Tensor:
    size = head.project.in_features if isinstance(head.project, torch.nn.Linear) else 12
    return torch.randn(count, size, generator=torch.Generator().manual_seed(2)) * 3


@pytest.mark.parametrize("name", heads())
def test_probabilities_sum_to_one_and_nll_is_theirs(name: str) -> None:
    head = heads()[name]
    hidden = inputs_for(head, WORDS)
    logs = head.log_probs(hidden).double()
    torch.testing.assert_close(
        logs.exp().sum(1), torch.ones(WORDS, dtype=torch.float64), atol=1e-5, rtol=0
    )
    targets = torch.arange(WORDS)  # every word, so every cluster
    expected = -logs.gather(1, targets[:, None]).squeeze(1)
    torch.testing.assert_close(head.nll(hidden, targets).double(), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", heads())
def test_started_from_counts_words_are_as_likely_as_frequent(name: str) -> None:
    head, counts = (
        heads()[name],
        torch.arange(WORDS, 0, -1) ** 2 - 1,
    )  # the last word does not occur
    head.start_from_counts(counts)
    found = head.log_probs(torch.zeros_like(inputs_for(head, 1))).double()
    expected = (counts + 0.5) / (counts + 0.5).sum()
    torch.testing.assert_close(found[0].exp(), expected.double(), atol=1e-6, rtol=1e-5)


def test_adaptive_nll_is_the_explicitly_normalised_one() -> None:
    head = heads()["adaptive"]
    assert isinstance(head, AdaptiveSoftmax) and head.clusters is not None
    hidden, word = inputs_for(head, 1), 30  # of the second cluster of rare words
    scores = torch.cat([hidden @ head.rows[0].T + head.biases[0], head.clusters(hidden)], 1).exp()
    inner = (head.reduce[1](hidden) @ head.rows[2].T + head.biases[2]).exp()
    chance = scores[0, 11] / scores.sum() * inner[0, word - 25] / inner.sum()
    torch.testing.assert_close(head.nll(hidden, torch.tensor([word])), -chance.log()[None])


@pytest.mark.parametrize("name", heads())
def test_loss_made_for_training_has_the_gradients_of_the_plain_one(name: str) -> None:
    head = heads()[name]
    targets = torch.randint(0, WORDS, (30,), generator=torch.Generator().manual_seed(3))
    found = []
    for is_plain in (True, False):
        head.zero_grad()
        hidden = inputs_for(head).requires_grad_()
        total = head.nll(hidden, targets).sum() if is_plain else head.total_nll(hidden, targets)
        (0.5 * total).backward()  # a factor that the gradients must take over
        found.append([total.detach(), hidden.grad, *[w.grad for w in head.parameters()]])
    for plain, ours in zip(*found, strict=True):
        torch.testing.assert_close(ours, plain, atol=1e-5, rtol=1e-4)


def test_scores_in_pieces_are_scores_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    head = FullSoftmax(12, WORDS)
    hidden, targets = inputs_for(head).requires_grad_(), torch.arange(30)
    at_once = torch.autograd.grad(head.total_nll(hidden, targets), (hidden, head.weight, head.bias))
    monkeypatch.setattr("word_lm.model.cross_entropy._PIECE", WORDS * 3)
    monkeypatch.setattr("word_lm.model.cross_entropy._ROWS", 8)
    in_pieces = torch.autograd.grad(
        head.total_nll(hidden, targets), (hidden, head.weight, head.bias)
    )
    for a, b in zip(at_once, in_pieces, strict=True):
        torch.testing.assert_close(a, b)


def test_rows_beyond_the_targets_count_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    head = FullSoftmax(12, WORDS)
    targets = torch.arange(30)
    weights = (head.weight, head.bias)
    for rows in (8, 32, 1024):  # the last rows alone, some of them, all at once
        monkeypatch.setattr("word_lm.model.cross_entropy._ROWS", rows)
        hidden = inputs_for(head, 34).requires_grad_()
        longer, shorter = (total_nll(h, *weights, targets) for h in (hidden, hidden[:30]))
        torch.testing.assert_close(longer, shorter)
        found, wanted = (torch.autograd.grad(t, (hidden, *weights)) for t in (longer, shorter))
        for a, b in zip(found, wanted, strict=True):
            torch.testing.assert_close(a, b)


def test_bf16_loss_is_near_the_float32_one_and_extreme_scores_stay_finite() -> None:
    head = FullSoftmax(12, WORDS)
    hidden, targets = inputs_for(head), torch.arange(30)
    exact = head.total_nll(hidden, targets)
    with torch.autocast("cpu", torch.bfloat16):
        rough = head.total_nll(hidden, targets)
    assert rough.dtype == torch.float32
    torch.testing.assert_close(rough, exact, rtol=0.02, atol=0.1)
    head.weight.data[0] += 1000  # every other word's probability underflows
    far = hidden.abs()
    torch.testing.assert_close(head.total_nll(far, targets), head.nll(far, targets).sum())


def test_adaptive_embedding_looks_up_each_cluster_and_trains_only_what_was_met() -> None:
    torch.manual_seed(0)
    embedding = AdaptiveEmbedding(WORDS, 12, (10, 25), 2.0)
    ids = torch.tensor([[3, 12], [39, 3]])
    vectors = embedding(ids)
    torch.testing.assert_close(vectors[0, 0], embedding.tables[0][3])
    torch.testing.assert_close(vectors[0, 1], embedding.expand[0](embedding.tables[1][2]))
    torch.testing.assert_close(vectors[1, 0], embedding.expand[1](embedding.tables[2][14]))
    vectors.sum().backward()
    rows = embedding.tables[0].grad.abs().sum(1).nonzero().flatten()
    assert rows.tolist() == [3]  # not row 9, which rare words pass by


def test_clusters_shrink_by_the_divisor() -> None:
    assert cluster_sizes(256, 4, 4.0) == [256, 64, 16, 4]
    assert cluster_sizes(8, 4, 4.0) == [8, 2, 1, 1]
