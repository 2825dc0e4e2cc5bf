from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import UserError
from shared.text.vocabulary import Vocabulary

TOKENS = st.lists(st.sampled_from("a b c d e f g <unk>".split()), max_size=60)
ANY_TOKEN = st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), min_size=1)


def test_a_text_that_is_not_split_into_tokens_is_refused() -> None:
    with pytest.raises(TypeError, match="tokens is a str"):
        Vocabulary.build("it is useful")


def test_unknown_comes_first_then_falling_count_then_first_seen():
    vocabulary = Vocabulary.build("z b a b z c".split())
    assert vocabulary.tokens == ("<unk>", "z", "b", "a", "c")
    assert vocabulary.counts.tolist() == [1, 2, 2, 1, 1]


def test_max_size_counts_the_specials():
    vocabulary = Vocabulary.build("b a b c".split(), max_size=3, specials=("<unk>", "<pad>"))
    assert vocabulary.tokens == ("<unk>", "<pad>", "b")


def test_min_count_spares_the_specials():
    vocabulary = Vocabulary.build("b a b c".split(), min_count=2)
    assert vocabulary.tokens == ("<unk>", "b")


def test_special_in_the_text_is_listed_once_with_its_own_count():
    vocabulary = Vocabulary.build("<unk> a <unk> <eos>".split(), specials=("<unk>", "<pad>"))
    assert vocabulary.tokens == ("<unk>", "<pad>", "a", "<eos>")
    assert vocabulary.counts.tolist() == [2, 1, 1, 1]


def test_stream_is_read_once_and_counts_equal_from_counts():
    text = "b a b c".split()
    assert Vocabulary.build(iter(text)) == Vocabulary.from_counts(Counter(text))


@settings(deadline=None, max_examples=60)
@given(TOKENS, st.integers(1, 12), st.integers(1, 3))
def test_order_follows_its_definition(tokens, max_size, min_count):
    vocabulary = Vocabulary.build(tokens, max_size=max_size, min_count=min_count)
    first_seen = list(dict.fromkeys(tokens))
    rest = sorted(
        (t for t in first_seen if t != "<unk>" and tokens.count(t) >= min_count),
        key=lambda t: (-tokens.count(t), first_seen.index(t)),
    )
    assert list(vocabulary) == ["<unk>", *rest][:max_size]
    assert vocabulary.counts[1:].tolist() == [tokens.count(t) for t in vocabulary.tokens[1:]]


@pytest.mark.filterwarnings("ignore:more than")
@settings(deadline=None, max_examples=60)
@given(TOKENS, st.integers(4, 9))
def test_pruned_counts_are_never_too_high_and_few_types_lose_nothing(tokens, limit):
    pruned = Vocabulary.build(tokens, prune_above=limit)
    for token, count in zip(pruned.tokens[1:], pruned.counts[1:], strict=True):
        assert count <= tokens.count(token)
    assert len(pruned) <= limit + 1
    if len(set(tokens)) <= limit * 3 // 4:
        assert pruned == Vocabulary.build(tokens)


def test_pruning_keeps_frequent_tokens_exact_and_says_that_it_forgot():
    text = [word for number in range(5000) for word in ("the", f"rare{number}", "of", "the")]
    with pytest.warns(UserWarning, match="more than 100 distinct tokens"):
        vocabulary = Vocabulary.build(text, prune_above=100)
    assert vocabulary.tokens[1:3] == ("the", "of")
    assert vocabulary.counts[1:3].tolist() == [10_000, 5_000]
    assert len(vocabulary) <= 101


def test_pruning_holds_its_bound_at_every_moment(monkeypatch):
    sizes = []

    class Watched(Counter):
        def update(self, *args, **kwargs):
            super().update(*args, **kwargs)
            sizes.append(len(self))

    monkeypatch.setattr("shared.text.vocabulary.Counter", Watched)
    text = [word for number in range(3000) for word in (f"often{number % 5}", f"rare{number}")]
    with pytest.warns(UserWarning, match="dropped"):
        Vocabulary.build(text, prune_above=50)
    assert 37 < max(sizes) <= 50


@pytest.mark.parametrize(
    "options", [{"min_count": 0}, {"max_size": 0}, {"prune_above": 3}, {"unknown": "<oov>"}]
)
def test_options_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match=r"expected|too small|not among"):
        Vocabulary.build(["a"], **options)


@pytest.mark.parametrize(
    "tokens, counts",
    [
        (["<unk>", "a", "a"], [1, 1, 1]),
        (["<unk>", ""], [1, 1]),
        (["<unk>", "a\nb"], [1, 1]),
        (["<unk>", "a"], [1]),
        (["<unk>", "a"], [1, -1]),
    ],
)
def test_inconsistent_parts_are_refused(tokens, counts):
    with pytest.raises(ValueError, match=r"token|count"):
        Vocabulary(tokens, counts)


