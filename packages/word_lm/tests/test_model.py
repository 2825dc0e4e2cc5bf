from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from typing import Any, Literal

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from word_lm.config import Family, TrainConfig
from word_lm.model.attention import causal_mask, rotate
from word_lm.model.base import LanguageModel
from word_lm.model.build import build_model
from word_lm.model.pointer import Pointer
from word_lm.model.recurrent import GATES, Recurrent, RecurrentLayer
from word_lm.model.slow_context import SlowContext
from word_lm.model.start import copy_vectors
from word_lm.model.transformer import Transformer, sinusoids
from word_lm.train import make_optimizers

WORDS, TIME, BATCH = 50, 12, 3
FAMILIES: tuple[Family, ...] = Family.__args__  # type: ignore[attr-defined]
SMALL = TrainConfig(
    embedding_size=16, hidden_size=16, layers=2, memory=5, kernel=3, cutoffs=(10, 30), dropout=0.0
)


def small_model(family: Family, **changes: Any) -> LanguageModel:
    # The coursework's Transformer promises this only as long as its cache is not full.
    changes = {"memory": 20 if family == "transformer" else 5, **changes}
    if family == "awd_lstm":  # one recurrent family has slow context
        changes = {"context_decays": (0.5, 0.9), "context_size": 6, **changes}
    if family == "gru":  # and one has a pointer, whose window is shorter than the text
        changes = {"pointer_window": 5, **changes}
    torch.manual_seed(0)
    model = build_model(replace(SMALL, model=family, **changes), WORDS)
    with torch.no_grad():
        for weight in model.parameters():
            # Residual branches that start at zero would hide what happens in them: a lost mask, for example.
            if weight.ndim == 2 and not weight.any():
                nn.init.xavier_uniform_(weight)
    return model


def some_ids(time: int = TIME, batch: int = BATCH) -> Tensor:
    return torch.randint(0, WORDS, (time, batch), generator=torch.Generator().manual_seed(1))


def tensors_of(state: Any) -> list[Tensor]:
    if isinstance(state, Tensor):
        return [state]
    return [tensor for part in state for tensor in tensors_of(part)]


