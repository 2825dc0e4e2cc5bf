"""The n-gram model against a slow one written from the equations; its probabilities, and what it counts."""

from __future__ import annotations

import math
from collections import Counter, defaultdict

import numpy as np
import pytest

from shared.errors import UserError
from word_lm.config import TrainConfig
from word_lm.data.dataset import load_text
from word_lm.measures.ngram import FALLBACK, KneserNey


class Plain:
    """Interpolated modified Kneser-Ney with dicts, one n-gram at a time."""

    def __init__(self, ids, vocabulary_size: int, order: int) -> None:
        words = tuple(int(i) for i in ids)
        self.size, self.order = vocabulary_size, order
        self.tables: list[dict] = []
        for n in range(1, order + 1):
            if n == order:
                counts = Counter(words[i : i + n] for i in range(len(words) - n + 1))
            else:
                before = defaultdict(set)
                for i in range(len(words) - n + 1):
                    before[words[i : i + n]].add(words[i - 1] if i else "start")
                counts = Counter({gram: len(seen) for gram, seen in before.items()})
            self.tables.append(counts)
        self.discounts = [self.discount(counts) for counts in self.tables]

    @staticmethod
    def discount(counts) -> tuple[float, float, float]:
        n = Counter(counts.values())
        if not (n[1] and n[2] and n[3]):
            return FALLBACK
        y = n[1] / (n[1] + 2 * n[2])
        found = tuple(k - (k + 1) * y * n[k + 1] / n[k] for k in (1, 2, 3))
        return found if all(0 < d < k for k, d in enumerate(found, 1)) else FALLBACK

    def probability(self, word: int, context: tuple[int, ...]) -> float:
        context = context[max(0, len(context) - self.order + 1) :]
        if not context:
            return self.mixed(word, (), 1 / self.size)
        return self.mixed(word, context, self.probability(word, context[1:]))

    def mixed(self, word, context, below) -> float:
        counts, taken = self.tables[len(context)], (0, *self.discounts[len(context)])
        following = {gram: c for gram, c in counts.items() if gram[:-1] == context}
        total = sum(following.values())
        if not total:
            return below
        count = following.get((*context, word), 0)
        left = sum(taken[min(c, 3)] for c in following.values())
        return (count - taken[min(count, 3)]) / total + left / total * below