def test_ids_map_unknown_tokens_to_the_unknown_id():
    vocabulary = Vocabulary.build("b a b".split(), specials=("<pad>", "<unk>"))
    ids = vocabulary.ids(iter("a what b".split()))
    assert ids.dtype == np.int32
    assert ids.tolist() == [3, 1, 2]
    assert vocabulary.id("what") == vocabulary.unknown_id == 1
    assert vocabulary.ids([]).shape == (0,)
    assert ("b" in vocabulary, "what" in vocabulary, len(vocabulary)) == (True, False, 4)


def test_unknown_tokens_warn_only_on_request():
    vocabulary = Vocabulary.build(["a"])
    with pytest.warns(UserWarning, match='"what" read as <unk>'):
        vocabulary.id("what", warn=True)
    with pytest.warns(UserWarning, match=r"3 of 4 tokens are unknown .*: x, y$"):
        assert vocabulary.ids(iter("x a y x".split()), warn=True).tolist() == [0, 1, 0, 0]


def test_without_an_unknown_token_the_error_has_the_nearest_spelling():
    vocabulary = Vocabulary.build(["film", "actor"], specials=(), unknown=None)
    assert vocabulary.ids(["actor", "film"]).tolist() == [1, 0]
    for look_up in (lambda: vocabulary.id("flim"), lambda: vocabulary.ids(["actor", "flim"])):
        with pytest.raises(
            KeyError, match='"flim" is not in the vocabulary; the nearest is "film"'
        ):
            look_up()


def test_file_has_the_assignments_exact_form(tmp_path):
    Vocabulary.build("it is useful it is it caf\u00e9".split()).save(tmp_path / "vocab.txt")
    assert (tmp_path / "vocab.txt").read_bytes() == (
        b"<unk> 1\nit 3\nis 2\nuseful 1\ncaf\xc3\xa9 1\n"
    )


@settings(deadline=None, max_examples=60)
@given(st.dictionaries(ANY_TOKEN, st.integers(1, 2**40)))
def test_saved_vocabulary_loads_equal(tmp_path_factory, counts):
    path = tmp_path_factory.mktemp("vocabulary") / "vocab.txt"
    vocabulary = Vocabulary.from_counts(counts)
    vocabulary.save(path)
    assert Vocabulary.load(path) == vocabulary


def test_equality_sees_tokens_counts_and_unknown():
    one = Vocabulary(["<unk>", "a"], [1, 2])
    assert one == Vocabulary(["<unk>", "a"], [1, 2])
    assert one != Vocabulary(["<unk>", "b"], [1, 2])
    assert one != Vocabulary(["<unk>", "a"], [1, 3])
    assert one != Vocabulary(["<unk>", "a"], [1, 2], unknown=None)
    assert one != "a"


def test_complete_last_line_needs_no_line_feed_and_windows_line_ends_are_read(tmp_path):
    path = tmp_path / "vocab.txt"
    path.write_bytes(b"<unk> 1\r\na 2\r\nb 3")
    assert Vocabulary.load(path).tokens == ("<unk>", "a", "b")
    assert Vocabulary.load(path).counts.tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    "content, place, problem",
    [
        (b"", "vocab.txt:", "empty"),
        (b"<unk> 1\na 2\nb", "vocab.txt:3:", "no count"),
        (b"<unk> 1\na 2\nb ", "vocab.txt:3:", "not a whole number"),
        (b"<unk> 1\n\na 2\n", "vocab.txt:2:", "no count"),
        (b"<unk> 1\na two\n", "vocab.txt:2:", "not a whole number"),
        (b"<unk> 1\na -2\n", "vocab.txt:2:", "not a whole number"),
        (b"<unk> 1\na 1_0\n", "vocab.txt:2:", "not a whole number"),
        (b"<unk> 1\n 2\n", "vocab.txt:2:", "no token"),
        (b"<unk> 1\na 2\na 2\n", "vocab.txt:3:", "also on line 2"),
        (b"<unk> 1\n\xff 2\n", "vocab.txt:2:", "not UTF-8"),
        (b"a 2\n", "vocab.txt:", 'no line for "<unk>"'),
    ],
)
def test_damaged_file_is_named_with_its_line(tmp_path, content, place, problem):
    path = tmp_path / "vocab.txt"
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        Vocabulary.load(path)
    assert place in str(caught.value)
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_file_is_a_user_error(tmp_path):
    with pytest.raises(UserError, match="cannot read the vocabulary"):
        Vocabulary.load(tmp_path / "none.txt")


def test_counts_cannot_be_changed_by_accident():
    with pytest.raises(ValueError, match="read-only"):
        Vocabulary.build(["a"]).counts[0] = 7
