"""Generation: what may be chosen, what is never chosen, what the same seed gives, and what a word costs."""

from __future__ import annotations

import json
import math
from collections import Counter
from itertools import product

import pytest
import torch
from toy_models import FAMILIES, BigramModel, GruModel, real_model

from shared.errors import UserError
from shared.text.vocabulary import Vocabulary
from word_lm.data.prompt import read_prompt
from word_lm.generate import _read_prompt, _sample, choices, generate, store_by_columns

WORDS = ["<unk>", "<eos>", "the", "cat", "sat", "on", "a", "mat", ",", "."]


@pytest.fixture
def vocabulary() -> Vocabulary:
    return Vocabulary(WORDS, [1] * len(WORDS))


@pytest.fixture
def model() -> GruModel:
    return GruModel(len(WORDS))


@pytest.fixture
def trap() -> tuple[BigramModel, Vocabulary]:
    """Return a model that lures greedy choice: after 0, word 1 is likelier, but what follows 2 is certain."""
    table = torch.tensor(
        [
            [0.0, 0.6, 0.4, 0.0, 0.0],
            [0.25, 0.15, 0.2, 0.2, 0.2],
            [0.0, 0.0, 0.0, 1.0, 0.0],
            [0.0, 0.0, 0.0, 0.0, 1.0],
            [0.2, 0.2, 0.2, 0.2, 0.2],
        ]
    )
    return BigramModel(table), Vocabulary(["0", "1", "2", "3", "4"], [1] * 5, unknown=None)


def log_prob_of(model, prompt_ids, ids) -> float:
    """The log-probability of words after a prompt, all read at once."""
    text = torch.tensor([*prompt_ids, *ids])[:, None]
    model.eval()
    with torch.no_grad():
        hidden, _ = model(text[:-1], model.init_state(1))
        scored = -model.nll(hidden[len(prompt_ids) - 1 :, 0], text[len(prompt_ids) :, 0])
    return float(scored.double().sum())


# What may be chosen


def test_top_k_keeps_the_k_likeliest_words_and_their_proportions():
    scores = torch.tensor([0.1, 0.4, 0.2, 0.3]).log()
    words, probabilities = choices(scores, top_k=2)
    assert words.tolist() == [1, 3]
    assert probabilities.tolist() == pytest.approx([4 / 7, 3 / 7])


@pytest.mark.parametrize(
    "top_p, kept",
    [(0.39, [1]), (0.41, [1, 3]), (0.69, [1, 3]), (0.71, [1, 3, 2]), (1.0, [1, 3, 2, 0])],
)
def test_the_nucleus_is_the_smallest_set_that_reaches_its_probability(top_p, kept):
    words, probabilities = choices(torch.tensor([0.1, 0.4, 0.2, 0.3]).log(), top_p=top_p)
    assert words.tolist() == kept
    shares = torch.tensor([0.1, 0.4, 0.2, 0.3])[kept]
    assert probabilities.tolist() == pytest.approx((shares / shares.sum()).tolist())


def test_a_nucleus_of_more_words_than_are_sorted_first_is_exact(monkeypatch):
    monkeypatch.setattr("word_lm.generate._NUCLEUS_FIRST", (8, 20))
    scores = torch.randn(100, generator=torch.Generator().manual_seed(0))
    shares = torch.softmax(scores.double(), 0)
    order = shares.argsort(descending=True)
    for top_p in (0.05, 0.3, 0.6, 0.95, 1.0):
        needed = int((shares[order].cumsum(0) < top_p - 1e-12).sum()) + 1
        assert choices(scores, top_p=top_p)[0].tolist() == order[:needed].tolist()


def test_top_p_counts_within_what_top_k_left_and_after_temperature():
    scores = torch.tensor([0.5, 0.3, 0.2]).log()
    assert choices(scores, top_k=2, top_p=0.6)[0].tolist() == [0]  # 0.5 / 0.8 is enough
    assert choices(scores, temperature=10.0, top_k=2, top_p=0.6)[0].tolist() == [0, 1]


