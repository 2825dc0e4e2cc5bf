from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import reference
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from esim.config import TrainConfig
from esim.data.labels import LABELS
from esim.data.stems import ids_by_stem
from esim.model.bilstm import BiLSTM
from esim.model.esim import AcrossBatch, Esim, Pooling, SequenceDropout
from esim.model.packing import Packing
from shared.text.vocabulary import Vocabulary

CONFIG = TrainConfig(embedding_size=5, hidden_size=4)
EXTENDED = replace(CONFIG, matches=True, relations=True, stem_backoff=True)
WORDS = 20


def model_of(config: TrainConfig = CONFIG, seed: int = 0) -> Esim:
    torch.manual_seed(seed)
    made = Esim(config, WORDS).double().eval()
    with torch.no_grad():  # so that nothing is 0 by its initialization
        for weight in made.parameters():
            weight.copy_(torch.randn_like(weight) * 0.5)
    return made


def batch_of(
    pairs: list[tuple[list[int], list[int]]], *, more: int = 0, fill: int = 1
) -> tuple[Any, ...]:
    """Return padded ids and lengths; `more` columns of padding too many, filled with `fill`."""
    inputs: list[Any] = []
    for side in (0, 1):
        sentences = [pair[side] for pair in pairs]
        lengths = np.array([len(s) for s in sentences])
        ids = torch.full((len(pairs), int(lengths.max()) + more), fill)
        for row, sentence in enumerate(sentences):
            ids[row, : len(sentence)] = torch.tensor(sentence, dtype=torch.int64)
        inputs += [ids, lengths]
    return tuple(inputs)


sentences = st.lists(st.integers(2, WORDS - 1), min_size=1, max_size=7)
pair_lists = st.lists(st.tuples(sentences, sentences), min_size=1, max_size=4)
PAIRS = [([3, 4, 5, 6, 3], [4, 7]), ([8], [9, 3, 9]), ([2, 2], [5]), ([4, 5, 6], [6, 5, 4])]


@settings(max_examples=25, deadline=None)
@given(pairs=pair_lists)
def test_model_equals_the_plain_one(pairs: list[tuple[list[int], list[int]]]) -> None:
    model = model_of()
    weights = {name: value.detach().numpy() for name, value in model.state_dict().items()}
    found = model(*batch_of(pairs)).detach().numpy()
    expected = [reference.esim(weights, a, b) for a, b in pairs]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("config", [CONFIG, EXTENDED], ids=("paper", "extended"))
@settings(max_examples=15, deadline=None)
@given(pairs=pair_lists)
def test_swapping_the_sentences_swaps_the_pooled_halves_exactly(
    config: TrainConfig, pairs: list[tuple[list[int], list[int]]]
) -> None:
    model = model_of(config)
    seen: list[Tensor] = []
    model.pooling.register_forward_hook(lambda module, given, made: seen.append(made))
    a, a_lengths, b, b_lengths = batch_of(pairs)
    model(a, a_lengths, b, b_lengths)
    model(b, b_lengths, a, a_lengths)
    half = seen[0].shape[1] // 2
    swapped = torch.cat([seen[0][:, half:], seen[0][:, :half]], 1)
    if any(a != b for a, b in pairs):
        assert not torch.equal(seen[1], seen[0])
    torch.testing.assert_close(seen[1], swapped, rtol=0, atol=1e-14)


@settings(max_examples=25, deadline=None)
@given(pairs=pair_lists, more=st.integers(1, 5), fill=st.integers(0, WORDS - 1))
def test_more_padding_and_what_stands_in_it_change_nothing(
    pairs: list[tuple[list[int], list[int]]], more: int, fill: int
) -> None:
    model = model_of(EXTENDED)
    torch.testing.assert_close(
        model(*batch_of(pairs, more=more, fill=fill)), model(*batch_of(pairs)), rtol=0, atol=1e-13
    )


