"""What the measures count, what they leave out, and how they refuse files they cannot read."""

from __future__ import annotations

import numpy as np
import pytest

from cbow import measure
from cbow.data.evaluation_sets import load_analogies, load_word_pairs
from cbow.measure import (
    analogy_accuracy,
    analogy_lines,
    pair_correlation,
    pearson,
    recall_lines,
    synonym_recall,
    tied_ranks,
)
from cbow.model.vectors import WordVectors
from shared.errors import UserError


def on_a_circle(words: list[str], degrees: list[float], counts=None) -> WordVectors:
    angles = np.radians(degrees)
    return WordVectors(words, np.stack([np.cos(angles), np.sin(angles)], axis=1), counts)


@pytest.fixture
def vectors() -> WordVectors:
    # Nearest to a: b, c, d, e in this order.
    return on_a_circle(["a", "b", "c", "d", "e"], [0, 10, -20, 30, -40], [200, 199, 15, 14, 1])


def test_the_word_itself_takes_one_of_the_k_places(vectors):
    assert synonym_recall(vectors, {"a": ["b", "c"]}, k=2).hits == 1
    assert synonym_recall(vectors, {"a": ["b", "c"]}, k=3).hits == 2


def test_word_of_another_case_is_no_synonym_of_itself_and_counts_once():
    vectors = on_a_circle(["us", "we", "far"], [0, 10, 90])
    assert synonym_recall(vectors, {"US": ["us", "far"]}, k=2).hits == 0
    assert synonym_recall(vectors, {"us": ["We", "we"]}, k=2).hits == 1


def test_recall_is_micro_averaged_over_all_listed_synonyms(vectors):
    result = synonym_recall(vectors, {"a": ["b"], "e": ["d", "b", "a"]}, k=2)
    assert (result.hits, result.listed, result.recall) == (1, 4, 0.25)


def test_out_of_vocabulary_synonyms_are_missed_and_lower_the_ceiling(vectors):
    result = synonym_recall(vectors, {"a": ["b", "unheard"], "gone": ["b", "c"]}, k=2)
    assert (result.hits, result.listed, result.recall, result.ceiling) == (1, 4, 0.25, 0.25)
    assert (result.words, result.words_skipped) == (1, 1)


def test_the_ceiling_knows_that_k_places_hold_k_minus_1_synonyms(vectors):
    result = synonym_recall(vectors, {"a": ["b", "c", "d", "e"]}, k=3)
    assert result.ceiling == 0.5 and result.recall == 0.5


def test_recall_agrees_with_the_listed_neighbors_where_cosines_are_equal():
    rows = np.array([[1, 0], [1, 1], [1, 1], [1, 1], [0, 1]])
    vectors = WordVectors(["v", "w", "x", "y", "z"], rows)
    near = [word for word, _ in vectors.most_similar_tokens("y", 2)]
    assert near == ["y", "w"]
    for other in "vwxz":
        hit = synonym_recall(vectors, {"y": [other]}, k=2).hits
        assert hit == (other in near)


def test_recall_agrees_with_a_plain_count_on_random_vectors():
    generator = np.random.default_rng(1)
    words = [f"w{i}" for i in range(60)]
    vectors = WordVectors(words, generator.normal(size=(60, 4)))
    synonyms = {
        word: [str(s) for s in generator.choice(words, 5, replace=False) if s != word]
        for word in words[:30]
    }
    hits = sum(
        len({word for word, _ in vectors.most_similar_tokens(query, 10)} & set(listed))
        for query, listed in synonyms.items()
    )
    result = synonym_recall(vectors, synonyms, k=10)
    assert result.hits == hits > 0


def test_more_queries_than_one_table_holds_are_all_counted(monkeypatch, vectors):
    synonyms = {"a": ["b"], "b": ["a"], "c": ["a"], "d": ["b"], "e": ["b"]}
    whole = synonym_recall(vectors, synonyms, k=2)
    monkeypatch.setattr("cbow.measure._QUERIES_AT_ONCE", 2)
    assert synonym_recall(vectors, synonyms, k=2) == whole and whole.hits == 4