def test_temperature_divides_log_probabilities():
    scores = torch.tensor([0.6, 0.3, 0.1]).log()
    squared = torch.tensor([0.36, 0.09, 0.01])
    assert choices(scores, temperature=0.5)[1].tolist() == pytest.approx(
        (squared / squared.sum()).tolist()
    )


def test_words_of_no_probability_are_no_choice():
    scores = torch.tensor([0.5, -math.inf, 0.1, -math.inf])
    for settings in ({}, {"top_k": 3}, {"top_p": 1.0}):
        words, probabilities = choices(scores, **settings)
        assert sorted(words[probabilities > 0].tolist()) == [0, 2]
        assert probabilities.sum() == pytest.approx(1)


def test_a_draw_at_the_very_end_of_the_probabilities_is_still_a_word_that_may_be_chosen(
    monkeypatch,
):
    monkeypatch.setattr(torch, "rand", lambda *_, **__: torch.tensor(1.0, dtype=torch.float64))
    scores = torch.tensor([0.2, 0.7, 0.1]).log()
    scores[2] = -math.inf
    assert _sample(scores, 1.0, None, None, torch.Generator()) == 1


def test_words_are_drawn_as_often_as_their_probability_says():
    shares = torch.tensor([0.5, 0.2, 0.2, 0.1])
    vocabulary = Vocabulary(["a", "b", "c", "d"], [1] * 4, unknown=None)
    text = generate(BigramModel(shares.expand(4, 4)), vocabulary, "a", 4000, seed=3)
    counts = Counter(text.tokens)
    for word, share in zip(vocabulary, shares.tolist(), strict=True):
        assert counts[word] / 4000 == pytest.approx(
            share, abs=4 * math.sqrt(share * (1 - share) / 4000)
        )


def test_top_k_1_and_temperature_0_are_greedy(model, vocabulary):
    greedy = generate(model, vocabulary, "the cat", 12, temperature=0)
    assert generate(model, vocabulary, "the cat", 12, top_k=1, seed=9).tokens == greedy.tokens
    # Each word is the likeliest one after those before it.
    ids = list(read_prompt(vocabulary, "the cat").ids)
    for token in greedy.tokens:
        following = [log_prob_of(model, ids, [word]) for word in range(1, len(WORDS))]
        assert 1 + max(range(len(following)), key=following.__getitem__) == vocabulary.id(token)
        ids.append(vocabulary.id(token))


def test_a_tiny_temperature_is_greedy_and_overflows_nowhere():
    scores = torch.tensor([-math.inf, -7.0, -2.0, -9.0])
    words, probabilities = choices(scores, temperature=1e-308)
    assert words[probabilities.argmax()] == 2 and probabilities.tolist() == [0, 0, 1, 0]


# Bans and penalties


@pytest.mark.parametrize(
    "settings",
    [{}, {"temperature": 50.0}, {"top_k": 3}, {"top_p": 0.9}, {"beams": 3}, {"temperature": 0}],
)
def test_banned_words_are_never_written(model, vocabulary, settings):
    with torch.no_grad():
        model.decoder.bias[0] += 5  # <unk> is what the model would write most
    assert "<unk>" in generate(model, vocabulary, "the", 60, ban=(), **settings).tokens
    written = generate(
        model, vocabulary, "the", 60, ban=("<unk>", "the", "nowhere"), **settings
    ).tokens
    assert len(written) == 60 and not {"<unk>", "the"} & set(written)
    assert "<unk>" not in generate(model, vocabulary, "the", 60, ban="<unk>", **settings).tokens


def test_a_repetition_penalty_makes_recent_words_rarer():
    shares = torch.full((5, 5), 0.2)
    vocabulary = Vocabulary(list("abcde"), [1] * 5, unknown=None)
    plain = generate(BigramModel(shares), vocabulary, "a b c", 1, repetition_penalty=1.0)
    assert plain.tokens  # with a penalty of 30 only the words that were not in the prompt are left
    for seed in range(20):
        text = generate(
            BigramModel(shares), vocabulary, "a b c", 1, seed=seed, repetition_penalty=30.0
        )
        assert text.tokens[0] in "de"