@pytest.mark.parametrize("config", [CONFIG, EXTENDED], ids=("paper", "extended"))
def test_scores_do_not_depend_on_the_other_pairs_of_a_batch(config: TrainConfig) -> None:
    model = model_of(config)
    together = model(*batch_of(PAIRS))
    alone = torch.cat([model(*batch_of([pair])) for pair in PAIRS])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-13)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_sentence_that_is_all_padding_gives_no_nan_and_no_gradient_that_is(
    dtype: torch.dtype,
) -> None:
    model = model_of().to(dtype)
    inputs = batch_of([([], [3, 4]), ([5, 6], []), ([7], [8])], more=1)
    scores, over_b, over_a = model.with_attention(*inputs)
    assert scores.isfinite().all()
    assert over_b[1].sum() == over_a[0].sum() == 0  # nothing to attend to
    scores.float().sum().backward()
    for weight in model.parameters():
        gradient = weight.grad
        assert gradient is not None
        assert (gradient._values() if gradient.is_sparse else gradient).isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_what_marks_padding_in_the_maximum_fits_into_half_precision(dtype: torch.dtype) -> None:
    packing = Packing.of((np.array([3, 0]), np.array([1, 2])), (4, 2))
    torch.manual_seed(0)
    states = torch.randn(6, 8, dtype=torch.double) - 5  # padding is 0 and would win the maximum
    found = Pooling()(states.to(dtype), packing)
    assert found.isfinite().all()
    torch.testing.assert_close(found.double(), Pooling()(states, packing), rtol=0, atol=0.05)


def test_one_word_sentences_attend_to_their_one_word() -> None:
    model = model_of()
    _, over_b, over_a = model.with_attention(*batch_of([([3], [4]), ([5], [5])]))
    assert torch.equal(over_b, torch.ones_like(over_b))
    assert torch.equal(over_a, torch.ones_like(over_a))


def test_attention_is_over_the_other_sentence_and_sums_to_one() -> None:
    model = model_of()
    _, over_b, over_a = model.with_attention(*batch_of(PAIRS))
    for row, (a, b) in enumerate(PAIRS):
        torch.testing.assert_close(over_b[row, : len(a)].sum(1), torch.ones(len(a)).double())
        torch.testing.assert_close(over_a[row, : len(b)].sum(1), torch.ones(len(b)).double())
        assert over_b[row, : len(a), len(b) :].sum() == over_a[row, : len(b), len(a) :].sum() == 0


@settings(max_examples=25, deadline=None)
@given(lengths=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 5)), min_size=1, max_size=5))
def test_bilstm_and_its_gradients_are_torchs(lengths: list[tuple[int, int]]) -> None:
    torch.manual_seed(1)
    sides = (np.array([n for n, _ in lengths]), np.array([n for _, n in lengths]))
    packing = Packing.of(sides, (6, 5))
    count = len(packing.sentence)
    if not count:
        return
    bilstm = BiLSTM(3, 4).double()
    inputs = torch.randn(count, 3, dtype=torch.double, requires_grad=True)
    ours = bilstm(inputs, packing)
    theirs = bilstm.lstm(PackedSequence(inputs, torch.tensor(packing.sizes)))[0].data
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
    wanted = [inputs, *bilstm.parameters()]
    weights = torch.randn_like(ours)
    for mine, other in zip(
        torch.autograd.grad((ours * weights).sum(), wanted),
        torch.autograd.grad((theirs * weights).sum(), wanted),
        strict=True,
    ):
        torch.testing.assert_close(mine, other, rtol=0, atol=1e-11)


def test_bilstm_in_bf16_stays_near_float32() -> None:
    torch.manual_seed(1)
    packing = Packing.of((np.array([30, 7]), np.array([4, 12])), (30, 12))
    bilstm = BiLSTM(8, 16)
    inputs = torch.randn(len(packing.sentence), 8)
    with torch.autocast("cpu", torch.bfloat16):
        half = bilstm(inputs, packing)
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), bilstm(inputs, packing), rtol=0, atol=0.03)


