from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cbow.config import TrainConfig
from cbow.data import dataset as data
from cbow.data.dataset import count_words, encode, find_corpus
from shared.errors import UserError
from shared.text import text_files

CONFIG = TrainConfig(max_vocab_size=None)


def write(path: Path, text: str) -> TrainConfig:
    path.write_text(text, encoding="utf-8")
    return replace(CONFIG, data=str(path))


def test_coursework_vocabulary_of_a_small_text(tmp_path: Path) -> None:
    config = write(tmp_path / "a.txt", "It's  useful. \n\nb a\nit b\n")
    vocabulary = count_words(find_corpus(config), config)
    assert vocabulary.tokens == ("<unk>", "it", "b", "s", "useful", "a")  # ties as first seen
    assert vocabulary.counts.tolist() == [1, 2, 2, 1, 1, 1]


def test_encoded_lines_end_with_a_mark_and_empty_ones_vanish(tmp_path: Path) -> None:
    config = write(tmp_path / "a.txt", "a b\n\n...\na\nb rare")
    config = replace(config, max_vocab_size=3)
    corpus = find_corpus(config)
    vocabulary = count_words(corpus, config)
    encoded = encode(corpus, vocabulary, tmp_path / "ids")
    (start, ids), *rest = encoded.blocks()
    assert (start, ids.tolist(), rest) == (0, [1, 2, -1, 1, -1, 2, 0, -1], [])
    assert encoded.counts.tolist() == [
        1,
        2,
        2,
    ]  # what stands in the text, unlike vocab.txt's 1 for <unk>
    assert encoded.tokens == 5


def test_blocks_hold_whole_lines_and_start_where_they_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [" ".join(["w"] * (1 + i % 5)) for i in range(40)]
    config = write(tmp_path / "a.txt", "\n".join(lines))
    corpus = find_corpus(config)
    encoded = encode(corpus, count_words(corpus, config), tmp_path / "ids")
    whole = np.concatenate([ids for _, ids in encoded.blocks()])
    monkeypatch.setattr(data, "BLOCK", 17)
    blocks = list(encoded.blocks())
    assert len(blocks) > 5
    assert all(ids[-1] == -1 for _, ids in blocks)
    assert np.concatenate([ids for _, ids in blocks]).tolist() == whole.tolist()
    later = list(encoded.blocks(blocks[3][0]))
    assert [start for start, _ in later] == [start for start, _ in blocks[3:]]


def test_book_without_line_breaks_is_cut_into_pieces_with_no_word_lost_or_torn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [f"word{i % 977}" for i in range(30_000)]
    config = write(tmp_path / "a.txt", " ".join(words))
    monkeypatch.setattr(text_files, "BYTES", 1000)
    pieces = list(find_corpus(config).lines())
    assert max(map(len, pieces)) <= data.LONGEST_LINE
    assert [word for piece in pieces for word in piece] == words


def test_gz_and_folders_of_files_read_like_one_text(tmp_path: Path) -> None:
    folder = tmp_path / "texts"
    folder.mkdir()
    (folder / "b.txt").write_text("third line\n")
    with gzip.open(folder / "a.gz", "wt") as file:
        file.write("first line\nsecond line")
    (folder / "ignored.json").write_text("[]")
    corpus = find_corpus(replace(CONFIG, data=str(folder)))
    assert [line[0] for line in corpus.lines()] == ["first", "second", "third"]


@pytest.mark.parametrize(
    "content, expected",
    [
        (b"", "has no words"),
        (b"\n \n...\n", "has no words"),
        (b"one\n", "has no line of two tokens"),
        (b"one\ntwo\nthree\n", "has no line of two tokens"),
        (b"good line\nbad \xff byte\n", r"a\.txt:2: is not utf-8"),
        (b"good line\n\x00\x01\x02", r"a\.txt:2: holds a NUL byte"),
    ],
)
def test_text_of_no_use_is_named_with_its_line(
    tmp_path: Path, content: bytes, expected: str
) -> None:
    (tmp_path / "a.txt").write_bytes(content)
    config = replace(CONFIG, data=str(tmp_path / "a.txt"))
    with pytest.raises(UserError, match=expected):
        count_words(find_corpus(config), config)


def test_missing_and_damaged_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.txt: not found"):
        find_corpus(replace(CONFIG, data=str(tmp_path / "none.txt")))
    with pytest.raises(UserError, match="holds neither treebank.txt nor any"):
        find_corpus(replace(CONFIG, data=str(tmp_path)))
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"a b\n" * 100)[:20])
    config = replace(CONFIG, data=str(tmp_path / "a.gz"))
    with pytest.raises(UserError, match=r"a\.gz: is a damaged \.gz"):
        count_words(find_corpus(config), config)
    config = replace(write(tmp_path / "a.txt", "a b"), encoding="utf-99")
    with pytest.raises(UserError, match="--encoding utf-99 is not known"):
        count_words(find_corpus(config), config)


def test_without_data_the_sample_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DLTASKS_DATA", str(tmp_path / "nothing"))
    corpus = find_corpus(CONFIG)
    assert corpus.is_sample
    assert corpus.synonyms is not None
    (tmp_path / "nothing" / "cbow").mkdir(parents=True)
    (tmp_path / "nothing" / "cbow" / "treebank.txt").write_text("a b")
    assert not find_corpus(CONFIG).is_sample


def test_real_corpus_has_the_published_counts(real_data: Path, tmp_path: Path) -> None:
    config = replace(CONFIG, data=str(real_data))
    corpus = find_corpus(config)
    vocabulary = count_words(corpus, config)
    encoded = encode(corpus, vocabulary, tmp_path / "ids")
    assert (encoded.tokens, len(vocabulary)) == (205_068, 17_832)
    lines = np.flatnonzero(np.concatenate([ids for _, ids in encoded.blocks()]) == -1)
    lengths = np.diff(lines, prepend=-1) - 1
    assert lengths[lengths > 1].sum() == 205_058  # samples
