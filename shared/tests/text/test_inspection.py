"""What the verb `inspect` of several packages has in common."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from shared.errors import UserError
from shared.text.inspection import word_to_show, write_vocabulary
from shared.text.vectors import read_vectors
from shared.text.vocabulary import Vocabulary

TOKENS = ("<pad>", "<unk>", "film", "naïve")


def test_word_is_the_first_after_the_special_tokens_or_the_one_asked_for() -> None:
    vocabulary = Vocabulary(TOKENS, [0, 0, 3, 1])
    assert word_to_show(vocabulary, None, specials=2) == "film"
    assert word_to_show(vocabulary, "naïve", specials=2) == "naïve"
    with pytest.raises(UserError, match="--word dog: is not in the vocabulary of 4 words"):
        word_to_show(vocabulary, "dog", specials=2)
    with pytest.raises(UserError, match=r"no words, only special tokens.*--min-count"):
        word_to_show(Vocabulary(TOKENS[:2], [0, 0]), None, specials=2)


def test_vocabulary_is_written_into_a_new_folder_and_never_over_other_files(tmp_path: Path) -> None:
    vectors = np.arange(8, dtype=np.float32).reshape(4, 2)
    line = write_vocabulary(tmp_path / "out", TOKENS, vectors)
    assert line.endswith("out: stoi.json, itos.txt, vectors.txt (word2vec text).")
    assert json.loads((tmp_path / "out" / "stoi.json").read_text("utf-8"))["film"] == 2
    assert (tmp_path / "out" / "itos.txt").read_text("utf-8").splitlines() == list(TOKENS)
    tokens, matrix = read_vectors(tmp_path / "out" / "vectors.txt")
    assert tuple(tokens) == TOKENS and np.array_equal(matrix, vectors)
    mine = tmp_path / "mine" / "thesis.txt"
    mine.parent.mkdir()
    mine.write_text("a chapter")
    with pytest.raises(UserError, match="is not empty. Choose another --out"):
        write_vocabulary(mine.parent, TOKENS)
    assert mine.read_text() == "a chapter" and len(list(mine.parent.iterdir())) == 1