def test_table_of_cosines_does_not_grow_with_the_vocabulary(monkeypatch):
    words = [f"w{i}" for i in range(64)]
    vectors = WordVectors(words, np.random.default_rng(1).normal(size=(64, 8)))
    synonyms = dict.fromkeys(words[9:], words[:9])
    questions = {"": [(*words[i : i + 3], words[i + 3]) for i in range(60)]}
    whole = synonym_recall(vectors, synonyms, k=9), analogy_accuracy(vectors, questions)
    monkeypatch.setattr("cbow.measure._TABLE", 64 * 3)  # three queries
    sizes = []
    ranks = measure._ranks
    monkeypatch.setattr(
        "cbow.measure._ranks", lambda c, *rest: sizes.append(len(c.base)) or ranks(c, *rest)
    )
    parts = synonym_recall(vectors, synonyms, k=9), analogy_accuracy(vectors, questions)
    assert parts == whole
    assert max(sizes) == 3


def test_the_bootstrap_interval_is_seeded_and_holds_the_recall():
    generator = np.random.default_rng(2)
    words = [f"w{i}" for i in range(80)]
    vectors = WordVectors(words, generator.normal(size=(80, 3)))
    synonyms = {word: [words[(i + 1) % 80]] for i, word in enumerate(words)}
    first = synonym_recall(vectors, synonyms, k=20, seed=3)
    low, high = first.interval
    assert low < first.recall < high
    # For n words of one synonym each it must come near the binomial interval.
    spread = 1.96 * np.sqrt(first.recall * (1 - first.recall) / 80)
    assert high - low == pytest.approx(2 * spread, rel=0.15)
    assert synonym_recall(vectors, synonyms, k=20, seed=3).interval == first.interval
    assert synonym_recall(vectors, synonyms, k=20, seed=4).interval != first.interval


def test_bands_split_by_the_count_of_the_query_word(vectors):
    synonyms = {"a": ["b"], "b": ["a"], "c": ["a"], "d": ["a"], "e": ["c"], "gone": ["a"]}
    bands = synonym_recall(vectors, synonyms, k=2).bands
    assert [(band.low, band.high) for band in bands] == [(1, 15), (15, 50), (50, 200), (200, None)]
    assert [band.words for band in bands] == [2, 1, 1, 1]
    assert [band.hits for band in bands] == [1, 1, 1, 1]
    assert bands[0].recall == 0.5


def test_vectors_without_counts_have_no_bands():
    assert synonym_recall(on_a_circle(["a", "b"], [0, 1]), {"a": ["b"]}).bands == ()


def test_a_k_of_one_and_an_empty_list_are_refused(vectors):
    with pytest.raises(UserError, match="2 or more"):
        synonym_recall(vectors, {"a": ["b"]}, k=1)
    with pytest.raises(UserError, match="no synonym"):
        synonym_recall(vectors, {"a": []})


def analogy_vectors() -> WordVectors:
    # "girl" would be the answer if a and b changed places.
    words = ["man", "king", "woman", "queen", "boy", "girl"]
    rows = [[1, 0, 0], [1, 0, 1], [1, 1, 0], [1, 1, 1.2], [2, 0, 0.1], [1, 1, -1.2]]
    return WordVectors(words, np.array(rows))


def test_analogies_are_counted_per_section_and_in_total(tmp_path):
    path = tmp_path / "questions-words.txt"
    path.write_text(
        ": royal\nMan King Woman Queen\nman king woman boy\n: other\nman king woman emperor\n"
    )
    score = analogy_accuracy(analogy_vectors(), load_analogies(path))
    royal, other = score.sections
    assert (royal.name, royal.correct, royal.total, royal.skipped) == ("royal", 1, 2, 0)
    assert (other.name, other.total, other.skipped, other.accuracy) == ("other", 0, 1, None)
    assert (score.total.correct, score.total.total, score.total.skipped) == (1, 2, 1)