def test_a_repetition_penalty_forgets_what_is_more_than_64_words_back():
    vocabulary = Vocabulary(list("abc"), [1] * 3, unknown=None)
    model = BigramModel(torch.full((3, 3), 1 / 3))
    for words, expected in (("a " + "b " * 64, {"a", "c"}), ("a " + "b " * 63, {"c"})):
        found = {
            generate(model, vocabulary, words, 1, seed=seed, repetition_penalty=30.0).tokens[0]
            for seed in range(20)
        }
        assert found == expected


def test_a_penalty_raises_the_probability_to_its_power():
    # p = 0.8, 0.2; "a" was seen: 0.8^2 = 0.64 against 0.2, so "a" still wins; with 10: 0.107 against 0.2.
    model = BigramModel(torch.tensor([[0.8, 0.2], [0.8, 0.2]]))
    vocabulary = Vocabulary(["a", "b"], [1, 1], unknown=None)
    greedy = [
        generate(model, vocabulary, "a", 1, temperature=0, repetition_penalty=penalty).tokens[0]
        for penalty in (1.0, 2.0, 10.0)
    ]
    assert greedy == ["a", "a", "b"]


# Seeds, streaming, cost


def test_the_same_seed_gives_the_same_text_and_another_another(model, vocabulary):
    first = generate(model, vocabulary, "the cat", 40, seed=5)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    assert generate(model, vocabulary, "the cat", 40, seed=5) == first
    assert generate(model, vocabulary, "the cat", 40, seed=6).tokens != first.tokens
    assert torch.equal(torch.get_rng_state(), state)  # torch's own generator is left alone


@pytest.mark.parametrize("beams", [1, 3])
def test_words_are_handed_out_in_order(model, vocabulary, beams):
    heard: list[str] = []
    text = generate(model, vocabulary, "the", 15, beams=beams, on_word=heard.append)
    assert tuple(heard) == text.tokens


def test_a_word_is_handed_out_before_the_next_one_is_computed(model, vocabulary):
    reads: list[int] = []
    generate(model, vocabulary, "the", 5, on_word=lambda _: reads.append(model.tokens_read))
    assert reads == [2, 3, 4, 5, 6]  # the prompt with its <eos>, then one each


@pytest.mark.parametrize("beams", [1, 4])
def test_a_word_costs_the_same_however_long_the_text_is(model, vocabulary, beams):
    costs = {}
    for words in (10, 20, 200):
        model.tokens_read = 0
        generate(model, vocabulary, "the cat sat", words, beams=beams)
        costs[words] = model.tokens_read
    assert costs[20] - costs[10] == 10 * beams and costs[200] - costs[20] == 180 * beams


def test_the_state_after_the_prompt_is_used(model, vocabulary):
    # Same last word, other words before it: a recurrent model must tell them apart.
    assert (
        generate(model, vocabulary, "the cat sat", 30, seed=1).tokens
        != generate(model, vocabulary, "on a mat , sat", 30, seed=1).tokens
    )


@pytest.mark.parametrize("beams", [1, 4])
def test_the_log_probability_is_the_models_own(model, vocabulary, beams):
    text = generate(model, vocabulary, "the cat", 12, beams=beams)
    ids = [vocabulary.id(token) for token in text.tokens]
    assert text.log_prob == pytest.approx(log_prob_of(model, text.prompt.ids, ids), abs=1e-4)


def test_writing_leaves_dropout_as_it_was(model, vocabulary):
    model.train()
    assert generate(model, vocabulary, "the", 9) == generate(model, vocabulary, "the", 9)
    assert model.training


# Beam search


