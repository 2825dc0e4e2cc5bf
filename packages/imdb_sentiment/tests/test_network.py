from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from imdb_sentiment import train_network
from imdb_sentiment.config import TrainConfig
from imdb_sentiment.data.reviews import RATINGS, Reviews
from imdb_sentiment.model import trained as model_module
from imdb_sentiment.model.build import build_network, prefix_numbers
from imdb_sentiment.model.log_count_ratios import count_ratios
from imdb_sentiment.model.network import Network
from imdb_sentiment.model.recurrent import RecurrentClassifier
from imdb_sentiment.model.trained import network_probabilities
from imdb_sentiment.train_network import Examples, Loss, make_optimizers, with_min_steps
from shared.errors import UserError
from shared.text.vocabulary import Vocabulary

V, PAD, UNK = 40, 0, 1
PAD_WORD = "<pad>"
FAMILIES: dict[str, dict[str, Any]] = {
    "lstm": {"model": "lstm"},
    "lstm last": {"model": "lstm", "pooling": "last", "layers": 2, "bidirectional": False},
    "prefixes": {"model": "lstm", "prefix_letters": 5},
    "handwritten": {"model": "handwritten_lstm", "pooling": "mean"},
    "cnn": {"model": "cnn", "pooling": "max", "widths": (1, 3)},
    "ratios": {"model": "lstm", "log_count_ratios": 3},
    "cnn with ratios": {"model": "cnn", "pooling": "max", "log_count_ratios": 2},
}


def network(**settings: Any) -> Network:
    torch.manual_seed(0)
    config = TrainConfig(**{"embedding_size": 12, "hidden_size": 10, "max_tokens": 20, **settings})
    tokens = [PAD_WORD, "<unk>", *(f"word{i}" for i in range(2, V))]
    classes = 8 if config.task == "rating" else 2
    vocabulary, ratios = Vocabulary(tokens, [1] * V), None
    if config.log_count_ratios is not None:
        labels = np.arange(40) % 2
        stars = np.array(RATINGS)[np.arange(40) % 8]
        reviews = Reviews([""] * 40, labels, stars, list(map(str, range(40))), [""] * 40)
        ratios = count_ratios(config, vocabulary, reviews, lambda: sequences(40, seed=1))
    return build_network(config, vocabulary, classes=classes, ratios=ratios).eval()


def sequences(count: int = 12, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.integers(2, V, rng.integers(1, 15)).astype(np.int32) for _ in range(count)]