def test_the_words_of_the_question_are_no_answers():
    # Without leaving them out, c itself is nearest to b - a + c when a and b are alike.
    vectors = on_a_circle(["a", "b", "c", "d"], [0, 1, 50, 60])
    score = analogy_accuracy(vectors, {"": [("a", "b", "c", "d")]})
    assert score.total.correct == 1


@pytest.mark.parametrize("change", [str.lower, str.upper, str.title])
@pytest.mark.parametrize("asked", [str.lower, str.upper, str.title])
def test_case_of_vectors_and_questions_does_not_matter(change, asked):
    lower = analogy_vectors()
    vectors = WordVectors([change(word) for word in lower.tokens], lower.matrix)
    question = tuple(asked(word) for word in ("man", "king", "woman", "queen"))
    score = analogy_accuracy(vectors, {"": [question]})
    assert (score.total.accuracy, score.total.total) == (1, 1)
    pairs = [(asked("man"), asked("king"), 2.0), (asked("man"), asked("boy"), 3.0)]
    assert pair_correlation(vectors, pairs).pairs == 2
    recall = synonym_recall(vectors, {asked("queen"): [asked("king")]}, k=3)
    assert recall.recall == synonym_recall(lower, {"queen": ["king"]}, k=3).recall


def test_word_as_written_comes_before_the_other_case_and_neither_answers():
    # "US" and "us" are two words; the question's words are no answers in any case.
    words = ["us", "US", "a", "b", "d"]
    rows = np.array([[1, 0, 0], [0, 1, 0], [0, 1, 0.1], [0, 0.2, 1], [0, 0.1, 1]])
    vectors = WordVectors(words, rows)
    assert (vectors.find("US"), vectors.find("Us"), vectors.find("A")) == (1, 0, 2)
    asked = {"": [("a", "b", "US", "d")]}
    assert analogy_accuracy(vectors, asked).total.correct == 1
    nearest_is_given = {"": [("a", "US", "b", "us")]}
    assert analogy_accuracy(vectors, nearest_is_given).total.correct == 0


def test_nothing_counted_is_no_zero(vectors):
    score = analogy_accuracy(vectors, {"": [("w", "x", "y", "z")]})
    assert score.total.accuracy is None
    assert "0.00" not in " ".join(analogy_lines(score))
    assert "nothing was measured" in analogy_lines(score)[-1]
    recall = synonym_recall(vectors, {"unheard": ["a"]})
    assert (recall.recall, recall.interval) == (None, None)
    assert recall_lines(recall, "list") == ["recall@40 -: none of the 1 words of list has a vector"]
    assert [band.recall for band in recall.bands] == [None] * 4


@pytest.mark.parametrize("change", [str.lower, str.title])
def test_analogies_agree_with_gensim(change, tmp_path):
    models = pytest.importorskip("gensim.models", reason="gensim is not installed")
    generator = np.random.default_rng(3)
    words = [change(f"word{chr(97 + i)}{chr(97 + j)}") for i in range(5) for j in range(8)]
    vectors = WordVectors(words, generator.normal(size=(40, 3)))
    questions = [[str(w) for w in generator.choice(words, 4, replace=False)] for _ in range(300)]
    path = tmp_path / "questions.txt"
    path.write_text(": all\n" + "\n".join(" ".join(q) for q in questions) + "\n")
    theirs = models.KeyedVectors(vector_size=3)
    theirs.add_vectors(words, vectors.matrix)
    accuracy, _ = theirs.evaluate_word_analogies(str(path))
    score = analogy_accuracy(vectors, load_analogies(path))
    assert score.total.total == 300 and score.total.accuracy == pytest.approx(accuracy)
    assert score.total.correct > 5


def test_a_question_of_three_words_names_its_line(tmp_path):
    path = tmp_path / "questions.txt"
    path.write_text(": one\na b c d\na b c\n")
    with pytest.raises(UserError, match=r"questions\.txt:3: 3 words"):
        load_analogies(path)


