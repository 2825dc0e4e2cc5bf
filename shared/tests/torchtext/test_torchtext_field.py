from __future__ import annotations

import functools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchtext.data import Field, LabelField, NestedField, get_tokenizer

from shared.errors import UserError
from shared.text.tokenizers import space_tokens
from shared.text.vocabulary import Vocabulary
from shared.torchtext.adapter import from_field, to_field
from shared.torchtext.rules import TextField, basic_english_tokens

ALPHABET = "aAbBé .,'\n\u00a0"
TEXTS = st.lists(st.text(ALPHABET, max_size=30), min_size=1, max_size=6)
TRAIN = ["a b c", "A a é", "b .", "aa Bb <pad>"]


def drop_last(tokens):
    return tokens[:-1]


SETTINGS = st.fixed_dictionaries(
    {
        "init_token": st.sampled_from([None, "<s>"]),
        "eos_token": st.sampled_from([None, "</s>", "<pad>"]),
        "pad_token": st.sampled_from(["<pad>", "PAD"]),
        "lower": st.booleans(),
        "tokenize": st.sampled_from([None, list, str.split, "basic_english"]),
        "fix_length": st.sampled_from([None, 3, 5]),
        "pad_first": st.booleans(),
        "truncate_first": st.booleans(),
        "stop_words": st.sampled_from([None, ["b"], ["A", "é"]]),
        "preprocessing": st.sampled_from([None, drop_last]),
    }
)
SHAPE = st.fixed_dictionaries({"batch_first": st.booleans(), "include_lengths": st.booleans()})
BUILD = st.fixed_dictionaries(
    {"min_freq": st.integers(1, 3), "max_size": st.sampled_from([None, 0, 2])}
)


def made(settings, build=None):
    field = Field(**settings)
    field.build_vocab([field.preprocess(text) for text in TRAIN], **(build or {}))
    return field


def assert_same_batches(theirs, ours, texts):
    examples = [theirs.preprocess(text) for text in texts]
    assert [list(ours.tokens(text)) for text in texts] == [list(example) for example in examples]
    given_back = theirs.process(examples)
    batch = given_back[0] if theirs.include_lengths else given_back
    ids, lengths = ours.batch(examples)
    assert ids.tolist() == (batch if theirs.batch_first else batch.t()).tolist()
    if theirs.include_lengths:
        assert lengths.tolist() == given_back[1].tolist()


@given(SETTINGS, SHAPE, BUILD, TEXTS)
def test_batches_of_ragged_texts_are_those_of_torchtext(settings, shape, build, texts):
    theirs = made({**settings, **shape}, build)
    ours = from_field(theirs)
    assert_same_batches(theirs, ours, texts)
    back = to_field(ours, **shape)
    assert_same_batches(back, ours, texts)
    assert from_field(back) == ours


@given(TEXTS)
def test_lengths_tell_a_pad_token_in_the_text_from_padding(texts):
    theirs = made({"include_lengths": True})
    assert_same_batches(theirs, from_field(theirs), ["<pad> a <pad>", *texts])


@given(st.text("aA\"'.,()!?;:<br />\n\t&é"))
def test_basic_english_splits_as_in_torchtext(text):
    assert basic_english_tokens(text) == get_tokenizer("basic_english")(text)


@pytest.mark.parametrize(
    "text", ['a<br />b<BR />c<br/>d<br" />e', 'It\'s "so-so"; 3.5 (no!)', "<br' />", "İstanbul"]
)
def test_basic_english_of_known_texts(text):
    assert basic_english_tokens(text) == get_tokenizer("basic_english")(text)


def test_subclass_without_methods_of_its_own_moves_and_so_does_torchtexts_own():
    class Named(Field):
        """Only a name."""

    assert from_field(built(Named())).tokens("a b") == ["a", "b"]


def test_known_tokenizers_become_ours_and_others_are_kept():
    assert from_field(made({})).tokenize is space_tokens
    assert from_field(made({"tokenize": "basic_english"})).tokenize is basic_english_tokens
    assert from_field(made({"tokenize": list})).tokenize is list


def test_tokens_given_in_place_of_a_text_are_not_split_again():
    theirs = made({"lower": True})
    tokens = ["New York", "A"]
    assert from_field(theirs).tokens(tokens) == theirs.preprocess(tokens) == ["new york", "a"]


def test_unknown_token_of_another_name_works_where_torchtext_has_a_key_error():
    theirs = made({"unk_token": "[UNK]"})
    ours = from_field(theirs)
    assert_same_batches(theirs, ours, TRAIN)
    with pytest.raises(KeyError):
        theirs.process([["never"]])
    assert ours.batch([["never"]])[0].tolist() == [[theirs.vocab.stoi["[UNK]"]]]
    back = to_field(ours)
    assert back.process([["never"]]).tolist() == ours.batch([["never"]])[0].tolist()


def test_field_without_an_unknown_token_has_a_key_error_in_both():
    theirs = made({"unk_token": None})
    with pytest.raises(KeyError):
        theirs.process([["never"]])
    with pytest.raises(KeyError, match="never"):
        from_field(theirs).batch([["never"]])


def test_truncating_at_the_first_possible_length_keeps_one_token():
    settings = {"init_token": "<s>", "eos_token": "</s>", "fix_length": 3, "truncate_first": True}
    theirs = made(settings)
    ours = from_field(theirs)
    assert_same_batches(theirs, ours, ["a b c", ""])
    with pytest.raises(UserError, match="fix_length is 2. Expected 3 or more"):
        from_field(made({**settings, "fix_length": 2}))


def test_text_in_place_of_its_tokens_is_refused():
    with pytest.raises(TypeError, match="an example is a str"):
        from_field(made({})).batch(["a b c"])


def test_shape_of_an_empty_batch():
    ids, lengths = TextField(Vocabulary(["<unk>", "<pad>"], [0, 0])).batch([])
    assert ids.shape == (0, 0)
    assert lengths.shape == (0,)


def nested():
    field = NestedField(Field(tokenize=list))
    field.build_vocab([[list("ab")]])
    return field


def labels():
    field = LabelField()
    field.build_vocab(["pos", "neg"])
    return field


class Reversing(Field):
    """A field as notebooks derive them."""

    def preprocess(self, x):
        return super().preprocess(x)[::-1]


class Numbering(Field):
    """Another one."""

    def numericalize(self, arr, device=None):
        return super().numericalize(arr, device) + 1


class Wrapped(Field):
    """A third, whose method says that it is another module's."""

    @functools.wraps(Field.preprocess)
    def preprocess(self, x):
        return ["z"]


def built(field):
    field.build_vocab([["a", "b"]])
    return field


def patched():
    field = built(Field())
    field.process = lambda batch: batch
    return field


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: built(Reversing()), "The field has a preprocess of its own"),
        (lambda: built(Numbering()), "The field has a numericalize of its own"),
        (lambda: built(Wrapped()), "The field has a preprocess of its own"),
        (patched, "The field has a process of its own"),
        (nested, "NestedField has two levels"),
        (labels, "LabelField is its vocabulary"),
        (Field, "Call its build_vocab first"),
        (lambda: Field(use_vocab=False, dtype=torch.float), "use_vocab=False"),
        (lambda: made({"postprocessing": lambda rows, vocab: rows}), "postprocessing cannot"),
        (lambda: made({"pad_token": None}), "pad_token is None"),
        (lambda: "TEXT.Field", "got the name of a file"),
        (lambda: object(), "got a builtins.object"),
    ],
)
def test_fields_that_cannot_be_moved_say_what_to_do(make, message):
    with pytest.raises(UserError, match=message):
        from_field(make())
