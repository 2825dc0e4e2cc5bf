from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from shared.errors import UserError
from shared.text import text_files
from shared.text.tokenizers import space_tokens
from word_lm.config import TrainConfig
from word_lm.data import dataset as data
from word_lm.data import sample
from word_lm.data.dataset import encode_split, load_text, read_tokens
from word_lm.data.segments import Segments


def folder_with(path: Path, train: str | bytes, rest: str = "a b c\n") -> Path:
    path.mkdir(exist_ok=True)
    (path / "train.txt").write_bytes(train.encode() if isinstance(train, str) else train)
    for name in ("valid", "test"):
        (path / f"{name}.txt").write_text(rest)
    return path


def words_of(path: Path, split: str = "train", **settings: object) -> list[str]:
    text = load_text(TrainConfig(data=str(path), **settings))  # type: ignore[arg-type]
    return [text.vocabulary.tokens[word] for word in text.splits[split]]


def test_every_line_ends_with_eos_blank_ones_too(tmp_path: Path) -> None:
    path = folder_with(tmp_path / "data", "a b\n\n = c = \r\nd")
    assert words_of(path) == ["a", "b", "<eos>", "<eos>", "=", "c", "=", "<eos>", "d", "<eos>"]


def test_real_text_has_the_courseworks_counts(real_data: Path) -> None:
    text = load_text(TrainConfig(data=str(real_data)))
    counts = {name: len(ids) for name, ids in text.splits.items()}
    assert counts == {"train": 2_088_628, "valid": 217_646, "test": 245_569}
    assert len(text.vocabulary) == 33_278
    segments = Segments(text.splits["train"], 20, 35)
    # The examples' log says 2983 whole batches; ours too has the short last one after them.
    assert segments.steps(0) == 2984 and len(segments.columns) // 35 == 2983


def test_vocabulary_is_that_of_all_three_files_by_frequency(tmp_path: Path) -> None:
    path = folder_with(tmp_path / "data", "b b <unk> rare a\n", "a b new a a\n")
    text = load_text(TrainConfig(data=str(path)))
    assert text.vocabulary.tokens[:4] == ("<unk>", "<eos>", "a", "b")
    assert "new" in text.vocabulary
    assert text.vocabulary.counts.sum() == sum(len(ids) for ids in text.splits.values())
    assert words_of(path, "test", min_count=2) == ["a", "b", "new", "a", "a", "<eos>"]
    assert words_of(path, "train", min_count=2)[3] == "<unk>"