@pytest.mark.parametrize("family", FAMILIES)
def test_more_padding_changes_nothing(family: str) -> None:
    model = network(**FAMILIES[family])
    ids, lengths = model.batch(sequences())
    wider = torch.cat([ids, torch.full((len(ids), 7), PAD)], 1)
    assert torch.allclose(model(ids, lengths)[0], model(wider, lengths)[0], atol=1e-6)
    # Padding is told by lengths: what stands there does not matter.
    noisy = wider.masked_fill(torch.arange(wider.shape[1]) >= lengths[:, None], 5)
    assert torch.allclose(model(ids, lengths)[0], model(noisy, lengths)[0], atol=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_review_is_judged_the_same_in_any_company(family: str) -> None:
    model = network(**FAMILIES[family])
    together = network_probabilities(model, sequences())
    alone = np.concatenate([network_probabilities(model, [ids]) for ids in sequences()])
    assert np.abs(together - alone).max() < 1e-6
    assert np.allclose(together.sum(1), 1)


def test_each_process_judges_its_part_and_all_know_the_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, ids = network(model="lstm"), sequences(10)
    parts = [network_probabilities(model, ids[rank::3]) for rank in range(3)]
    judged: list[np.ndarray] = []

    def of_all(accelerator: Any, own: np.ndarray) -> list[np.ndarray]:
        judged.append(own)
        return parts

    monkeypatch.setattr(train_network, "of_all", of_all)
    for rank in range(3):
        process: Any = SimpleNamespace(process_index=rank, num_processes=3)
        found = train_network.distributed_probabilities(model, ids, process)
        assert np.allclose(found, network_probabilities(model, ids), atol=1e-6)
        assert np.array_equal(judged[-1], parts[rank])


@pytest.mark.parametrize("padding", ["batch", "front"])
def test_batches_of_many_short_reviews_stay_within_the_room_for_them(
    padding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_module, "EVALUATION_TOKENS", 200)
    pooling = "last_position" if padding == "front" else "max"
    model = network(model="lstm", padding=padding, pooling=pooling, max_tokens=20)
    real, shapes = model.batch, []

    def noting(chosen: list[np.ndarray]) -> tuple[Tensor, Tensor]:
        found = real(chosen)
        shapes.append(tuple(found[0].shape))
        return found

    model.batch = noting  # type: ignore[method-assign]
    network_probabilities(model, [np.array([2], np.int32)] * 50)
    assert sum(rows for rows, _ in shapes) == 50
    assert max(rows * width for rows, width in shapes) <= 200


@pytest.mark.parametrize("family", FAMILIES)
def test_every_word_of_a_review_can_matter(family: str) -> None:
    model = network(**FAMILIES[family])
    ids, lengths = model.batch([np.arange(2, 14, dtype=np.int32)])
    vectors = model.vectors(ids).detach().requires_grad_()
    logits, _ = model.from_vectors(vectors, lengths)
    (gradient,) = torch.autograd.grad(logits[0, 0], vectors)
    seen = (gradient[0].abs().sum(-1) > 0).tolist()
    assert all(seen) or (model.config.pooling == "max" and sum(seen) > 3)


def test_last_takes_both_directions_after_their_last_word_and_last_position_does_not() -> None:
    model = network(model="lstm", pooling="last")
    ids, lengths = model.batch([np.array([5, 6, 7], np.int32), np.array([8], np.int32)])
    outputs, _ = model.lstm(model.vectors(ids), lengths)  # type: ignore[operator]
    pooled = model.pooled(model.vectors(ids), lengths)
    assert torch.equal(pooled[0], torch.cat([outputs[0, 2, :10], outputs[0, 0, 10:]]))
    assert torch.equal(pooled[1], outputs[1, 0])


def test_words_with_the_same_prefix_have_its_vector_in_common() -> None:
    tokens = ["<pad>", "<unk>", "disappointed", "disappointing", "dis", "film", "films"]
    assert prefix_numbers(tokens, 5).tolist() == [0, 1, 2, 2, 3, 4, 5]
    config = TrainConfig(embedding_size=4, hidden_size=4, prefix_letters=5)
    model = build_network(config, Vocabulary(tokens, [1] * 7))
    vectors = model.vectors(torch.tensor([[0, 2, 3]]))[0]
    assert not vectors[0].any()
    own = model.embedding(torch.tensor([2, 3]))
    assert torch.allclose(vectors[1] - vectors[2], own[0] - own[1])


def test_coursework_reads_padding_and_one_word_backward() -> None:
    model = network(model="lstm", padding="front", pooling="last_position", max_tokens=6)
    ids, lengths = model.batch([np.array([5, 6, 7], np.int32)])
    assert ids.tolist() == [[0, 0, 0, 5, 6, 7]]
    outputs, _ = model.lstm(model.vectors(ids), torch.tensor([6]))  # type: ignore[operator]
    assert torch.equal(model.pooled(model.vectors(ids), lengths), outputs[:, -1])


@pytest.mark.parametrize("family", FAMILIES)
def test_row_of_padding_is_zero_and_stays_zero(family: str) -> None:
    model = network(**FAMILIES[family], weight_decay=0.1, adversarial=0.1, word_dropout=0.3)
    model.train()
    (optimizer,) = make_optimizers(model.config, model)
    loss_function = Loss(model.config, model, UNK)
    for seed in range(3):
        batch = of(model, sequences(seed=seed))
        loss, _, _ = loss_function(model, batch)
        loss.backward()
        optimizer.step()
    assert not model.embedding.weight[PAD].any()
    assert model.embedding.weight[UNK].any()
    if model.prefixes is not None:
        assert not model.prefixes.weight[0].any()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("task", ["polarity", "rating"])
def test_one_batch_can_be_memorized(family: str, task: str) -> None:
    model = network(**FAMILIES[family], task=task, dropout=0.0, learning_rate=0.02)
    model.train()
    (optimizer,) = make_optimizers(model.config, model)
    batch = of(model, sequences())
    for _ in range(80):
        loss, count, sums = Loss(model.config, model, UNK)(model, batch)
        optimizer.zero_grad()
        (loss / count).backward()
        optimizer.step()
    assert int(sums["accuracy"]) == count


def of(model: Network, ids: list[np.ndarray]) -> dict[str, Tensor]:
    padded, lengths = model.batch(ids)
    ratings = torch.tensor([i % 8 for i in range(len(ids))])
    targets = ratings if model.config.task == "rating" else (ratings >= 4).long()
    return {"ids": padded, "lengths": lengths, "targets": targets, "ratings": ratings}


def test_adversarial_change_has_its_length_and_raises_the_loss() -> None:
    model = network(model="lstm", adversarial=0.05)
    batch = of(model, sequences())
    shift = Loss(model.config, model, UNK)._adversarial_shift(batch["ids"], batch)
    vectors = model.vectors(batch["ids"])
    ratio = shift.flatten(1).norm(dim=1) / vectors.flatten(1).norm(dim=1)
    assert torch.allclose(ratio, torch.full_like(ratio, 0.05), atol=1e-4)

    def loss(change: Tensor | None) -> float:
        logits, _ = model(batch["ids"], batch["lengths"], change)
        return torch.nn.functional.cross_entropy(logits, batch["targets"]).item()

    assert loss(shift) > loss(None)
    assert all(weight.grad is None for weight in model.parameters())


def test_adversarial_change_is_of_word_vectors_and_not_of_what_is_counted() -> None:
    model = network(model="lstm", adversarial=0.05, log_count_ratios=2)
    batch = of(model, sequences()) | {"folds": torch.arange(12) % 8}
    shift = Loss(model.config, model, UNK)._adversarial_shift(batch["ids"], batch)
    assert shift.shape[-1] == 14 and not shift[..., 12:].any()
    assert (shift[..., :12].flatten(1).norm(dim=1) > 0.01).all()


def test_word_vectors_have_their_own_learning_rate() -> None:
    model = network(
        model="cnn", pooling="max", learning_rate=0.01, vector_rate=0.1, prefix_letters=5
    )
    (optimizer,) = make_optimizers(model.config, model)
    rates = {id(w): g["lr"] for g in optimizer.param_groups for w in g["params"]}
    own = {name: rates[id(weight)] for name, weight in model.named_parameters()}
    slow = {name for name, rate in own.items() if rate == pytest.approx(0.001)}
    assert slow == {"embedding.weight", "prefixes.weight"}
    assert own["head.classes.weight"] == 0.01


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_weights_decay_and_biases_do_not(optimizer: Any) -> None:
    model = network(model="lstm", weight_decay=0.1, head_size=3, optimizer=optimizer)
    (made,) = make_optimizers(model.config, model)
    decay = {id(w): g["weight_decay"] for g in made.param_groups for w in g["params"]}
    for name, weight in model.named_parameters():
        assert decay[id(weight)] == (0.1 if weight.ndim > 1 else 0), name


def test_dropped_words_are_unknown_and_padding_stays() -> None:
    model = network(model="lstm", word_dropout=0.5)
    ids, lengths = model.batch(sequences(60))
    torch.manual_seed(1)
    dropped = Loss(model.config, model, UNK)._with_dropped_words(ids)
    is_real = torch.arange(ids.shape[1]) < lengths[:, None]
    assert torch.equal(dropped[~is_real], ids[~is_real])
    assert 0.4 < float((dropped[is_real] == UNK).float().mean()) < 0.6
    changed = dropped != ids
    assert (dropped[changed] == UNK).all()


def test_feature_dropout_of_vectors_is_the_same_for_a_whole_review() -> None:
    model = network(model="cnn", pooling="mean", widths=(1,), input_dropout=0.5)
    model.train()
    seen: list[Tensor] = []
    model.pooled = lambda vectors, lengths: seen.append(vectors) or torch.zeros(len(vectors), 10)  # type: ignore
    model.from_vectors(torch.ones(4, 6, 12), torch.tensor([6, 6, 6, 6]))
    (vectors,) = seen
    assert torch.equal(vectors, vectors[:, :1].expand_as(vectors))
    assert len({float(v) for v in vectors.flatten()}) == 2


def examples(count: int = 50, **settings: Any) -> Examples:
    model = network(**settings)
    ids = sequences(count)
    labels = np.arange(count) % 2
    reviews = Reviews([""] * count, labels, np.where(labels, 9, 2), [""] * count, [""] * count)
    return Examples(model.config, model.pad_id, ids, reviews, labels)


def test_batches_hold_each_review_once_and_reviews_of_similar_length() -> None:
    own = examples(batch_size=8)
    shares = [own.order().shard(0, step, 0, 1) for step in range(own.order().steps(0))]
    assert sorted(np.concatenate([s.indices for s in shares]).tolist()) == list(range(50))
    assert own.padding() < 0.15 < examples(batch_size=8, bucket=False).padding()
    longest = [own.lengths[s.indices].max() for s in shares]
    widths = [own.fetch(s)["ids"].shape[1] for s in shares]
    assert widths == longest


def test_batch_carries_label_and_rating_of_its_own_reviews() -> None:
    own = examples(batch_size=8)
    shard = own.order().shard(0, 0, 0, 1)
    batch = own.fetch(shard)
    assert batch["targets"].tolist() == (shard.indices % 2).tolist()
    assert batch["ratings"].tolist() == [6 if i % 2 else 1 for i in shard.indices]


def test_crop_is_a_contiguous_part_of_the_review() -> None:
    own = examples(batch_size=8, crop=4)
    shard = own.order().shard(0, 0, 0, 1)
    batch = own.fetch(shard)
    for row, index in enumerate(shard.indices.tolist()):
        whole = own.sequences[index].tolist()
        length = int(batch["lengths"][row])
        got = batch["ids"][row, :length].tolist()
        assert length == min(4, len(whole))
        assert any(whole[a : a + length] == got for a in range(len(whole)))
    drawn = [own._cropped(np.arange(6, dtype=np.int32)).tolist() for _ in range(200)]
    assert {part[0] for part in drawn} == {0, 1, 2}  # the first and the last words too


def test_min_steps_makes_more_epochs_of_few_reviews() -> None:
    config = TrainConfig(epochs=3, min_steps=100)
    assert with_min_steps(config, 20).epochs == 5
    assert with_min_steps(config, 1000).epochs == 3
    # Of 7 batches an epoch makes 3 updates of 2 and leaves one batch.
    assert with_min_steps(replace(config, accumulation=2, min_steps=10), 7).epochs == 4
    assert with_min_steps(TrainConfig(epochs=3, steps=7, min_steps=100), 20).epochs == 3


def test_settings_that_contradict_each_other_are_refused_at_once() -> None:
    with pytest.raises(UserError, match="--pooling is last.*--padding is front"):
        TrainConfig(model="cnn", pooling="last", padding="front")
    with pytest.raises(UserError, match="--encoder is missing"):
        TrainConfig(model="encoder")


def test_carried_state_starts_a_batch_where_the_last_one_ended_in_training_alone() -> None:
    settings = {"model": "lstm", "padding": "front", "pooling": "last_position", "max_tokens": 6}
    model = network(**settings, carry_state=True)
    assert isinstance(model, RecurrentClassifier) and model.carried is not None
    first, second = sequences(4, 1), sequences(3, 2)
    fresh = model(*model.batch(second))[0]
    model.train()
    model.head.eval()
    assert torch.allclose(model(*model.batch(second))[0], fresh, atol=1e-6)  # nothing before it
    model.carried.state = None
    model(*model.batch(first))
    h, c = model.carried.state
    assert h.shape == (2, 4, 10) and not h.requires_grad
    after = model(*model.batch(second))[0]
    assert not torch.allclose(after, fresh, atol=1e-4)
    model.carried.load_state_dict({"h": h, "c": c})
    assert torch.equal(model(*model.batch(second))[0], after)
    state = model.carried.for_batch(
        9, torch.device("meta")
    )  # where the model is, not the checkpoint
    assert state is not None and {(p.device.type, p.shape[1]) for p in state} == {("meta", 9)}
    model.eval()
    assert torch.allclose(model(*model.batch(second))[0], fresh, atol=1e-6)


def test_softmax_before_cross_entropy_has_a_floor() -> None:
    model = network(model="lstm", softmax_first=True)
    sure = torch.tensor([[40.0, -40.0]])
    batch = {"targets": torch.tensor([0])}
    loss = Loss(model.config, model, UNK)._loss(sure, None, batch)
    assert loss.item() == pytest.approx(0.3133, abs=1e-4)
    plain = Loss(replace(model.config, softmax_first=False), model, UNK)._loss(sure, None, batch)
    assert plain.item() == 0


def test_frozen_word_vectors_are_no_parameters_of_the_optimizer() -> None:
    model = network(model="lstm", vector_rate=0.0, prefix_letters=3)
    (optimizer,) = make_optimizers(model.config, model)
    weights = {id(w) for group in optimizer.param_groups for w in group["params"]}
    assert id(model.embedding.weight) not in weights
    assert id(model.lstm.get_parameter("weight_hh_l0")) in weights  # type: ignore[operator]


@pytest.mark.parametrize("model", ["lstm", "handwritten_lstm"])
def test_muon_has_the_matrices_of_the_lstm_alone(model: str) -> None:
    net = network(model=model, layers=2, head_size=3, optimizer="muon", muon_learning_rate=0.03)
    settings = net.config
    other, muon = make_optimizers(settings, net)
    held = {id(weight) for weight in muon.param_groups[0]["params"]}
    names = {name for name, weight in net.named_parameters() if id(weight) in held}
    assert len(names) == 8  # two layers, two directions, of input and of state
    assert all(".weight_" in name for name in names)
    assert (muon.defaults["lr"], muon.defaults["rows"]) == (0.03, settings.hidden_size)
    rest = {id(weight) for group in other.param_groups for weight in group["params"]}
    assert isinstance(other, torch.optim.AdamW)
    assert held | rest == {id(weight) for weight in net.parameters()}
    assert not held & rest


def test_muon_is_refused_where_there_is_no_lstm() -> None:
    with pytest.raises(UserError, match="--optimizer is muon, expected another for --model cnn"):
        TrainConfig(model="cnn", optimizer="muon")