def test_beam_search_finds_what_greedy_choice_misses(trap):
    model, vocabulary = trap
    greedy = generate(model, vocabulary, "0", 3, temperature=0)
    beam = generate(model, vocabulary, "0", 3, beams=2)
    assert greedy.tokens[0] == "1" and beam.tokens == ("2", "3", "4")
    assert beam.log_prob == pytest.approx(math.log(0.4)) and beam.log_prob > greedy.log_prob


def test_a_beam_as_wide_as_all_texts_finds_the_likeliest(model, vocabulary):
    text = generate(model, vocabulary, "the", 3, beams=1000, ban=())
    prompt = text.prompt.ids
    best = max(
        product(range(len(WORDS)), repeat=3), key=lambda ids: log_prob_of(model, prompt, ids)
    )
    assert text.tokens == tuple(WORDS[word] for word in best)


def test_beams_carry_the_state_of_the_text_they_go_on_from(model, vocabulary):
    # Wrong states give a wrong log-probability: it must be that of the text read in one piece.
    for beams in (2, 5, 9):
        text = generate(model, vocabulary, "a mat .", 25, beams=beams)
        ids = [vocabulary.id(token) for token in text.tokens]
        assert text.log_prob == pytest.approx(log_prob_of(model, text.prompt.ids, ids), abs=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("beams", [1, 4])
def test_the_state_of_each_real_family_goes_on_where_the_text_stands(family, vocabulary, beams):
    # 14 words in all: within every memory, so reading them at once must give the same.
    model = real_model(family, len(WORDS), is_adaptive=beams == 1)
    text = generate(model, vocabulary, "the cat sat", 10, beams=beams)
    ids = [vocabulary.id(token) for token in text.tokens]
    assert text.log_prob == pytest.approx(log_prob_of(model, text.prompt.ids, ids), abs=1e-4)


@pytest.mark.parametrize("is_adaptive", [False, True])
@pytest.mark.parametrize("family", ["lstm", "transformer"])
def test_rows_laid_out_for_writing_give_the_same_scores(family, is_adaptive, vocabulary):
    model = real_model(family, len(WORDS), is_adaptive=is_adaptive)
    hidden = torch.randn(3, model.output_size, generator=torch.Generator().manual_seed(0))
    before, text = model.log_probs(hidden), generate(model, vocabulary, "the cat", 30)
    store_by_columns(model)
    torch.testing.assert_close(model.log_probs(hidden), before)
    assert generate(model, vocabulary, "the cat", 30).tokens == text.tokens
    rows = [weight for weight in model.head.parameters() if weight.ndim == 2]
    assert rows and all(weight.t().is_contiguous() for weight in rows)


def test_a_prompt_longer_than_the_memory_asks_for_no_place_that_was_never_learned(
    vocabulary, monkeypatch
):
    from word_lm.model import transformer

    real, ends = transformer.sinusoids, []
    monkeypatch.setattr(
        transformer, "sinusoids", lambda first, time, *more: ends.append(first + time) or real(first, time, *more)
    )  # fmt: skip
    model = real_model("transformer", len(WORDS))
    prompt = "the cat sat on a mat . " * 9
    text = generate(model, vocabulary, prompt, 3, temperature=0)
    assert max(ends) <= model.memory == 16
    # The modern one sees the same last words however the prompt is cut.
    modern = real_model("modern_transformer", len(WORDS))
    text = generate(modern, vocabulary, prompt, 3, temperature=0)
    ids = [vocabulary.id(token) for token in text.tokens]
    assert text.log_prob == pytest.approx(log_prob_of(modern, text.prompt.ids, ids), abs=1e-4)


# Prompts and bad input


def test_unknown_words_of_a_prompt_become_unk_with_one_line_that_lists_them(model, vocabulary):
    prompt = read_prompt(vocabulary, "the dog sat , zebra dog")
    assert prompt.tokens == ("the", "<unk>", "sat", ",", "<unk>", "<unk>")
    assert prompt.ids == (1, 2, 0, 4, 8, 0, 0)
    assert (
        prompt.notice is not None
        and '"dog", "zebra"' in prompt.notice
        and "\n" not in prompt.notice
    )
    with pytest.warns(UserWarning, match='"dog", "zebra"'):
        generate(model, vocabulary, "the dog sat , zebra dog", 1)
    assert read_prompt(vocabulary, "the cat").notice is None


def test_without_unk_unknown_words_are_refused():
    with pytest.raises(UserError, match='"dog"'):
        read_prompt(Vocabulary(["a"], [1], unknown=None), "a dog")


def test_an_empty_prompt_starts_a_line(model, vocabulary):
    assert read_prompt(vocabulary, "").ids == (1,)
    assert len(generate(model, vocabulary, "", 5).tokens) == 5
    with pytest.raises(UserError, match="empty"):
        read_prompt(Vocabulary(["a"], [1], unknown=None), "")


def test_no_words_are_an_empty_text(model, vocabulary):
    for beams in (1, 2):
        text = generate(model, vocabulary, "the", 0, beams=beams)
        assert text.tokens == () and text.log_prob == 0


@pytest.mark.parametrize(
    "settings",
    [
        {"temperature": -1}, {"temperature": math.nan}, {"top_k": 0}, {"top_p": 0.0}, {"top_p": 1.1},
        {"repetition_penalty": 0.9}, {"repetition_penalty": math.inf}, {"beams": 0},
        {"beams": 2, "temperature": 0.5}, {"beams": 2, "top_k": 3},
        {"ban": WORDS},
    ],
)  # fmt: skip
def test_settings_out_of_range_are_refused(model, vocabulary, settings):
    with pytest.raises(UserError):
        generate(model, vocabulary, "the", 5, **settings)


# The verb


def test_generate_writes_the_same_text_twice_and_no_unk(word_lm, small_run):
    wanted = ["generate", small_run, "--words", 60, "--seed", 4]
    first, again = word_lm(*wanted), word_lm(*wanted)
    assert first == again and first[0] == 0
    assert len(first[1].split()) > 30 and "<unk>" not in first[1]


def test_generate_streams_the_prompt_then_the_text_and_names_unknown_words(word_lm, small_run):
    code, out, error = word_lm("generate", small_run, "--words", 5, "--prompt", "the zebraX")
    assert code == 0 and out.startswith("the <unk>") and '"zebraX"' in error


@pytest.mark.parametrize(
    "options, name",
    [
        (["--temperature", 0, "--seed", 3], "--seed is 3"),
        (["--temperature", 0, "--top-k", 3], "--top-k is 3"),
        (["--temperature", 0, "--top-p", 0.5], "--top-p is 0.5"),
        (["--beams", 2, "--seed", 3], "--seed is 3"),
    ],
)
def test_settings_of_sampling_are_refused_where_nothing_is_drawn(word_lm, options, name):
    code, out, error = word_lm("generate", "run", *options)
    assert (code, out) == (2, "") and name in error and "draws nothing" in error


def test_generate_as_json_has_text_and_figures(word_lm, small_run):
    code, out, _ = word_lm("generate", small_run, "--words", 20, "--beams", 2, "--json")
    found = json.loads(out)
    assert code == 0 and len(found["tokens"]) == 20 and found["log_prob"] < 0
    assert 0 <= found["quality"]["repetition"] <= 1


def test_a_long_prompt_is_read_in_pieces_and_gives_the_same() -> None:
    """Slow context and a pointer take memory by the square of what is read at once."""
    model, sizes = real_model("awd_lstm", 9).eval(), []
    model.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    ids = torch.randint(9, (600, 1), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        hidden, _ = _read_prompt(model, ids)
        assert sum(sizes) == 600 and max(sizes) <= 256
        at_once, _ = model(ids)
        torch.testing.assert_close(
            model.log_probs(hidden[-1]), model.log_probs(at_once[-1]), atol=1e-4, rtol=0
        )
