from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import write_reviews

from imdb_sentiment.commands.audit import audit
from imdb_sentiment.config import TrainConfig
from imdb_sentiment.data import sample
from imdb_sentiment.data.dataset import load, load_data, read_part, read_split
from imdb_sentiment.data.reviews import RATINGS, Reviews
from imdb_sentiment.data.splits import stratified_mask, subset, validation_mask
from shared.errors import UserError


def small(folder: Path) -> Path:
    for split in ("train", "test"):
        write_reviews(
            folder,
            split,
            [f"good {split} {i}" for i in range(20)],
            [f"bad {split} {i}" for i in range(20)],
        )
    return folder


def test_rating_of_two_digits_is_read_whole(tmp_path: Path) -> None:
    small(tmp_path)
    (tmp_path / "train/pos/77_10.txt").write_text("ten of ten")
    reviews = read_split(tmp_path, "train")
    assert reviews.ratings[reviews.names.index("train/pos/77_10.txt")] == 10


def test_class_is_the_folders_and_reviews_come_by_number(tmp_path: Path) -> None:
    reviews = read_split(small(tmp_path), "train")
    assert reviews.labels.tolist() == [0] * 20 + [1] * 20
    assert reviews.names[:3] == ["train/neg/0_2.txt", "train/neg/1_2.txt", "train/neg/2_2.txt"]
    assert reviews.texts[21] == "good train 1"


def test_unlabelled_reviews_are_never_read(tmp_path: Path) -> None:
    small(tmp_path)
    (tmp_path / "train/unsup").mkdir()
    (tmp_path / "train/unsup/0_0.txt").write_text("unlabelled")
    found = load(str(tmp_path), valid_fraction=0.2, limit=None, seed=1)
    assert "unlabelled" not in found.train.texts + found.valid.texts + found.test.texts
    assert len(found.train) + len(found.valid) == 40


def test_no_film_is_in_both_train_and_valid(sample_folder: Path) -> None:
    found = load(str(sample_folder), valid_fraction=0.2, limit=None, seed=1)
    assert not set(found.train.films) & set(found.valid.films)
    assert len(set(found.valid.films)) >= 10
    assert len(found.valid) == pytest.approx(0.2 * 800, abs=10)
    assert found.facts()["split"] == "by film"


def test_validation_depends_on_films_alone() -> None:
    rng = np.random.default_rng(0)
    films = [f"tt{number:07d}" for number in rng.integers(0, 60, 400)]

    def chosen(order: np.ndarray) -> set[str]:
        own = [films[i] for i in order.tolist()]
        reviews = Reviews([""] * 400, np.zeros(400, int), np.ones(400, int), own, [""] * 400)
        mask = validation_mask(reviews, 0.1)
        return {film for film, is_valid in zip(own, mask.tolist(), strict=True) if is_valid}

    assert chosen(np.arange(400)) == chosen(rng.permutation(400))
    assert chosen(np.arange(400)) != set(films)


def test_without_lists_the_last_ids_of_each_class_are_valid(tmp_path: Path) -> None:
    found = load(str(small(tmp_path)), valid_fraction=0.2, limit=None, seed=5)
    assert found.valid.names == [f"train/neg/{i}_2.txt" for i in range(16, 20)] + [
        f"train/pos/{i}_9.txt" for i in range(16, 20)
    ]
    assert found.facts()["split"] == "by id"


def test_subset_is_balanced_and_a_larger_one_holds_it(sample_folder: Path) -> None:
    reviews = read_split(sample_folder, "train")
    few, many = subset(reviews, 50, seed=3), subset(reviews, 200, seed=3)
    assert few.labels.sum() == 25
    assert set(few.names) < set(many.names)
    assert set(few.names) != set(subset(reviews, 50, seed=4).names)
    with pytest.raises(UserError, match="--limit 1000: there are only 800 reviews"):
        subset(reviews, 1000, seed=3)


def test_rating_targets_are_positions_among_the_eight(tmp_path: Path) -> None:
    small(tmp_path)
    assert set(read_split(tmp_path, "test").targets("rating").tolist()) == {1, 6}
    (tmp_path / "test/pos/50_10.txt").write_text("x")
    assert read_split(tmp_path, "test").targets("rating").max() == 7
    (tmp_path / "test/pos/51_6.txt").write_text("x")
    with pytest.raises(UserError, match=r"test/pos/51_6.txt: has the rating 6"):
        read_split(tmp_path, "test").targets("rating")


def _remove_class(folder: Path) -> None:
    shutil.rmtree(folder / "test/neg")


def _empty_class(folder: Path) -> None:
    shutil.rmtree(folder / "train/pos")
    (folder / "train/pos").mkdir()