def test_padding_and_packing_are_each_others_inverse_with_their_gradients() -> None:
    packing = Packing.of((np.array([3, 1]), np.array([2, 4])), (5, 4))
    padded = (
        torch.arange(2 * 5 * 2.0).view(2, 5, 2) + 1,
        torch.arange(2 * 4 * 2.0).view(2, 4, 2) - 50,
    )
    a, b = (part.requires_grad_() for part in padded)
    packed = packing.pack(a, b)
    assert packed.shape == (10, 2)
    back_a, back_b = packing.pad(packed)
    for back, own, mask in ((back_a, a, packing.masks[0]), (back_b, b, packing.masks[1])):
        assert torch.equal(back, own * mask[:, :, None])
    (back_a.sum() + 2 * back_b.sum()).backward()
    assert torch.equal(a.grad, packing.masks[0][:, :, None].expand(2, 5, 2).float())
    assert torch.equal(b.grad, 2 * packing.masks[1][:, :, None].expand(2, 4, 2).float())


def test_wrong_lengths_are_refused() -> None:
    for lengths in ((np.array([3]), np.array([1, 2])), (np.array([-1]), np.array([1])),
                    (np.array([4]), np.array([1]))):  # fmt: skip
        with pytest.raises(ValueError, match="length"):
            Packing.of(lengths, (3, 3))


def test_projection_is_that_of_the_four_parts() -> None:
    composition = model_of().composition
    a, aligned = torch.randn(2, 6, 8, dtype=torch.double)
    whole = composition.projection(torch.cat([a, aligned, a - aligned, a * aligned], 1))
    torch.testing.assert_close(composition.compare(a, aligned), whole, rtol=0, atol=1e-12)


def test_variational_dropout_drops_the_same_features_of_all_words_of_a_sentence() -> None:
    packing = Packing.of((np.array([4, 3]), np.array([2, 5])), (4, 5))
    states = torch.ones(14, 40)
    for is_same in (True, False):
        dropout = SequenceDropout(0.5, is_variational=is_same).train()
        kept = dropout(states, packing)
        patterns = [
            len({tuple(row.tolist()) for row in kept[packing.sentence == s]}) for s in range(4)
        ]
        assert (patterns == [1, 1, 1, 1]) == is_same
        assert len({tuple(row.tolist()) for row in kept}) >= 4  # sentences differ
    assert torch.equal(dropout.eval()(states, packing), states)


def test_dropout_is_where_the_paper_has_it_with_its_own_probabilities() -> None:
    model = Esim(replace(CONFIG, dropout=0.1, input_dropout=0.2), WORDS)
    assert model.encoding.dropout.probability == model.composition.dropout.probability == 0.2
    own = Esim(replace(CONFIG, input_dropout=0.2, projection_dropout=0.3), WORDS)
    assert (own.encoding.dropout.probability, own.composition.dropout.probability) == (0.2, 0.3)
    layers = model.classifier.layers
    assert [type(layer) for layer in layers] == [
        *(nn.Dropout, nn.Linear, nn.Tanh, nn.Dropout, nn.Linear)
    ]
    assert layers[0].p == layers[3].p == 0.1


@pytest.mark.parametrize("parent", ["encoding", "composition", "classifier.layers"])
def test_every_dropout_is_used_in_training(parent: str) -> None:
    model = model_of(replace(CONFIG, dropout=0.0, input_dropout=0.0)).train()
    batch = batch_of([([2, 4, 0], [4, 3]), ([5], [6, 7])])
    expected = model(*batch)
    assert torch.equal(model(*batch), expected)
    dropouts = [
        module
        for module in model.get_submodule(parent).children()
        if isinstance(module, nn.Dropout | SequenceDropout)
    ]
    for dropout in dropouts:
        name = "p" if isinstance(dropout, nn.Dropout) else "probability"
        setattr(dropout, name, 0.5)
        assert not torch.equal(model(*batch), expected)
        setattr(dropout, name, 0.0)
    assert len(dropouts) == (2 if parent == "classifier.layers" else 1)


