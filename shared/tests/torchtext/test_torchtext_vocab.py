from __future__ import annotations

import pickle
import subprocess
import sys
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from torchtext.data import LabelField
from torchtext.vocab import Vocab

from shared.errors import UserError
from shared.text.vocabulary import Vocabulary
from shared.torchtext.adapter import from_vectors, from_vocab, to_field, to_vocab
from shared.torchtext.rules import TextField, build_vocabulary

WORDS = st.lists(st.sampled_from(["b", "a", "c", "B", "é", "z", "<unk>", "<pad>", "<s>"]))
SPECIALS = st.sampled_from(
    [["<unk>", "<pad>"], ["<pad>"], ["<pad>", "<unk>", "<s>"], ["UNK", "<pad>"], []]
)


@given(WORDS, SPECIALS, st.none() | st.integers(0, 8), st.integers(-1, 4), st.booleans())
def test_built_vocabulary_has_the_ids_of_torchtext(words, specials, size, least, first):
    options = {"max_size": size, "min_freq": least, "specials": specials, "specials_first": first}
    theirs = Vocab(Counter(words), **options)
    ours = build_vocabulary(words, **options)
    assert list(ours.tokens) == theirs.itos
    assert (ours.unknown is None) == (theirs.unk_index is None)
    assert ours.unknown_id == theirs.unk_index


@given(WORDS, SPECIALS, st.booleans())
def test_moved_vocabulary_looks_up_as_torchtext_does_and_comes_back_the_same(
    words, specials, first
):
    theirs = Vocab(Counter(words), specials=specials, specials_first=first)
    ours = from_vocab(theirs)
    back = to_vocab(ours)
    assert back.itos == theirs.itos
    assert dict(back.stoi) == dict(theirs.stoi)
    assert back.unk_index == theirs.unk_index
    kept = {token: count for token, count in theirs.freqs.items() if token in theirs.itos}
    assert back.freqs == kept
    assert from_vocab(back) == ours
    for token in [*theirs.itos, "never seen"]:
        try:
            expected = theirs.stoi[token]
        except KeyError:
            with pytest.raises(KeyError):
                ours.id(token)
            with pytest.raises(KeyError):
                back.stoi[token]
        else:
            assert ours.id(token) == expected == back.stoi[token]


def test_looking_up_unknown_tokens_beforehand_adds_none():
    vocab = Vocab(Counter("a a b".split()))
    before = from_vocab(vocab)
    assert vocab.stoi["never seen"] == 0
    assert len(vocab.stoi) == len(vocab.itos) + 1  # the trap
    assert from_vocab(vocab) == before


def test_vocabulary_of_labels_has_no_unknown_token():
    label = LabelField()
    label.build_vocab(["neg", "pos", "pos"])
    labels = from_vocab(label.vocab)
    assert labels.ids(["pos", "neg"]).tolist() == label.process(["pos", "neg"]).tolist()
    with pytest.raises(KeyError, match="psos"):
        labels.id("psos")


def test_unk_that_is_a_word_like_others_stays_one():
    ours = Vocabulary(["a", "<unk>"], [2, 1], unknown=None)
    vocab = to_vocab(ours)
    with pytest.raises(KeyError):
        vocab.stoi["never seen"]
    assert from_vocab(vocab) == ours


def test_unknown_token_of_another_name_stands_for_unknown_words_on_the_way_back():
    ours = Vocabulary(["a", "[UNK]"], [2, 0], unknown="[UNK]")
    vocab = to_vocab(ours)
    assert vocab.stoi["never seen"] == 1
    assert pickle.loads(pickle.dumps(vocab)).stoi["never seen"] == 1  # as notebooks keep them
    assert from_vocab(vocab) == ours


def test_vectors_travel_with_the_vocabulary():
    ours = build_vocabulary("b b a".split())
    matrix = np.arange(12, dtype=np.float64).reshape(4, 3)
    vocab = to_vocab(ours, matrix)
    tokens, moved = from_vectors(vocab)
    assert tuple(tokens) == ours.tokens
    assert moved.dtype == np.float32
    assert moved.tolist() == matrix.tolist() == vocab.vectors.tolist()
    moved[0] = matrix[0] = -1
    assert vocab.vectors[0].tolist() == [0, 1, 2]  # no memory is shared


def test_matrix_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r"3 tokens, but a matrix of shape \(2, 5\)"):
        to_vocab(build_vocabulary(["a"]), np.zeros((2, 5)))


class Payload:
    def __reduce__(self):
        return open, ("executed", "w")


@pytest.mark.parametrize("move", [from_vocab, from_vectors])
@pytest.mark.parametrize("kind", [str, type(None)])
def test_pickled_files_are_refused_and_not_opened(move, kind, tmp_path):
    path = tmp_path / "vocab.pkl"
    path.write_bytes(pickle.dumps(Payload()))
    with pytest.raises(UserError, match=r"vocab\.pkl: .*pickles.*Move the object"):
        move(str(path) if kind is str else path)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    "words, message",
    [
        (["a", ""], "Token 2 of the Vocab is ''"),
        (["a\nb"], r"Token 2 of the Vocab is 'a\\nb'"),
        ([3, 4], "Token 2 of the Vocab is 3"),
    ],
)
def test_tokens_that_no_vocab_txt_can_hold_are_named(words, message):
    with pytest.raises(UserError, match=message):
        from_vocab(Vocab(Counter(words)))


def test_token_that_comes_twice_is_named_with_both_places():
    with pytest.raises(UserError, match="Token 1 and token 0 of the Vocab is '<unk>'"):
        from_vocab(Vocab(Counter(), specials=["<unk>", "<unk>"]))


def test_objects_of_another_kind_are_refused_by_name():
    with pytest.raises(UserError, match=r"Vocab object of torchtext 0\.6\.0, got a builtins\.dict"):
        from_vocab({"a": 0})


@pytest.mark.parametrize("found", [None, SimpleNamespace(__version__="0.18.0"), SimpleNamespace()])
def test_missing_or_other_torchtext_says_what_to_install(found, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchtext", found)
    ours = build_vocabulary(["a"])
    for move in (lambda: to_vocab(ours), lambda: to_field(TextField(ours))):
        with pytest.raises(UserError, match="here is .*pip install"):
            move()


@pytest.mark.parametrize("options", [{"max_size": -1}, {"specials": ["<unk>", "<unk>"]}])
def test_sizes_and_specials_that_make_no_sense_are_refused(options):
    with pytest.raises(ValueError, match="max_size is"):
        build_vocabulary(["a"], **options)


def test_moved_objects_are_used_without_loading_torchtext():
    code = (
        "import sys\n"
        "from shared.torchtext.rules import TextField, build_vocabulary\n"
        "field = TextField(build_vocabulary('a b b'.split()))\n"
        "print(field.batch([field.tokens('b a'), ['c']])[0].tolist())\n"
        "print({'torch', 'torchtext'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "[[2, 3], [0, 1]]\nset()\n", done.stderr
