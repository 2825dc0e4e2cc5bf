from __future__ import annotations

import ssl
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from torchtext.vocab import Vectors, Vocab

from shared.errors import UserError
from shared.text.vectors import load_pretrained, read_vectors, write_word2vec
from shared.torchtext.adapter import from_vectors, from_vocab, to_vectors

WORDS = "the a cat Cat sat <pad> é".split()


@pytest.fixture
def glove_file(tmp_path):
    """Nine digits a number, more than float32 keeps, so that both must round alike."""
    rng = np.random.default_rng(0)
    rows = [[word, *(f"{x:.9f}" for x in rng.normal(0, 0.4, 50))] for word in WORDS[:4] + WORDS[6:]]
    rows += [[f"word{row}", *(f"{x:.9f}" for x in rng.normal(0, 0.4, 50))] for row in range(400)]
    path = tmp_path / "glove.txt"
    path.write_text("".join(" ".join(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def theirs(glove_file, tmp_path, capsys):
    return Vectors(str(glove_file), cache=tmp_path / "cache")


def test_rows_from_a_file_are_those_of_torchtext(glove_file, theirs):
    words = ["sat", "dog", *WORDS, *(f"word{row}" for row in range(400))]
    vocab = Vocab(Counter(words), vectors=theirs)
    matrix, coverage = load_pretrained(glove_file, from_vocab(vocab), case_fallback=False, scale=0)
    assert np.array_equal(matrix, vocab.vectors.numpy())
    assert coverage.missing == 3  # <unk>, dog, sat: zeros in both


def test_rows_differ_where_the_document_says_so(tmp_path):
    """docs/from-torchtext.md, "Where rows differ"."""
    path = tmp_path / "vectors.txt"
    path.write_bytes(
        "a 1 2 3\nb 3 4 5\na 5 6 7\n<pad> 7 8 9\nc\x85 1 1 1\nc 2 2 2\nd 0 0 0\n".encode()
    )
    vocab = Vocab(
        Counter(["a", "b", "c\x85"]), vectors=Vectors(str(path), cache=tmp_path / "cache")
    )
    vocabulary = from_vocab(vocab)

    def rows(**more):
        matrix, _ = load_pretrained(path, vocabulary, case_fallback=False, scale=0, **more)
        return {token: matrix[vocabulary.id(token)].tolist() for token in vocabulary.tokens}

    theirs = {token: vocab.vectors[vocab.stoi[token]].tolist() for token in vocab.itos}
    assert (rows()["a"], theirs["a"]) == ([1, 2, 3], [5, 6, 7])
    assert (rows()["<pad>"], theirs["<pad>"]) == ([0, 0, 0], [7, 8, 9])
    assert rows(pad="")["<pad>"] == theirs["<pad>"]
    assert (rows()["c\x85"], theirs["c\x85"]) == ([1, 1, 1], [2, 2, 2])
    assert rows()["b"] == theirs["b"]
    tokens, matrix = from_vectors(vocab)
    assert dict(zip(tokens, matrix.tolist(), strict=True)) == theirs


def test_moved_vectors_are_the_same_and_come_back(theirs, tmp_path):
    tokens, matrix = from_vectors(theirs)
    assert tokens == theirs.itos
    assert np.array_equal(matrix, theirs.vectors.numpy())
    back = to_vectors(tokens, matrix)
    assert back.dim == theirs.dim == 50
    for token in ["cat", "Cat", "not there"]:
        assert torch.equal(back[token], theirs[token])
    wanted = ["The", "cat"]
    assert torch.equal(
        back.get_vecs_by_tokens(wanted, lower_case_backup=True),
        theirs.get_vecs_by_tokens(wanted, lower_case_backup=True),
    )
    words = Counter(["cat", "dog", "é"])
    assert torch.equal(Vocab(words, vectors=back).vectors, Vocab(words, vectors=theirs).vectors)


def test_moved_vectors_can_be_saved_without_a_pickle(theirs, tmp_path):
    tokens, matrix = from_vectors(theirs)
    write_word2vec(tmp_path / "vectors.bin", tokens, matrix, binary=True)
    again, same = read_vectors(tmp_path / "vectors.bin")
    assert again == tokens
    assert np.array_equal(same, matrix)


def test_repeated_token_keeps_the_row_that_torchtext_looks_up(tmp_path, capsys):
    path = tmp_path / "twice.txt"
    path.write_text("a 1 1 1\nb 2 2 2\na 3 3 3\n")
    theirs = Vectors(str(path), cache=tmp_path / "cache")
    tokens, matrix = from_vectors(theirs)
    assert tokens == ["a", "b"]
    assert matrix[0].tolist() == theirs["a"].tolist() == [3, 3, 3]


def test_making_vectors_leaves_files_and_certificates_alone(tmp_path):
    before = ssl._create_default_https_context
    vectors = to_vectors(["a"], np.ones((1, 4)))
    assert ssl._create_default_https_context is before
    assert not list(Path().iterdir())
    assert vectors["a"].dtype == torch.float32


def test_vectors_that_do_not_fit_their_tokens_are_refused():
    with pytest.raises(ValueError, match="2 tokens, but a matrix"):
        to_vectors(["a", "b"], np.ones((3, 4)))
    with pytest.raises(ValueError, match="is repeated"):
        to_vectors(["a", "a"], np.ones((2, 4)))


def test_vocabulary_without_vectors_says_so():
    with pytest.raises(UserError, match="has no vectors"):
        from_vectors(Vocab(Counter("a")))