@pytest.mark.parametrize("orthogonal", [True, False])
def test_only_forget_gates_start_open(orthogonal: bool) -> None:
    bilstm = BiLSTM(3, 4, orthogonal=orthogonal)
    for name, weight in bilstm.lstm.named_parameters():
        if "bias" in name:
            gates = weight.detach().view(4, 4)  # input, forget, cell, output
            opened = 1.0 if orthogonal and "hh" in name else 0.0
            assert (gates[1] == opened).all() and not gates[[0, 2, 3]].any()
        elif "hh" in name:
            blocks = weight.detach().T @ weight.detach()
            is_orthogonal = torch.allclose(blocks, torch.eye(4), atol=1e-5)
            assert is_orthogonal == orthogonal


def test_matches_tell_words_and_stems_of_the_other_sentence_but_never_unknown_ones() -> None:
    vocabulary = Vocabulary(["<unk>", "<pad>", "jumps", "jumping", "dog", "cat"], [1] * 6)
    model = Esim(replace(CONFIG, matches=True), 6)
    model.encoding.set_stems(vocabulary)
    a, a_lengths, b, b_lengths = batch_of([([2, 4, 0], [4, 3, 0, 5]), ([5], [5])])
    packing = Packing.of((a_lengths, b_lengths), (3, 4))
    found = model.encoding.matches(a, b, packing)
    first, second = packing.pad(found)
    assert first[0].tolist() == [[0, 1], [1, 1], [0, 0]]  # jumps: its stem; dog; <unk>
    assert second[0].tolist() == [[1, 1], [0, 1], [0, 0], [0, 0]]
    assert first[1, 0].tolist() == [1, 1]