def zipf(seed: int, length: int, vocabulary: int) -> np.ndarray:
    """Text-like: a few words often, and phrases that come again."""
    generator = np.random.default_rng(seed)
    shares = 1 / np.arange(1, vocabulary + 1)
    ids = generator.choice(vocabulary, size=length, p=shares / shares.sum())
    ids[length // 2 : length // 2 + length // 5] = ids[: length // 5]
    return ids


def following(model: KneserNey, context: np.ndarray) -> np.ndarray:
    """Return the probability of every word after a context."""
    texts = [np.array([*context, word]) for word in range(model.vocabulary_size)]
    return np.exp([model.log_probs(text)[-1] for text in texts])


@pytest.mark.parametrize("order", [1, 2, 3, 4, 5])
def test_probabilities_are_those_of_the_slow_reference(order):
    ids, other = zipf(0, 400, 12), zipf(1, 60, 14)  # words 12 and 13 are new to the model
    model, plain = KneserNey(ids, 15, order), Plain(ids, 15, order)
    for text in (ids[-50:], other):
        expected = [
            math.log(plain.probability(int(text[t]), tuple(text[max(0, t - 4) : t].tolist())))
            for t in range(len(text))
        ]
        assert model.log_probs(text) == pytest.approx(expected, rel=1e-12)


def test_the_test_text_uses_estimated_and_fallback_discounts():
    # The comparison above would be blind to one of the two if the other never occurred.
    discounts = Plain(zipf(0, 400, 12), 15, 5).discounts
    assert FALLBACK in discounts and any(discount != FALLBACK for discount in discounts)


@pytest.mark.parametrize("order", [1, 3, 5])
def test_probabilities_sum_to_1_after_any_context(order):
    ids = zipf(2, 600, 20)
    model = KneserNey(ids, 23, order)
    contexts = [ids[i : i + n] for n in range(6) for i in (0, 100, len(ids) - n)]
    contexts += [np.array([21]), np.array([3, 21, 1]), np.array([21, 0, 0]), ids[-4:]]
    for context in contexts:
        probabilities = following(model, context)
        assert probabilities.sum() == pytest.approx(1, abs=1e-12)
        assert probabilities.min() > 0


def test_a_word_of_one_context_is_unlikely_in_others_however_often_it_was_seen():
    # "francisco" (2) only ever follows "san" (1); 3 follows everything. Both are as frequent.
    generator = np.random.default_rng(0)
    ids = []
    for _ in range(200):
        ids += [1, 2, *generator.integers(4, 30, size=2).tolist(), 3]
    model = KneserNey(np.array(ids), 40, 2)
    after_new_word = following(model, np.array([35]))
    assert after_new_word[2] < after_new_word[3] / 5
    assert following(model, np.array([1]))[2] > 0.9


def test_longer_context_helps_where_the_text_has_structure():
    ids = np.tile(np.array([0, 1, 0, 2, 0, 3]), 50)  # what follows 0 depends on the word before it
    figures = [KneserNey(ids, 4, order).evaluate(ids).perplexity for order in (1, 2, 3)]
    assert figures[0] > figures[1] > figures[2] and figures[2] < 1.1


def test_a_uniform_text_has_the_perplexity_of_its_vocabulary():
    ids = np.random.default_rng(0).integers(0, 8, size=20_000)
    result = KneserNey(ids[:10_000], 8, 1).evaluate(ids[10_000:])
    assert result.perplexity == pytest.approx(8, rel=0.01)
    assert (result.predicted, result.dropped, result.cold_starts) == (9_999, 1, 1)


def test_many_words_do_not_overflow_the_numbers_of_the_n_grams():
    # 5-grams over 33,278 words need 75 bits if written out.
    generator = np.random.default_rng(0)
    ids = generator.integers(33_000, 33_278, size=3_000)
    model, plain = KneserNey(ids, 33_278), Plain(ids, 33_278, 5)
    assert [len(order.keys) for order in model._orders] == [len(table) for table in plain.tables]
    text = ids[500:510]
    assert model.log_probs(text)[9] == pytest.approx(
        math.log(plain.probability(int(text[9]), tuple(text[5:9].tolist())))
    )


def test_a_text_of_one_repeated_word_and_one_of_order_tokens_work():
    assert following(KneserNey(np.zeros(50, dtype=int), 3), np.zeros(4, dtype=int))[0] > 0.9
    assert following(KneserNey(np.arange(5), 5), np.array([0, 1, 2, 3])).sum() == pytest.approx(1)


def test_bad_input_is_refused():
    with pytest.raises(UserError, match="Expected 0 to 4"):
        KneserNey(np.array([1, 2, 5]), 5, 2)
    with pytest.raises(UserError, match="3 or more"):
        KneserNey(np.array([1, 2]), 5, 3)
    with pytest.raises(UserError, match="1 to 5"):
        KneserNey(np.array([1, 2]), 5, 6)
    model = KneserNey(np.arange(5), 5, 2)
    with pytest.raises(UserError, match="2 or more"):
        model.evaluate(np.array([1]))
    with pytest.raises(UserError, match="vocabulary"):
        model.log_probs(np.array([-1]))


def test_the_5_gram_of_wikitext_2_has_the_perplexity_that_the_readme_gives(real_data):
    text = load_text(TrainConfig(data=str(real_data)))
    model = KneserNey(text.splits["train"], len(text.vocabulary))
    assert model.evaluate(text.splits["valid"]).perplexity == pytest.approx(232.51, abs=0.01)
    assert model.evaluate(text.splits["test"]).perplexity == pytest.approx(217.80, abs=0.01)