@pytest.mark.parametrize("family", FAMILIES)
def test_changing_future_words_leaves_past_outputs_alone(family: Family) -> None:
    for is_training in (False, True):
        model = small_model(family).train(is_training)
        ids = some_ids()
        changed = ids.clone()
        changed[7:] = (changed[7:] + 1) % WORDS
        before, after = model(ids)[0], model(changed)[0]
        torch.testing.assert_close(before[:7], after[:7])
        assert (before[7] - after[7]).abs().max() > 1e-3  # the test sees something


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("cut", [1, 4, 5])
def test_text_read_in_pieces_gives_what_it_gives_read_at_once(family: Family, cut: int) -> None:
    model, ids = small_model(family).eval(), some_ids()
    at_once, _ = model(ids)
    state, pieces = model.init_state(BATCH), []
    for part in ids.split(cut):
        hidden, state = model(part, state)
        pieces.append(hidden)
    torch.testing.assert_close(torch.cat(pieces), at_once, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_state_is_bounded_and_has_the_batch_as_its_second_dimension(family: Family) -> None:
    model = small_model(family).eval()
    state, sizes = model.init_state(BATCH), []
    with torch.no_grad():
        for word in some_ids(40).split(1):
            _, state = model(word, state)
            sizes.append(sum(tensor.numel() for tensor in tensors_of(state)))
    assert all(tensor.shape[1] == BATCH for tensor in tensors_of(state))
    assert max(sizes[20:]) <= max(sizes[:21])


@pytest.mark.parametrize("family", FAMILIES)
def test_columns_do_not_see_each_other(family: Family) -> None:
    model, ids = small_model(family).eval(), some_ids()
    torch.testing.assert_close(model(ids)[0][:, 1:2], model(ids[:, 1:2])[0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("softmax", ["full", "adaptive"])
@pytest.mark.parametrize("tied", [False, True])
def test_loss_in_training_is_the_exact_likelihood_and_reaches_every_weight(
    family: Family, softmax: Any, tied: bool
) -> None:
    model = small_model(
        family, softmax=softmax, tied=tied, activation_penalty=2.0, change_penalty=1.0
    )
    ids, targets = some_ids(), some_ids().roll(-1, 0)
    nll, penalty, _ = model(ids, None, targets)
    hidden, _ = model(ids)
    torch.testing.assert_close(nll, model.nll(hidden.flatten(0, 1), targets.flatten()).sum())
    (nll + penalty).backward()
    assert penalty > 0
    for name, weight in model.named_parameters():
        assert weight.grad is not None, name


@pytest.mark.parametrize("family", FAMILIES)
def test_one_batch_can_be_memorized(family: Family) -> None:
    config = replace(SMALL, model=family, learning_rate=0.02, memory=20)
    torch.manual_seed(0)
    model = build_model(config, WORDS)
    optimizers = make_optimizers(config, model)
    ids, targets = some_ids(8, 2), some_ids(9, 2)[1:]
    for _ in range(400):
        nll, _, _ = model(ids, None, targets)
        (nll / targets.numel()).backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        if float(nll.detach()) / targets.numel() < 0.1:
            return
    pytest.fail("400 steps are not enough")


@pytest.mark.parametrize("kind", GATES)
def test_layers_compute_what_torchs_own_do(kind: str) -> None:
    theirs = {
        "rnn_tanh": lambda: nn.RNN(5, 7, 2),
        "rnn_relu": lambda: nn.RNN(5, 7, 2, nonlinearity="relu"),
        "gru": lambda: nn.GRU(5, 7, 2),
        "lstm": lambda: nn.LSTM(5, 7, 2),
    }[kind]()
    ours = [RecurrentLayer(kind, 5, 7), RecurrentLayer(kind, 7, 7)]
    for place, layer in enumerate(ours):
        for name, weight in zip(
            ("weight_ih", "weight_hh", "bias_ih", "bias_hh"), layer.parameters(), strict=True
        ):
            weight.data.copy_(getattr(theirs, f"{name}_l{place}"))
    states = inputs = torch.randn(6, 3, 5)
    for layer in ours:
        states, _ = layer(states, layer.init_state(3))
    torch.testing.assert_close(states, theirs(inputs)[0])


def test_coursework_transformer_is_torchs_encoder_and_dropout_reaches_its_layers() -> None:
    model = small_model("transformer", heads=2, dropout=0.4)
    assert isinstance(model, Transformer)
    shares = {m.p for m in model.modules() if isinstance(m, nn.Dropout)}
    assert shares == {0.4}
    assert all(block.attention.dropout == 0.4 for block in model.blocks)
    model.eval()
    layer = nn.TransformerEncoderLayer(16, 2, 16, 0.4).eval()
    block = model.blocks[0]
    pairs = {
        layer.self_attn.in_proj_weight: block.attention.in_proj.weight,
        layer.self_attn.in_proj_bias: block.attention.in_proj.bias,
        layer.self_attn.out_proj.weight: block.attention.out_proj.weight,
        layer.self_attn.out_proj.bias: block.attention.out_proj.bias,
        layer.linear1.weight: block.up.weight,
        layer.linear1.bias: block.up.bias,
        layer.linear2.weight: block.down.weight,
        layer.linear2.bias: block.down.bias,
    }
    for their_weight, our_weight in pairs.items():
        their_weight.data.copy_(our_weight.data)
    states = torch.randn(6, 3, 16)
    empty = torch.zeros(0, 3, 16)
    may_look = torch.ones(6, 6).tril().bool()
    theirs = layer(states, src_mask=~may_look)
    torch.testing.assert_close(block(states, (empty, empty), may_look)[0], theirs)


def test_coursework_transformer_never_asks_for_places_beyond_its_memory() -> None:
    """Reading past a full cache starts again from the last half of it."""
    model = small_model("transformer", memory=6).eval()
    ids = some_ids(9)
    state = model.init_state(BATCH)
    for word in ids.split(1):
        hidden, state = model(word, state)
    # After 6 words the cache is full: the 7th is read after the 4th to 6th, and so the 9th after the 4th to 8th.
    torch.testing.assert_close(hidden[0], model(ids[3:])[0][-1], atol=1e-5, rtol=1e-5)
    assert len(state[0]) == 6


def test_slow_context_is_the_papers_recurrence_and_starts_without_effect() -> None:
    decays = (0.5, 0.9)
    context = SlowContext(4, 5, 7, decays, dropout=0.0)
    vectors = torch.randn(TIME, BATCH, 4)
    state = torch.rand(2, BATCH, 6)
    assert not context(vectors, state)[0].any()
    nn.init.normal_(context.out_proj.weight)
    added, after = context(vectors, state)
    slow = list(state)
    for time, inputs in enumerate(context.in_proj(vectors)):  # s_t = d s_{t-1} + (1 - d) B x_t
        and_one = torch.cat([inputs, torch.ones(BATCH, 1)], dim=-1)
        slow = [d * s + (1 - d) * and_one for d, s in zip(decays, slow, strict=True)]
        averages, filled = [s[..., :-1] for s in slow], [s[..., -1:] for s in slow]
        scaled = torch.cat(
            [
                fill * s / s.pow(2).mean(-1, keepdim=True).sqrt()
                for s, fill in zip(averages, filled, strict=True)
            ],
            dim=-1,
        )
        torch.testing.assert_close(added[time], context.out_proj(scaled), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(after, torch.stack(slow))


def test_slow_context_of_a_few_words_adds_little() -> None:
    """Averages normalized at full size mislead: pieces of 10 words had a perplexity of 1,582 in place of 166."""
    context = SlowContext(4, 5, 7, (0.998,), dropout=0.0)
    nn.init.normal_(context.out_proj.weight)
    added, state = context(torch.randn(2000, 1, 4), context.init_state(1))
    sizes = added.detach()[:, 0].norm(dim=1)
    for words in (1, 10, 300):
        assert float(sizes[words - 1]) < 3 * (1 - 0.998**words) * float(sizes[1000:].mean())
    assert float(state.detach()[0, 0, -1]) == pytest.approx(1 - 0.998**2000, rel=1e-4)


def test_pointer_mixes_the_softmax_with_the_words_of_its_window() -> None:
    """The equations, word by word, over two segments; in training and joined to the hidden states."""
    torch.manual_seed(0)
    size, window, words = 4, 3, 6
    pointer = Pointer(size, window)
    for weight in pointer.parameters():
        nn.init.normal_(weight)
    hidden, raw = torch.randn(2, 7, 2, size)
    ids, targets = torch.randint(words, (2, 7, 2))
    log_probs = torch.randn(7, 2, words).log_softmax(-1)  # of the softmax
    expected = torch.empty(7, 2, words)
    for t in range(7):
        for column in range(2):
            near = range(max(0, t - window + 1), t + 1)
            query = pointer.query(hidden[t, column])
            before = [raw[i - 1, column] if i else torch.zeros(size) for i in near]
            scores = [
                query @ key + pointer.word(raw[i, column])[0]
                for i, key in zip(near, before, strict=True)
            ]
            sentinel = pointer.sentinel(hidden[t, column])[0]
            kept, *shares = torch.stack([sentinel, *scores]).softmax(0)
            mixed = kept * log_probs[t, column].exp()
            for i, share in zip(near, shares, strict=True):
                mixed[ids[i, column]] += share
            expected[t, column] = mixed.log()
    assert torch.allclose(expected.exp().sum(-1), torch.ones(7, 2))
    memory = pointer.init_state(2)
    for low, high in ((0, 5), (5, 7)):  # the first segment is longer than the window
        part, plain = slice(low, high), log_probs[low:high].flatten(0, 1)
        copies, memory = pointer(hidden[part], raw[part], ids[part], memory)
        joined = pointer.join(hidden[part], copies).flatten(0, 1)
        wanted, flat = expected[part].flatten(0, 1), targets[part].flatten()
        torch.testing.assert_close(pointer.joined_log_probs(plain, joined), wanted)
        own, nll = (-each.gather(1, flat[:, None])[:, 0] for each in (plain, wanted))
        torch.testing.assert_close(pointer.joined_nll(own, joined, flat), nll)
        torch.testing.assert_close(pointer.nll(own, copies, targets[part]), nll)


def test_pointer_has_no_floor_under_a_likelihood_and_keeps_its_gradient() -> None:
    pointer = Pointer(2, 3)
    copies, _ = pointer(
        torch.ones(1, 1, 2), torch.ones(1, 1, 2), torch.tensor([[4]]), pointer.init_state(1)
    )
    for target in (4, 5):  # the word of the window, and one that is not in it
        nll = torch.tensor([300.0], requires_grad=True)
        mixed = pointer.nll(nll, copies, torch.tensor([[target]]))
        (gradient,) = torch.autograd.grad(mixed.sum(), nll)
        assert (mixed > 300) == (target == 5) and mixed.isfinite()
        assert float(gradient) == pytest.approx(float(target == 5))


def test_pointer_copies_little_from_a_short_memory() -> None:
    """A gate that knows no sizes copied as much from ten words as from a thousand: generated text repeated itself."""
    pointer = Pointer(4, 1000)
    raw, memory, kept = torch.zeros(500, 1, 4), pointer.init_state(1), []
    for _ in range(2):
        copies, memory = pointer(raw, raw, torch.zeros(500, 1, dtype=torch.int64), memory)
        kept += copies.mass[0, :, -1].tolist()
    assert kept[-1] == pytest.approx(0.9)
    assert kept[9] > 0.998


@pytest.mark.parametrize("family", ["transformer", "gated_cnn"])
def test_recipe_with_a_pointer_can_train_a_model_that_takes_none(family: Family) -> None:
    config = replace(SMALL, model=family, pointer_window=5)
    hidden, _ = build_model(config, WORDS)(some_ids())
    assert hidden.shape == (TIME, BATCH, 16)


def test_dropped_recurrent_weights_are_dropped_forward_and_in_the_gradient() -> None:
    """On newer torch awd-lstm-lm's weight drop did nothing, without an error."""
    torch.manual_seed(0)
    layer = RecurrentLayer("lstm", 4, 6, weight_dropout=0.5)
    inputs = torch.randn(9, 2, 4)
    plain = layer.eval()(inputs, layer.init_state(2))[0]
    dropped = layer.train()(inputs, layer.init_state(2))[0]
    assert (plain - dropped).abs().max() > 1e-3
    # The first step's hidden state is zero: it has no recurrent weights to lose.
    torch.testing.assert_close(plain[0], dropped[0])
    dropped.sum().backward()
    is_lost = layer.hidden_weight.grad == 0
    assert 0.3 < float(is_lost.float().mean()) < 0.7
    # The very same outputs come from weights that are zero where the gradient is, and doubled elsewhere.
    by_hand = RecurrentLayer("lstm", 4, 6).eval()
    by_hand.load_state_dict(layer.state_dict())
    by_hand.hidden_weight.data.mul_(2).masked_fill_(is_lost, 0)
    torch.testing.assert_close(by_hand(inputs, by_hand.init_state(2))[0], dropped)


def test_awd_dropout_is_the_same_at_every_time_step() -> None:
    model = small_model("awd_lstm", input_dropout=0.5, embedding_dropout=0.0).train()
    assert isinstance(model, Recurrent)
    masked = model.input_dropout(torch.ones(5, 2, 16))
    assert (masked == masked[0]).all() and not (masked[:, 0] == masked[:, 1]).all()


@pytest.mark.parametrize("softmax", ["full", "adaptive"])
def test_awd_drops_whole_words_from_any_kind_of_embedding(softmax: Any) -> None:
    model = small_model("awd_lstm", softmax=softmax, tied=True, embedding_dropout=0.5)
    seen: list[Tensor] = []
    model.input_dropout.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    ids = torch.arange(WORDS).repeat(6, 1)  # every word at every time step
    for is_training in (True, False):
        model.train(is_training)(ids)
    is_zero = (seen[0] == 0).all(-1)
    assert 0.2 < float(is_zero.float().mean()) < 0.8
    assert (is_zero == is_zero[0]).all()
    kept = ~is_zero
    torch.testing.assert_close(seen[0][kept], 2 * seen[1][kept])
    assert torch.equal(seen[1], model.embedding(ids))


@pytest.mark.parametrize("softmax", ["full", "adaptive"])
def test_tied_weights_are_one_and_trained_once(softmax: Any) -> None:
    tied, free = (small_model("lstm", softmax=softmax, tied=is_tied) for is_tied in (True, False))
    if softmax == "full":
        assert tied.head.weight is tied.embedding.weight
    else:
        assert all(a is b for a, b in zip(tied.head.rows, tied.embedding.tables, strict=True))
    assert len({id(w) for w in tied.parameters()}) == len(list(tied.parameters()))
    count = {
        name: sum(w.numel() for w in model.parameters())
        for name, model in (("tied", tied), ("free", free))
    }
    assert count["tied"] < count["free"]


def test_weight_tying_projects_where_sizes_differ() -> None:
    model = small_model("lstm", tied=True, hidden_size=24)
    assert model.head.weight is model.embedding.weight
    assert model.log_probs(model(some_ids())[0].flatten(0, 1)).shape == (TIME * BATCH, WORDS)


def test_sparse_rows_are_updated_like_dense_ones_by_sgd() -> None:
    results = []
    for is_sparse in (True, False):
        config = replace(SMALL, model="lstm", optimizer="sgd", learning_rate=1.0)
        torch.manual_seed(0)
        model = build_model(config, WORDS)
        assert isinstance(model.embedding, nn.Embedding) and model.embedding.sparse
        model.embedding.sparse = is_sparse
        (optimizer,) = make_optimizers(config, model)
        model(some_ids(), None, some_ids())[0].backward()
        optimizer.step()
        results.append(model.embedding.weight.detach())
    torch.testing.assert_close(*results)


@pytest.mark.parametrize("softmax", ["full", "adaptive"])
@pytest.mark.parametrize("tied", [True, False])
def test_word_vectors_begin_within_their_range(
    softmax: Literal["full", "adaptive"], tied: bool
) -> None:
    model = small_model("lstm", softmax=softmax, tied=tied, init_range=0.01)
    tables = [weight for name, weight in model.embedding.named_parameters() if "expand" not in name]
    assert tables and all(0.009 < table.abs().max() <= 0.01 for table in tables)


def test_penalties_are_the_papers() -> None:
    model = small_model("awd_lstm", activation_penalty=2.0, change_penalty=1.0, dropout=0.4).train()
    torch.manual_seed(3)
    hidden, raw, _ = model.encode(some_ids(), model.init_state(BATCH))
    torch.manual_seed(3)
    _, penalty, _ = model(some_ids(), None, some_ids())
    expected = 2 * hidden.pow(2).mean() + (raw[1:] - raw[:-1]).pow(2).mean()
    torch.testing.assert_close(penalty, expected)


def test_sinusoids_are_the_papers() -> None:
    """PE(pos, 2i) = sin(pos / 10000^(2i / E)), PE(pos, 2i + 1) the cosine; Vaswani et al. 2017, section 3.5."""
    table = sinusoids(2, 3, 6)
    for row, position in enumerate((2, 3, 4)):
        expected = []
        for pair in range(3):
            angle = position / 10000 ** (2 * pair / 6)
            expected += [math.sin(angle), math.cos(angle)]
        torch.testing.assert_close(table[row], torch.tensor(expected))


def test_rotary_positions_rotate_pairs_and_make_scores_relative() -> None:
    vectors = torch.randn(1, 1, 2, 6, generator=torch.Generator().manual_seed(0))
    turned = rotate(vectors, 7)
    for row, position in enumerate((7, 8)):
        for pair in range(3):
            angle = position / 10000 ** (pair / 3)
            a, b = vectors[0, 0, row, pair], vectors[0, 0, row, pair + 3]
            expected = complex(a, b) * complex(math.cos(angle), math.sin(angle))
            found = complex(turned[0, 0, row, pair], turned[0, 0, row, pair + 3])
            assert abs(found - expected) < 1e-5
    scores = [
        (rotate(vectors, first)[0, 0] @ rotate(vectors, first)[0, 0].T)[0, 1] for first in (0, 50)
    ]
    torch.testing.assert_close(scores[0], scores[1], atol=1e-4, rtol=1e-4)


def test_causal_mask_is_the_past_as_far_as_memory_goes() -> None:
    allowed = [[0, 1, 2], [1, 2, 3], [2, 3, 4]]  # 2 words in the cache, 3 new ones, memory 2
    mask = causal_mask(3, 2, 2)
    assert [row.nonzero().flatten().tolist() for row in mask] == allowed
    assert causal_mask(2, 1)[1].all() and causal_mask(2, 1)[0].tolist() == [True, True, False]


def test_attention_weights_are_dropped_in_training() -> None:
    for family in ("transformer", "modern_transformer"):
        model = small_model(family, dropout=0.5)  # type: ignore[arg-type]
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        plain = model.eval()(some_ids())[0]
        assert (model.train()(some_ids())[0] - plain).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("family", "outside", "inside"), [("transformer", 1, 3), ("modern_transformer", 2, 2)]
)
def test_dropout_follows_embeddings_and_every_branch_of_a_block(
    family: Any, outside: int, inside: int
) -> None:
    model = small_model(family, dropout=0.5).train()
    passes: list[str] = []
    for name, module in model.named_modules():
        if isinstance(module, nn.Dropout):
            module.register_forward_hook(lambda *_, name=name: passes.append(name))
    model(some_ids())
    blocks = len(model.blocks)
    assert Counter(passes) == {"dropout": outside} | {
        f"blocks.{block}.dropout": inside for block in range(blocks)
    }


def test_gated_convolution_is_torchs_with_residual_connections() -> None:
    model = small_model("gated_cnn").eval()
    states = model.in_proj(model.embedding(some_ids()))  # (T, B, C)
    for layer in model.layers:
        normed = F.layer_norm(states, (16,), layer.norm.weight, layer.norm.bias)
        # (2 C, K * C) to conv1d's (2 C, C, K); the window's first words come first.
        kernel = layer.convolve.weight.view(32, 3, 16).permute(0, 2, 1)
        padded = F.pad(normed.permute(1, 2, 0), (2, 0))  # (B, C, K - 1 + T)
        a, b = F.conv1d(padded, kernel, layer.convolve.bias).permute(2, 0, 1).chunk(2, dim=-1)
        states = states + a * b.sigmoid()
    torch.testing.assert_close(model(some_ids())[0], model.norm(states), atol=1e-5, rtol=1e-5)


def test_checkpoint_of_an_earlier_version_is_read_under_todays_names() -> None:
    for family in ("transformer", "gated_cnn"):
        model = small_model(family)  # type: ignore[arg-type]
        today = {name: weight.clone() for name, weight in model.state_dict().items()}
        old = {
            name.replace("in_proj", "inward").replace("out_proj", "outward"): weight + 1
            for name, weight in today.items()
        }
        assert old.keys() != today.keys()
        model.load_state_dict(old)
        for name, weight in model.state_dict().items():
            torch.testing.assert_close(weight, today[name] + 1)


@pytest.mark.parametrize("softmax", ["full", "adaptive"])
def test_initial_word_vectors_are_those_given_and_rare_words_keep_the_first_dimensions(
    softmax: Literal["full", "adaptive"],
) -> None:
    model = small_model("lstm", softmax=softmax, tied=True, tail_divisor=2.0)
    vectors = torch.randn(WORDS, 16)
    copy_vectors(model, vectors)
    expected = vectors.clone()
    if softmax == "adaptive":
        expected[10:30, 8:] = 0
        expected[30:, 4:] = 0
        narrow = model.head.reduce[1](vectors)  # type: ignore[union-attr]
        assert torch.equal(
            narrow, vectors[:, :4]
        )  # output rows are compared in the same dimensions
    assert torch.equal(model.embedding(torch.arange(WORDS)), expected)