@pytest.mark.parametrize("size", [51, 60, 1000])
def test_text_read_in_pieces_has_an_eos_for_each_line_end(
    size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "ab  Senjō 戦場 \n\n= x =\n" + "y" * 50 + " end"
    (tmp_path / "text.txt").write_text(text, encoding="utf-8")
    expected = [token for line in text.split("\n") for token in [*line.split(), "<eos>"]]
    monkeypatch.setattr(text_files, "PIECE", size)
    pieces = read_tokens(tmp_path / "text.txt", space_tokens)
    assert [token for piece in pieces for token in piece] == expected


BAD = {
    "NUL": (b"a b\nc \0 d\n", "train.txt:2: holds a NUL byte"),
    "not UTF-8": ("a b\nc\ncafé\n".encode("latin-1"), "train.txt:3: is not utf-8"),
    "empty": (b"", "train.txt:1: the text is empty"),
    "blank lines": (b"\n\n \n", "train.txt:1: the text is empty"),
    "one token": (b"word\n", "train.txt:1: the text holds a single word"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_text_is_refused_by_line(case: str, tmp_path: Path) -> None:
    content, expected = BAD[case]
    path = folder_with(tmp_path / "data", content)
    with pytest.raises(UserError) as error:
        load_text(TrainConfig(data=str(path)))
    assert expected in str(error.value)
    assert "\n" not in str(error.value)


def test_folder_without_a_file_is_refused_by_name(tmp_path: Path) -> None:
    path = folder_with(tmp_path / "data", "a b\n")
    (path / "valid.txt").unlink()
    with pytest.raises(UserError, match=r"valid\.txt: not found"):
        load_text(TrainConfig(data=str(path)))


def test_single_file_is_split_at_line_ends_without_losing_a_word(tmp_path: Path) -> None:
    path = tmp_path / "book.txt"
    path.write_text("".join(f"w{i} w{i + 1} w{i + 2}\n" for i in range(300)))
    text = load_text(TrainConfig(data=str(path)))
    parts = list(text.splits.values())
    whole = encode_split(str(path), "train", text.vocabulary)
    assert np.array_equal(np.concatenate(parts), whole)
    assert all(part[-1] == text.vocabulary.id("<eos>") for part in parts)
    assert [round(len(part) / len(whole), 2) for part in parts] == [0.9, 0.05, 0.05]


def test_single_file_too_short_to_split_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tiny.txt").write_text("a b c d\n")
    with pytest.raises(UserError, match="too few to split"):
        load_text(TrainConfig(data=str(tmp_path / "tiny.txt")))


def test_segments_cover_every_word_once_and_continue_where_they_ended() -> None:
    ids = np.arange(103, dtype=np.int32)
    for vary in (False, True):
        segments = Segments(ids, 4, 7, vary=vary, seed=3)
        batches = [segments.fetch(segments.shard(5, s, 0, 1)) for s in range(segments.steps(5))]
        inputs = np.concatenate([batch["inputs"].numpy() for batch in batches])
        targets = np.concatenate([batch["targets"].numpy() for batch in batches])
        assert np.array_equal(inputs, ids[:100].reshape(4, 25).T[:-1])
        assert np.array_equal(targets, inputs + 1)
        assert [batch["is_first"] for batch in batches] == [True] + [False] * (len(batches) - 1)


def test_processes_share_the_columns() -> None:
    segments = Segments(np.arange(103, dtype=np.int32), 4, 7)
    whole = segments.fetch(segments.shard(0, 1, 0, 1))["inputs"]
    halves = [segments.fetch(segments.shard(0, 1, rank, 2))["inputs"] for rank in (0, 1)]
    assert np.array_equal(np.concatenate(halves, 1), whole[:, [0, 2, 1, 3]])


def test_varied_segments_differ_by_epoch_and_follow_from_the_seed() -> None:
    ids = np.arange(5000, dtype=np.int32)
    first, again = (Segments(ids, 2, 35, vary=True, seed=1) for _ in range(2))
    assert np.array_equal(first._starts(4), again._starts(4))
    assert not np.array_equal(first._starts(4)[:20], first._starts(5)[:20])
    assert np.diff(first._starts(4)).min() >= 5


def test_varied_segments_have_the_papers_lengths() -> None:
    segments = Segments(np.zeros(200_000, dtype=np.int32), 2, 35, vary=True, seed=1)
    lengths = np.diff(segments._starts(0))
    is_halved = lengths < 23  # between the means, 17.5 and 35
    assert 0.03 < is_halved.mean() < 0.07  # every 20th
    assert lengths[~is_halved].mean() == pytest.approx(35, abs=1)
    assert lengths[~is_halved].std() == pytest.approx(5, abs=0.5)


def test_learning_rate_follows_the_length_of_a_varied_segment() -> None:
    segments = Segments(np.arange(5000, dtype=np.int32), 2, 35, vary=True, seed=1)
    for step in (0, 1, segments.steps(0) - 1):
        batch = segments.fetch(segments.shard(0, step, 0, 1))
        assert segments.rate_factor(0, step) == pytest.approx(len(batch["targets"]) / 35)
    even = Segments(np.arange(103, dtype=np.int32), 4, 7)
    assert {even.rate_factor(0, step) for step in range(even.steps(0))} == {1.0}


def test_short_training_text_is_refused_with_what_would_do() -> None:
    with pytest.raises(UserError, match="--batch-size 5 or less"):
        Segments(np.arange(10, dtype=np.int32), 20, 35)


def test_sample_is_the_same_each_time_and_its_rules_perplexity_is_known(tmp_path: Path) -> None:
    found = sample.write(tmp_path / "a")
    assert sample.write(tmp_path / "b") == found
    for name in data.SPLITS:
        assert (tmp_path / "a" / f"{name}.txt").read_bytes() == (
            tmp_path / "b" / f"{name}.txt"
        ).read_bytes()
    low, high = sample.EXPECTED_PERPLEXITY
    assert low < found["test"] < high
    text = load_text(replace(TrainConfig(), data=str(tmp_path / "a")))
    assert text.vocabulary.counts[text.vocabulary.id("<unk>")] > 100
    assert len(text.splits["train"]) > 20_000
