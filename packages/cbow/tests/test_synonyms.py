"""Synonym lists: what is read, what is refused, and what is taken from WordNet.

WordNet itself is not needed: a folder of three synsets in its format stands for it. Where the real
one is installed, a few known words are looked up too.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cbow.data import synonyms
from cbow.data.synonyms import WORDNET_FILES, load_synonyms, save_synonyms, synonyms_from_wordnet
from shared.errors import UserError

DEBIAN = Path("/usr/share/wordnet")


@pytest.mark.parametrize(
    "content",
    [
        '[["film", ["movie", "pic"]], ["near", ["close"]]]',
        '{"film": ["movie", "pic"], "near": ["close"]}',
        '\ufeff[["film", ["movie", "pic"]],\n["near", ["close"]]]',
    ],
)
def test_both_shapes_of_the_list_are_read_in_order(tmp_path, content):
    path = tmp_path / "synonyms.json"
    path.write_text(content, encoding="utf-8")
    assert list(load_synonyms(path).items()) == [("film", ["movie", "pic"]), ("near", ["close"])]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('[["film", ["movie"]],\n["near" ["close"]]]', r"synonyms\.json:2: not JSON"),
        ("", "not JSON"),
        ("[]", "no list"),
        ("{}", "no list"),
        ("3", "no list"),
        ('"film"', "no list"),
        ("null", "no list"),
        ('["film"]', "entry 1: not a pair"),
        ('[["film", ["movie"]], ["near"]]', "entry 2: not a pair"),
        ('[{"film": 1, "near": 2}]', "entry 1: not a pair"),
        ('[["film", ["movie"], 1]]', "entry 1: not a pair"),
        ('[[1, ["movie"]]]', "entry 1: the word is not a text"),
        ('[["", ["movie"]]]', "entry 1: the word is not a text"),
        ('[["film", "movie"]]', r"entry 1 \('film'\): the synonyms are not a list"),
        ('[["film", {"movie": 1}]]', "not a list"),
        ('{"film": "movie"}', "not a list"),
        ('[["film", [1]]]', "a synonym is not a text"),
        ('[["film", [""]]]', "a synonym is not a text"),
        ('[["film", [["movie"]]]]', "a synonym is not a text"),
        ('[["film", ["a"]], ["film", ["b"]]]', "entry 2: 'film' is listed a second time"),
        ('{"film": ["a"], "film": ["b"]}', "entry 2: 'film' is listed a second time"),
        ('[["film", ["film"]]]', "lists itself"),
        ('[["film", ["movie", "movie"]]]', "lists itself, or a word twice"),
        ("[" * 100_000, "not JSON|nested too deep"),
    ],
)
def test_every_malformed_list_is_one_line_that_says_where(tmp_path, content, message):
    path = tmp_path / "synonyms.json"
    path.write_text(content)
    with pytest.raises(UserError, match=message) as error:
        load_synonyms(path)
    assert "\n" not in str(error.value) and str(error.value).startswith(str(path))


def test_a_missing_or_binary_list_is_one_line(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        load_synonyms(tmp_path / "missing.json")
    with pytest.raises(UserError, match="cannot be read"):
        load_synonyms(tmp_path)
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="not UTF-8"):
        load_synonyms(tmp_path / "binary.json")


def test_a_written_list_comes_back_the_same(tmp_path):
    synonyms = {"naïve": ["innocent", 'quo"te'], "near": []}
    save_synonyms(tmp_path / "synonyms.json", synonyms)
    assert load_synonyms(tmp_path / "synonyms.json") == synonyms


# The format of WordNet's files: manual pages wndb(5) and morphy(7).
SYNSETS = {
    "noun": [("film.n", ["film", "Movie", "motion_picture", "pic"]), ("picture", ["pic", "image"])],
    "verb": [("shoot", ["film", "shoot"])],
    "adj": [("near", ["near", "close(p)"])],
    "adv": [("near", ["near", "close"])],
}


@pytest.fixture
def wordnet(tmp_path) -> Path:
    pytest.importorskip("nltk", reason="nltk is not installed")
    for part, letter in (("noun", "n"), ("verb", "v"), ("adj", "a"), ("adv", "r")):
        head = "  1 WordNet 3.0 Copyright 2006\n"
        data, offsets = head, {}
        for number, (_, lemmas) in enumerate(SYNSETS[part]):
            words = " ".join(f"{lemma} 0" for lemma in lemmas)
            frames = "01 + 08 00 " if part == "verb" else ""
            place = len(data.encode())
            data += f"{place:08d} 0{number} {letter} {len(lemmas):02x} {words} 000 {frames}| x\n"
            for lemma in lemmas:
                name = re.sub(r"\(.*\)", "", lemma).lower()
                offsets.setdefault(name, []).append(place)
        index = head
        for name, places in sorted(offsets.items()):
            listed = " ".join(f"{place:08d}" for place in places)
            index += f"{name} {letter} {len(places)} 0 {len(places)} 0 {listed}  \n"
        (tmp_path / f"data.{part}").write_text(data)
        (tmp_path / f"index.{part}").write_text(index)
        (tmp_path / f"{part}.exc").write_text("filmz film\n" if part == "noun" else "")
    return tmp_path


VOCABULARY = ["film", "movie", "pic", "image", "shoot", "near", "close", "films", "other"]


def test_all_senses_of_all_parts_of_speech_are_listed(wordnet):
    found = synonyms_from_wordnet(["film", "pic", "near"], VOCABULARY, wordnet)
    assert found == {
        "film": ["movie", "pic", "shoot"],
        "pic": ["film", "movie", "image"],
        "near": ["close"],
    }


def test_only_words_of_the_vocabulary_are_listed(wordnet):
    assert synonyms_from_wordnet(["film"], ["film", "pic"], wordnet) == {"film": ["pic"]}


def test_expressions_of_several_words_are_left_out(wordnet):
    found = synonyms_from_wordnet(["film"], ["motion_picture", "picture", "motion"], wordnet)
    assert found == {}


def test_words_keep_their_order_and_those_without_a_synonym_are_left_out(wordnet):
    found = synonyms_from_wordnet(["pic", "other", "film", "pic"], VOCABULARY, wordnet)
    assert list(found) == ["pic", "film"]


def test_inflected_words_are_reduced_by_wordnets_rules(wordnet):
    found = synonyms_from_wordnet(["films", "filmz"], VOCABULARY, wordnet)
    assert found["films"] == ["film", "movie", "pic", "shoot"]
    assert found["filmz"][0] == "film"


def test_nltks_data_path_is_as_before(wordnet):
    import nltk.data

    before = list(nltk.data.path)
    synonyms_from_wordnet(["film"], VOCABULARY, wordnet)
    assert nltk.data.path == before


def test_nltks_own_data_is_used_where_no_folder_is_given(wordnet, monkeypatch, tmp_path_factory):
    import nltk.data

    home = tmp_path_factory.mktemp("nltk_data")
    (home / "corpora").mkdir()
    (home / "corpora/wordnet").symlink_to(wordnet)
    monkeypatch.setattr(nltk.data, "path", [str(home), str(wordnet)])
    assert synonyms_from_wordnet(["near"], VOCABULARY) == {"near": ["close"]}


def test_missing_wordnet_says_how_to_get_it(monkeypatch, tmp_path):
    nltk_data = pytest.importorskip("nltk.data", reason="nltk is not installed")
    monkeypatch.setattr(nltk_data, "path", [str(tmp_path)])
    monkeypatch.setattr(synonyms, "DEBIAN_WORDNET", tmp_path / "none")
    with pytest.raises(UserError, match=r"apt-get install wordnet-base.*nltk\.downloader") as error:
        synonyms_from_wordnet(["film"], VOCABULARY)
    assert "\n" not in str(error.value)


def test_a_folder_that_lacks_a_file_is_named(wordnet):
    (wordnet / "data.verb").unlink()
    with pytest.raises(UserError, match=r"data\.verb is missing"):
        synonyms_from_wordnet(["film"], VOCABULARY, wordnet)


def test_a_damaged_wordnet_is_one_line(wordnet):
    (wordnet / "index.noun").write_text("film n not a number\n")
    with pytest.raises(UserError, match="cannot be read") as error:
        synonyms_from_wordnet(["film"], VOCABULARY, wordnet)
    assert "\n" not in str(error.value)


@pytest.mark.skipif(
    not all((DEBIAN / name).is_file() for name in WORDNET_FILES), reason="no wordnet-base here"
)
def test_the_assignments_own_entries_come_out_of_the_real_wordnet():
    pytest.importorskip("nltk", reason="nltk is not installed")
    vocabulary = "hard difficult tough round about some around adventure risk chance".split()
    found = synonyms_from_wordnet(["adventure", "around"], vocabulary, DEBIAN)
    assert found["adventure"] == ["chance", "risk"] or set(found["adventure"]) == {"risk", "chance"}
    assert set(found["around"]) == {"about", "round", "some"}
