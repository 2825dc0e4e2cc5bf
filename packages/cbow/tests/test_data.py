from __future__ import annotations

import bz2
import gzip
import lzma
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cbow.config import TrainConfig
from cbow.data import dataset as data
from cbow.data.dataset import count_words, encode, find_corpus
from shared.data.checksum import describe
from shared.errors import UserError
from shared.text import text_files
from shared.text.vocabulary import Vocabulary

Caller = Callable[..., tuple[int, str, str]]

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
    monkeypatch.setattr(text_files, "PIECE", 1000)
    pieces = list(find_corpus(config).lines())
    assert max(map(len, pieces)) <= data.LONGEST_LINE
    assert [word for piece in pieces for word in piece] == words


def test_folders_of_plain_and_packed_files_read_like_one_text(tmp_path: Path) -> None:
    folder = tmp_path / "texts"
    (folder / "c" / "d").mkdir(parents=True)
    (folder / "b.TXT").write_text("third line\n")
    with gzip.open(folder / "a.gz", "wt") as file:
        file.write("first line\nsecond line")
    with bz2.open(folder / "c" / "d" / "a.txt.bz2", "wt") as file:
        file.write("fourth line\n")
    with lzma.open(folder / "c" / "e.xz", "wt") as file:
        file.write("fifth line\n")
    (folder / "ignored.json").write_text("[]")
    (folder / ".hidden.txt").write_text("hidden line\n")
    corpus = find_corpus(replace(CONFIG, data=str(folder)))
    assert [line[0] for line in corpus.lines()] == ["first", "second", "third", "fourth", "fifth"]
    assert [path.name for path in corpus.ignored] == ["ignored.json"]


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege")
def test_link_to_a_text_that_is_gone_is_named_beside_a_text_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("first line\n")
    (tmp_path / ".#a.txt").symlink_to("user@host.1")  # an editor's lock
    assert len(find_corpus(replace(CONFIG, data=str(tmp_path))).files) == 1
    (tmp_path / "b.txt").symlink_to("gone.txt")
    with pytest.raises(UserError, match=r"b\.txt: is a link to a file that does not exist"):
        find_corpus(replace(CONFIG, data=str(tmp_path)))


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege")
def test_link_to_a_folder_is_not_followed_but_named(tmp_path: Path) -> None:
    for name in ("texts", "elsewhere"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.txt").write_text("a line\n")
    (tmp_path / "texts" / "more").symlink_to(tmp_path / "elsewhere")
    corpus = find_corpus(replace(CONFIG, data=str(tmp_path / "texts")))
    assert [path.name for path in corpus.files] == ["a.txt"]
    assert [path.name for path in corpus.ignored] == ["more"]


def test_files_that_are_no_text_are_named(cbow: Caller, tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("a line\n")
    (tmp_path / "texts" / "b.csv").write_text("b,line\n")
    code, printed, _ = cbow("train", "--data", "texts", "--out", "run", "--epochs", 1)
    assert code == 0
    assert "1 file that is no text is ignored: b.csv" in printed


def test_synonym_list_beside_the_texts_is_not_called_ignored(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a line\n")
    (tmp_path / "synonyms.json").write_text('[["a", ["line"]]]')
    (tmp_path / "b.csv").write_text("b,line\n")
    corpus = find_corpus(replace(CONFIG, data=str(tmp_path)))
    assert corpus.synonyms == tmp_path / "synonyms.json"
    assert corpus.ignored == (tmp_path / "b.csv",)


@pytest.mark.parametrize("data", ["texts", "texts/a.txt"])
def test_corpus_that_is_not_there_is_named(data: str, cbow: Caller, tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("a line\n")
    words = ("train", "--data", data, "--epochs", 1)
    assert "there is no b.txt (--corpus)" in cbow(*words, "--corpus", "b.txt", "--out", "one")[1]
    for number, given in enumerate([(), ("--corpus", "a.txt")]):
        assert "--corpus" not in cbow(*words, *given, "--out", f"run{number}")[1]


def test_run_in_the_folder_of_its_texts_is_no_text_and_no_change_of_them(
    cbow: Caller, tmp_path: Path
) -> None:
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text(f"the text of {name}\n" * 9)
    words = ("train", "--data", ".", "--out", "run", "--dimension", 4, "--epochs", 1, "--quiet")
    before = find_corpus(replace(CONFIG, data="."))
    assert before.listing == describe(tmp_path).as_dict()
    assert cbow(*words)[0] == 0
    (tmp_path / "run" / "summary.json").unlink()
    code, _, error = cbow(*words, "--resume")
    assert (code, error) == (0, "")
    after = find_corpus(replace(CONFIG, data="."))
    assert (after.files, after.ignored, after.listing) == (before.files, (), before.listing)


def test_limit_counts_lines_over_files(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.txt").write_text(f"{name} one\n{name} two\n")
    corpus = find_corpus(replace(CONFIG, data=str(tmp_path), limit=3))
    assert [" ".join(line) for line in corpus.lines()] == ["a one", "a two", "b one"]
    (tmp_path / "a.txt").write_text("word " * 700_000 + "\nnext line\nlast\n")
    corpus = find_corpus(replace(CONFIG, data=str(tmp_path / "a.txt"), limit=2))
    words = [word for line in corpus.lines() for word in line]
    assert words == ["word"] * 700_000 + ["next", "line"]


def test_words_that_are_cut_are_told_with_the_option(tmp_path: Path) -> None:
    told: list[str] = []
    config = replace(write(tmp_path / "a.txt", "a a a b b c d\n"), max_vocab_size=3)
    vocabulary = count_words(find_corpus(config), config, say=told.append)
    assert vocabulary.tokens == ("<unk>", "a", "b")
    expected = "2 of 5 words become <unk>, the rarest ones (--max-vocab-size 3; --max-vocab-size null keeps all)"
    assert told == [expected]
    count_words(find_corpus(config), replace(config, max_vocab_size=5), say=told.append)
    assert told == [expected]


def test_words_forgotten_while_counting_are_told_in_a_line(tmp_path: Path) -> None:
    told: list[str] = []
    text = "a a a a " + " ".join(f"w{i}" for i in range(20)) + "\n"
    config = replace(write(tmp_path / "a.txt", text), prune_above=4)
    count_words(find_corpus(config), config, say=told.append)
    assert len(told) == 1
    assert "rare ones were" in told[0]
    with pytest.warns(UserWarning, match="rare ones were"):
        count_words(find_corpus(config), config)


def test_chinese_taken_for_phrases_is_told_of(tmp_path: Path) -> None:
    text = tmp_path / "zh.txt"
    config = TrainConfig(data=str(text))
    text.write_text("今天天气很好。\n他在图书馆看书。\n", encoding="utf-8")
    with pytest.raises(UserError, match="--tokenizer unicode"):
        count_words(find_corpus(config), config)
    text.write_text("今天天气很好,我们去公园散步。\n", encoding="utf-8")
    told: list[str] = []
    count_words(find_corpus(config), config, say=told.append)
    assert len(told) == 1 and "--tokenizer unicode" in told[0]
    by_character = replace(config, tokenizer="unicode")
    count_words(find_corpus(by_character), by_character, say=told.append)
    assert len(told) == 1


def test_words_of_a_run_to_start_from_stay_and_new_ones_follow(tmp_path: Path) -> None:
    known = Vocabulary(["<unk>", "old", "b"], [1, 5, 2])
    config = replace(write(tmp_path / "a.txt", "b new new other\n"), max_vocab_size=4)
    vocabulary = count_words(find_corpus(config), config, known)
    assert vocabulary.tokens == ("<unk>", "old", "b", "new")
    assert vocabulary.counts.tolist() == [1, 5, 3, 2]
    config = replace(config, max_vocab_size=2)  # too few even for the old ones
    assert count_words(find_corpus(config), config, known).tokens == known.tokens


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
    monkeypatch.delenv("DLTASKS_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "nothing"))
    corpus = find_corpus(CONFIG)
    assert corpus.is_sample
    assert corpus.synonyms is not None
    (tmp_path / "data" / "cbow").mkdir(parents=True)
    (tmp_path / "data" / "cbow" / "treebank.txt").write_text("a b")
    monkeypatch.setenv("DLTASKS_DATA", str(tmp_path / "data"))
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