BAD = {
    "missing class folder": (_remove_class, r"test.neg: not found. Expected \{train,test\}"),
    "empty class folder": (_empty_class, r"train.pos: has no review"),
    "rating 0": (lambda f: (f / "train/pos/90_0.txt").write_text("x"), r"90_0.txt: the rating is 0. Expected 1 to 10"),
    "rating 11": (lambda f: (f / "test/neg/90_11.txt").write_text("x"), r"90_11.txt: the rating is 11"),
    "no rating": (lambda f: (f / "test/neg/90.txt").write_text("x"), r"90.txt: is not named <id>_<rating>.txt, two"),
    "wrong encoding": (
        lambda f: (f / "train/neg/90_1.txt").write_bytes(b"fine\ncaf\xe9 noir"), r"90_1.txt:2: is not UTF-8"
    ),
    "NUL": (lambda f: (f / "train/neg/90_1.txt").write_bytes(b"a\0b"), r"90_1.txt:1: holds a NUL byte"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_data_is_named(case: str, tmp_path: Path) -> None:
    spoil, message = BAD[case]
    spoil(small(tmp_path))
    with pytest.raises(UserError, match=message) as caught:
        load(str(tmp_path), valid_fraction=0.2, limit=None, seed=1)
    assert "\n" not in str(caught.value)


def test_too_few_reviews_for_validation_are_refused(tmp_path: Path) -> None:
    for split in ("train", "test"):
        write_reviews(tmp_path, split, ["good"], ["bad"])
    with pytest.raises(UserError, match="too few reviews: valid would have 0"):
        load(str(tmp_path), valid_fraction=0.1, limit=None, seed=1)


def test_desktop_files_are_skipped(tmp_path: Path) -> None:
    small(tmp_path)
    (tmp_path / "train/pos/.DS_Store").write_bytes(b"\0\xff")
    assert len(read_split(tmp_path, "train")) == 40


def test_audit_names_duplicates_leaks_and_contradictions(tmp_path: Path) -> None:
    small(tmp_path)
    text = "The very same review, word for word."
    (tmp_path / "train/pos/70_8.txt").write_text(text)
    (tmp_path / "test/neg/71_3.txt").write_text("the very same<br />REVIEW word for word!")
    (tmp_path / "test/neg/72_3.txt").write_text(text)
    (tmp_path / "test/pos/73_2.txt").write_text("...!!!")
    (tmp_path / "test/pos/74_9.txt").write_text("")
    found = audit({name: read_split(tmp_path, name) for name in ("train", "test")})
    group = ["train/pos/70_8.txt", "test/neg/71_3.txt", "test/neg/72_3.txt"]
    assert found.duplicates_across == [group]
    assert found.leaks == 2
    assert found.contradictory == [group]
    assert found.duplicates_within == {"test": [group[1:]]}
    assert found.empty == ["test/pos/73_2.txt", "test/pos/74_9.txt"]
    assert found.odd_ratings == ["test/pos/73_2.txt"]


def test_audit_counts_leaks_of_tables_too(tmp_path: Path) -> None:
    rows = "text,label\nfine film,good\ndull film,bad\nodd film,bad\n"
    (tmp_path / "train.csv").write_text(rows)
    (tmp_path / "test.csv").write_text(rows + "new film,good\n")
    found = audit({name: read_split(tmp_path, name) for name in ("train", "test")})
    assert found.leaks == 3 == len(found.duplicates_across)


def test_audit_tells_films_on_both_sides(sample_folder: Path) -> None:
    splits = {name: read_split(sample_folder, name) for name in ("train", "test")}
    assert audit(splits).shared_films == []
    splits["test"].films[0] = splits["train"].films[0]
    assert audit(splits).shared_films == [splits["train"].films[0]]


def test_part_to_measure_is_what_training_read(tmp_path: Path) -> None:
    small(tmp_path)
    config = TrainConfig(data=str(tmp_path), limit=10, test_limit=8, seed=3)
    data = load_data(config)
    assert read_part(config, "train").texts == data.train.texts and len(data.train) == 10
    assert read_part(config, "valid").texts == data.valid.texts
    test = read_part(config, "test")
    assert len(test) == 40 and "training measured 8 of it" in test.source
    assert len(read_part(replace(config, limit=None, test_limit=None), "train")) == 36


def test_sample_is_the_same_every_time(sample_folder: Path, tmp_path: Path) -> None:
    sample.write(tmp_path / "again")
    first, second = read_split(sample_folder, "test"), read_split(tmp_path / "again", "test")
    assert (first.texts, first.films) == (second.texts, second.films)
    assert len(first) == 400
    assert {1, 10} <= set(first.ratings.tolist())


def test_real_reviews_are_what_their_makers_say(real_data: Path) -> None:
    found = load(str(real_data), valid_fraction=0.1, limit=None, seed=1)
    assert len(found.train) + len(found.valid) == 25000
    assert not set(found.train.films) & set(found.valid.films)
    assert sorted(set(found.test.ratings.tolist())) == list(RATINGS)


def test_class_folders_without_a_test_set_are_split_stratified_and_duplicates_stay_together(
    tmp_path: Path,
) -> None:
    for kind, count in (("a", 60), ("b", 20)):
        (tmp_path / kind).mkdir()
        for number in range(count):
            (tmp_path / kind / f"{kind}-{number}.txt").write_text(f"{kind} {number // 2}")
    found = load(str(tmp_path), valid_fraction=0.2, limit=None, seed=1, test_fraction=0.2)
    assert found.train.classes == ("a", "b")
    assert not found.has_test
    parts = [found.train, found.valid, found.test]
    for part in parts:
        share = (part.labels == 0).mean()
        assert 0.6 < share < 0.9
    assert sum(map(len, parts)) == 80
    texts = [set(part.texts) for part in parts]
    assert not texts[0] & texts[1] and not texts[0] & texts[2] and not texts[1] & texts[2]
    assert found.facts()["test_split"] == found.facts()["split"] == "stratified by class"
    again = load(str(tmp_path), valid_fraction=0.2, limit=None, seed=9, test_fraction=0.2)
    assert again.test.names == found.test.names  # no seed changes what is measured


def test_stratified_split_depends_on_the_texts_alone() -> None:
    texts = [f"text {i}" for i in range(100)]
    zeros, labels = np.zeros(100, int), np.arange(100) % 2

    def chosen(order: np.ndarray) -> set[str]:
        own = [texts[i] for i in order.tolist()]
        reviews = Reviews(own, labels[order], zeros, [""] * 100, own)
        mask = stratified_mask(reviews, 0.3)
        return {text for text, is_chosen in zip(own, mask.tolist(), strict=True) if is_chosen}

    shuffled = np.random.default_rng(0).permutation(100)
    assert chosen(np.arange(100)) == chosen(shuffled)
    assert len(chosen(shuffled)) == 30


def test_packed_and_upper_case_text_files_are_read_and_others_named(tmp_path: Path) -> None:
    import bz2
    import gzip

    for kind in ("good", "bad"):
        (tmp_path / kind).mkdir()
        for number in range(8):
            (tmp_path / kind / f"{number}.txt").write_text(f"{kind} {number}")
    (tmp_path / "good/a.TXT").write_text("upper")
    (tmp_path / "good/b.txt.bz2").write_bytes(bz2.compress(b"packed"))
    (tmp_path / "good/c.txt.gz").write_bytes(gzip.compress(b"packed too"))
    texts = read_split(tmp_path, "train").texts
    assert {"upper", "packed", "packed too"} <= set(texts)
    (tmp_path / "bad/notes.docx").write_text("x")
    with pytest.raises(UserError, match="notes.docx: is not a text file"):
        read_split(tmp_path, "train")
    (tmp_path / "bad/notes.docx").unlink()
    (tmp_path / "bad/more").mkdir()
    with pytest.raises(UserError, match="more: is not a text file"):
        read_split(tmp_path, "train")


def test_train_and_test_tables_in_a_folder_are_its_splits(tmp_path: Path) -> None:
    (tmp_path / "train.tsv").write_text("text\tlabel\n" + "fine\t1\ndull\t0\n" * 30)
    (tmp_path / "test.jsonl").write_text('{"text": "fine", "label": 1}\n' * 3)
    found = load(str(tmp_path), valid_fraction=0.2, limit=None, seed=1)
    assert found.has_test and found.test.labels.tolist() == [1, 1, 1]
    assert found.train.classes == ("0", "1")
    (tmp_path / "test.jsonl").write_text('{"text": "fine", "label": null}\n')
    with pytest.raises(UserError, match="test.jsonl:1: the label is None"):
        load(str(tmp_path), valid_fraction=0.2, limit=None, seed=1)


def test_subset_takes_from_the_larger_classes_what_a_small_one_lacks() -> None:
    labels = np.array([0] * 50 + [1] * 5 + [2] * 50)
    reviews = Reviews(["x"] * 105, labels, labels * 0, [""] * 105, ["n"] * 105, ("a", "b", "c"))
    assert np.bincount(subset(reviews, 45, seed=1).labels).tolist() == [20, 5, 20]