@pytest.mark.parametrize("content", ["", ": only a section\n"])
def test_a_file_without_questions_is_refused(tmp_path, content):
    path = tmp_path / "questions.txt"
    path.write_text(content)
    with pytest.raises(UserError, match="no question"):
        load_analogies(path)


@pytest.mark.parametrize(
    "content",
    [
        "Word 1,Word 2,Human (mean)\ntiger,cat,7.35\nbook,paper,7.46\n",  # WordSim-353
        "tiger\tcat\t7.35\nbook\tpaper\t7.46\n",  # its similarity subset
        "word1\tword2\tPOS\tSimLex999\tconc\ntiger\tcat\tN\t7.35\t1\nbook\tpaper\tN\t7.46\t2\n",
        "# a comment\ntiger cat 7.35\n\nbook paper 7.46",  # MEN
        "\ufefftiger,cat,7.35\r\nbook,paper,7.46\r\n",
        'word1,word2,score\n"tiger","cat","7.35"\n"book",paper,7.46\n',
    ],
)
def test_word_pairs_are_read_as_they_are_published(tmp_path, content):
    path = tmp_path / "pairs.txt"
    path.write_bytes(content.encode())
    assert load_word_pairs(path) == [("tiger", "cat", 7.35), ("book", "paper", 7.46)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("tiger,cat,7\nbook,paper,high\n", r"pairs\.txt:2: expected two words and a score"),
        ("tiger,cat,7\nbook,paper\n", r"pairs\.txt:2"),
        ('tiger,cat,7\n"book,paper,7\n', r"pairs\.txt:2: .*quotation mark"),
        ("a,b,score\ntiger,cat\n", r"pairs\.txt:2"),
        ("tiger,cat,7\nbook,paper,nan\n", r"pairs\.txt:2"),
        ("tiger,cat,7\n,paper,3\n", r"pairs\.txt:2"),
        ("", "no pair"),
        ("only,a,header\n", "no pair"),
    ],
)
def test_malformed_word_pairs_name_their_line(tmp_path, content, message):
    path = tmp_path / "pairs.txt"
    path.write_text(content)
    with pytest.raises(UserError, match=message):
        load_word_pairs(path)


def test_pair_correlation_skips_and_counts_unknown_words(vectors):
    pairs = [("a", "B", 9.0), ("a", "c", 8.0), ("a", "d", 1.0), ("a", "gone", 5.0)]
    result = pair_correlation(vectors, pairs)
    assert (result.pairs, result.skipped) == (3, 1)
    assert result.spearman == pytest.approx(1)
    assert result.pearson is not None and 0.8 < result.pearson < 1


def test_correlation_of_too_little_is_none_and_not_nan(vectors):
    assert pair_correlation(vectors, [("a", "b", 1.0)]).spearman is None
    assert pair_correlation(vectors, [("a", "b", 1.0), ("a", "c", 1.0)]).pearson is None
    assert pair_correlation(vectors, []).pairs == 0


def test_equal_values_share_the_mean_of_their_ranks():
    assert tied_ranks(np.array([10, 20, 10, 30])).tolist() == [1.5, 3, 1.5, 4]


def test_correlations_agree_with_scipy():
    stats = pytest.importorskip("scipy.stats", reason="scipy is not installed")
    generator = np.random.default_rng(5)
    x, y = generator.integers(0, 6, 50), generator.integers(0, 6, 50) + generator.normal(size=50)
    assert tied_ranks(x).tolist() == stats.rankdata(x).tolist()
    assert pearson(x, y) == pytest.approx(stats.pearsonr(x, y).statistic)
    assert pearson(tied_ranks(x), tied_ranks(y)) == pytest.approx(stats.spearmanr(x, y).statistic)


def test_missing_files_and_other_encodings_are_one_line(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        load_analogies(tmp_path / "missing.txt")
    (tmp_path / "latin.txt").write_bytes("caf\xe9 b c d".encode("latin-1"))
    with pytest.raises(UserError, match="not UTF-8"):
        load_analogies(tmp_path / "latin.txt")