def test_relations_are_words_stems_and_cosines_of_each_pair_of_real_words() -> None:
    vocabulary = Vocabulary(["<unk>", "<pad>", "jumps", "jumping", "dog", "cat"], [1] * 6)
    model = Esim(replace(CONFIG, relations=True), 6)
    model.encoding.set_stems(vocabulary)
    a, a_lengths, b, b_lengths = batch_of([([2, 4, 0], [4, 3, 0, 5]), ([5], [5])])
    packing = Packing.of((a_lengths, b_lengths), (3, 4))
    found = model.encoding.relations(a, b, packing)
    assert found is not None and found.shape == (2, 3, 4, 3)
    assert found[0, :, :, 0].tolist() == [[0, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
    assert found[0, :, :, 1].tolist() == [[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
    vectors = model.encoding.embedding.weight.detach()
    cosine = torch.nn.functional.cosine_similarity(vectors[2], vectors[5], dim=0)
    torch.testing.assert_close(found[0, 0, 3, 2], cosine)
    assert not found[0, 2].any() and not found[0, :, 2].any()  # `<unk>` is like no word
    assert not found[1, 1:].any() and not found[1, :, 1:].any()  # padding neither
    assert model.encoding.relations(a, b, packing).requires_grad is False


def test_relations_draw_attention_to_alike_words_before_anything_is_learned() -> None:
    torch.manual_seed(0)
    inputs = batch_of([([3, 4, 5, 6], [9, 5, 8])])
    weights = [
        Esim(replace(CONFIG, relations=has), WORDS).eval().with_attention(*inputs)[1][0, 2]
        for has in (False, True)
    ]
    assert weights[0].max() < 0.4 < 0.9 < weights[1][1]


def test_relations_of_the_aligned_words_reach_the_comparison() -> None:
    model = model_of(replace(CONFIG, relations=True))
    composition, (a, aligned) = model.composition, torch.randn(2, 6, 8, dtype=torch.double)
    related = torch.randn(6, 3, dtype=torch.double)
    whole = composition.projection(torch.cat([a, aligned, a - aligned, a * aligned, related], 1))
    found = composition.compare(a, torch.cat([aligned, related], 1))
    torch.testing.assert_close(found, whole, rtol=0, atol=1e-12)


def test_unknown_word_takes_the_vector_of_its_stem_and_matches_itself() -> None:
    vocabulary = Vocabulary(["<unk>", "<pad>", "dog", "jumps", "jumped"], [1] * 5)
    model = Esim(replace(CONFIG, matches=True, stem_backoff=True), 5)
    model.encoding.set_stems(vocabulary)
    encode = ids_by_stem(vocabulary)
    ids = torch.from_numpy(encode(["dog", "jumping", "zebras", "yaks"])).long()
    assert model.encoding.rows(ids).tolist() == [2, 3, 0, 0]
    assert ids[0] == 2 and len(set(ids.tolist())) == 4
    a = torch.from_numpy(encode(["zebra", "jumping", "yak"])).long()[None]
    b = torch.from_numpy(encode(["zebras", "jumped", "dog"])).long()[None]
    packing = Packing.of((np.array([3]), np.array([3])), (3, 3))
    assert encode(["<unk>", "<UNK>"]).tolist() == [0, 0]  # two of them are no match
    first, second = packing.pad(model.encoding.matches(a, b, packing))
    assert first[0].tolist() == [[1, 1], [0, 1], [0, 0]]  # unknown words are told apart by stem
    assert second[0].tolist() == [[1, 1], [0, 1], [0, 0]]


def test_word_vectors_have_sparse_gradients_and_frozen_ones_none() -> None:
    for frozen in (False, True):
        model = Esim(replace(CONFIG, frozen=frozen), WORDS)
        model(*batch_of(PAIRS)).sum().backward()
        gradient = model.encoding.embedding.weight.grad
        if frozen:
            assert gradient is None
        else:
            assert gradient is not None and gradient.is_sparse
            rows = set(gradient.coalesce().indices()[0].tolist())
            assert rows == {word for pair in PAIRS for side in pair for word in side}


def test_coursework_defect_reads_across_the_batch() -> None:
    model = model_of(replace(CONFIG, batch_axis=True))
    assert isinstance(model.encoding.bilstm, AcrossBatch)
    together = model(*batch_of(PAIRS))
    alone = torch.cat([model(*batch_of([pair])) for pair in PAIRS])
    assert (together - alone).abs().max() > 1e-3
    # Positions are sequences of their own to it, so the order of a premise's words does not matter to their encoding.
    packing = Packing.of((np.array([3]), np.array([1])), (3, 1))
    states = torch.randn(4, 5, dtype=torch.double)
    order = torch.tensor([0, 1, 3, 2])  # the premise's second and third word exchanged
    before, after = (model.encoding.bilstm(s, packing) for s in (states, states[order]))
    torch.testing.assert_close(before[order], after)


def test_model_without_a_mask_reads_padding() -> None:
    model = model_of(replace(CONFIG, mask=False))
    before, after = model(*batch_of(PAIRS)), model(*batch_of(PAIRS, more=3))
    assert (before - after).abs().max() > 1e-3


def test_model_overfits_one_batch() -> None:
    torch.manual_seed(0)
    model = Esim(replace(CONFIG, hidden_size=16, dropout=0.0, input_dropout=0.0), WORDS)
    dense = [w for w in model.parameters() if w is not model.encoding.embedding.weight]
    optimizer = torch.optim.Adam(dense, lr=0.02)
    inputs, labels = batch_of(PAIRS), torch.tensor([0, 1, 2, 1])
    for _ in range(60):
        loss = torch.nn.functional.cross_entropy(model(*inputs), labels)
        model.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.01
    assert model(*inputs).shape == (4, len(LABELS))
