"""What word vectors promise: cosines, neighbors, analogies, and files that come back the same."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from cbow.model.vector_formats import FORMATS
from cbow.model.vectors import WordVectors, joined, unit_rows
from shared.errors import UserError

TOKENS = ["<unk>", "king", "queen", "man", "woman", "zero"]
MATRIX = np.array([[1, 1, 1], [5, 1, 0], [5, 0, 1], [1, 1, 0], [1, 0, 1], [0, 0, 0]], dtype=float)


@pytest.fixture
def vectors() -> WordVectors:
    return WordVectors(TOKENS, MATRIX, counts=[1, 9, 8, 7, 6, 5])


def test_vectors_are_float32_and_found_by_word(vectors):
    assert vectors.matrix.dtype == np.float32
    assert vectors["queen"].tolist() == [5, 0, 1]
    assert "queen" in vectors and "prince" not in vectors and len(vectors) == 6


def test_similarity_is_the_cosine(vectors):
    assert vectors.similarity("king", "man") == pytest.approx(6 / np.sqrt(26 * 2), abs=1e-6)
    assert vectors.similarity("king", "king") == pytest.approx(1, abs=1e-6)


def test_rows_of_zeros_give_zero_and_never_nan(vectors):
    assert vectors.similarity("zero", "king") == 0
    nearest = vectors.most_similar_tokens("zero", 6)
    assert nearest[0] == ("zero", 0) and not np.isnan([cosine for _, cosine in nearest]).any()
    assert ("zero", 0) in vectors.most_similar_tokens("king", 6)


def test_huge_and_tiny_vectors_keep_their_direction():
    vectors = WordVectors(["a", "b", "c"], np.array([[3e30, 4e30], [3e-30, 4e-30], [4, -3]]))
    assert vectors.similarity("a", "b") == pytest.approx(1, abs=1e-6)
    assert vectors.similarity("a", "c") == pytest.approx(0, abs=1e-6)


def test_the_word_itself_is_the_first_of_its_neighbors(vectors):
    assert [word for word, _ in vectors.most_similar_tokens("king", 3)] == ["king", "queen", "man"]
    twins = WordVectors(["a", "b", "c"], np.ones((3, 2)))
    assert [word for word, _ in twins.most_similar_tokens("c", 3)] == ["c", "a", "b"]


def test_asking_for_more_neighbors_than_words_gives_all_words(vectors):
    assert len(vectors.most_similar_tokens("king", 99)) == 6


def test_analogy_asks_b_minus_a_plus_c_and_leaves_the_three_out():
    words = ["man", "king", "woman", "queen", "girl"]
    rows = [[1, 0, 0], [1, 0, 1], [1, 1, 0], [1, 1, 1.2], [1, 1, -1.2]]
    vectors = WordVectors(words, np.array(rows))
    assert [word for word, _ in vectors.analogy("man", "king", "woman", 5)] == ["queen", "girl"]


def test_neighbors_leave_the_word_itself_out(vectors):
    assert [word for word, _ in vectors.neighbors("king", 2)] == ["queen", "man"]
    assert vectors.neighbors("king", 2)[0][1] == pytest.approx(25 / 26, abs=1e-5)


def test_most_similar_subtracts_and_leaves_out_the_words_asked_with(vectors):
    answers = vectors.most_similar(["king", "woman"], ["man"], topn=9)
    assert answers[0][0] == "queen"
    assert {word for word, _ in answers} == {"queen", "<unk>", "zero"}
    # "man" and "<unk>" are the nearer ones once "woman" is taken away instead of added.
    assert vectors.most_similar(["queen"], ["woman"], topn=9)[-1][0] == "<unk>"


def test_most_similar_gives_each_word_the_same_weight_whatever_its_length():
    short = WordVectors(["a", "b", "x", "y"], np.array([[1, 0], [0, 1], [1, 1], [1, 0.1]]))
    long = WordVectors(["a", "b", "x", "y"], np.array([[100, 0], [0, 1], [1, 1], [1, 0.1]]))
    near = [vectors.most_similar(["a", "b"], topn=1)[0][0] for vectors in (short, long)]
    assert near == ["x", "x"]


def test_most_similar_of_no_words_is_refused(vectors):
    with pytest.raises(UserError, match="at least one word"):
        vectors.most_similar()


def test_most_similar_has_gensims_conventions():
    models = pytest.importorskip("gensim.models", reason="gensim is not installed")
    vectors = WordVectors(TOKENS[:5], MATRIX[:5])  # gensim's cosine with zeros is NaN
    theirs = models.KeyedVectors(vector_size=3)
    theirs.add_vectors(vectors.tokens, vectors.matrix)
    for asked in (
        {"positive": "king"},
        {"positive": ["king", "woman"], "negative": ["man"], "topn": 3},
        {"positive": ["queen"], "negative": "man", "topn": 2},
    ):
        expected = theirs.most_similar(**asked)
        found = vectors.most_similar(**asked)
        assert [word for word, _ in found] == [word for word, _ in expected]
        np.testing.assert_allclose(
            [cosine for _, cosine in found], [cosine for _, cosine in expected], atol=1e-6
        )


def test_vectors_tell_what_they_are(vectors):
    assert repr(vectors) == "WordVectors(6 words of 3 numbers: '<unk>', 'king', 'queen', ...)"
    assert list(vectors) == TOKENS
    assert {"most_similar", "neighbors", "analogy", "similarity"} <= set(dir(vectors))


@pytest.mark.parametrize(
    ("word", "hint"), [("kings", "'king'"), ("King", "'king'"), ("QUEEN", "'queen'")]
)
def test_an_unknown_word_is_answered_with_near_spellings(vectors, word, hint):
    with pytest.raises(UserError, match=f"(?s)^No vector for '{word}'.*{hint}") as error:
        vectors.similarity(word, "man")
    assert "\n" not in str(error.value)


def test_an_unknown_word_is_a_key_error_as_in_gensim(vectors):
    with pytest.raises(KeyError) as error:
        vectors["kings"]
    assert str(error.value).startswith("No vector for 'kings' among 6 words.")


def test_an_unknown_word_like_no_other_is_one_line_too(vectors):
    with pytest.raises(UserError, match="No word is spelled like it"):
        vectors.most_similar_tokens("xylophone", 3)


@pytest.mark.parametrize(
    ("tokens", "matrix", "counts", "message"),
    [
        (["a"], np.ones((2, 2)), None, "shape"),
        (["a", "a"], np.ones((2, 2)), None, "two rows"),
        (["a", "b"], np.array([[1, 2], [3, np.nan]]), None, "'b' is not finite"),
        (["a", "b"], np.ones((2, 2)), [1], "counts"),
        (["a", "b"], np.ones(2), None, "shape"),
    ],
)
def test_tables_that_do_not_fit_are_refused(tokens, matrix, counts, message):
    with pytest.raises(ValueError, match=message):
        WordVectors(tokens, matrix, counts)


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
@pytest.mark.parametrize("counts", [None, [3, 2, 1, 1]])
def test_saved_vectors_come_back_the_same(tmp_path, suffix, counts):
    if suffix == ".safetensors":
        pytest.importorskip("safetensors")
    words = ["<unk>", "naïve", "日本", 'quote"\\']
    matrix = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    path = tmp_path / f"vectors{suffix}"
    WordVectors(words, matrix, counts).save(path)
    back = WordVectors.load(path)
    assert back.tokens == words and np.array_equal(back.matrix, matrix)
    assert back.counts is None if counts is None else back.counts.tolist() == counts


def test_same_vectors_are_the_same_bytes(tmp_path):
    program = (
        "import sys, numpy as np; from cbow.model.vectors import WordVectors;"
        "WordVectors(['a', 'b'], np.eye(2), [2, 1]).save(sys.argv[1])"
    )
    files = [tmp_path / f"{number}.safetensors" for number in range(6)]
    for path in files:  # a process each: hash seeds differ between processes only
        subprocess.run([sys.executable, "-c", program, str(path)], check=True)
    assert len({path.read_bytes() for path in files}) == 1


def test_words_do_not_count_against_the_limit_of_a_header(tmp_path):
    # safetensors refuses headers above 100 MB, which hold the metadata: so no words in there.
    words = [f"слово{i}" for i in range(1000)]
    WordVectors(words, np.zeros((len(words), 1))).save(tmp_path / "vectors.safetensors")
    with (tmp_path / "vectors.safetensors").open("rb") as file:
        assert int.from_bytes(file.read(8), "little") < 1000
    assert WordVectors.load(tmp_path / "vectors.safetensors").tokens == words


def test_files_with_words_in_the_metadata_are_read_too(tmp_path):
    numpy = pytest.importorskip("safetensors.numpy")
    metadata = {"format": "dltasks-vectors-1", "tokens": json.dumps(["a", "b"])}
    arrays = {"matrix": np.eye(2, dtype=np.float32), "counts": np.array([2, 1])}
    numpy.save_file(arrays, tmp_path / "old.safetensors", metadata=metadata)
    back = WordVectors.load(tmp_path / "old.safetensors")
    assert (back.tokens, back.counts.tolist()) == (["a", "b"], [2, 1])
    assert np.array_equal(back.matrix, np.eye(2))


def test_glove_text_is_read_and_a_byte_order_mark_is_no_part_of_a_word(tmp_path):
    for mark in ("", "\ufeff"):
        (tmp_path / "glove.txt").write_text(f"{mark}film 1 2\nmovie 3 4\n", encoding="utf-8")
        (tmp_path / "w.vec").write_text(f"{mark}2 2\nfilm 1 2\nmovie 3 4\n", encoding="utf-8")
        for name in ("glove.txt", "w.vec"):
            vectors = WordVectors.load(tmp_path / name)
            assert vectors.tokens == ["film", "movie"]
            assert vectors.matrix.tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize("form", ["word2vec-text", "word2vec-binary"])
def test_word2vec_files_come_back_the_same(tmp_path, vectors, form):
    pytest.importorskip("shared.text.vectors")
    vectors.export(tmp_path / "vectors.vec", form)
    back = WordVectors.load(tmp_path / "vectors.vec")
    assert back.tokens == TOKENS
    np.testing.assert_allclose(back.matrix, vectors.matrix, rtol=1e-5)


def test_gensim_reads_our_binary_export(tmp_path, vectors):
    pytest.importorskip("shared.text.vectors")
    gensim = pytest.importorskip("gensim.models", reason="gensim is not installed")
    vectors.export(tmp_path / "vectors.bin", "word2vec-binary")
    theirs = gensim.KeyedVectors.load_word2vec_format(tmp_path / "vectors.bin", binary=True)
    assert theirs.index_to_key == TOKENS and np.array_equal(theirs.vectors, vectors.matrix)


def test_projector_files_hold_one_row_per_word(tmp_path, vectors):
    vectors.export(tmp_path / "projector", "projector")
    rows = (tmp_path / "projector/vectors.tsv").read_text().splitlines()
    names = (tmp_path / "projector/metadata.tsv").read_text().splitlines()
    assert rows[1].split("\t") == ["5", "1", "0"] and len(rows) == 6
    assert names[0] == "word\tcount" and names[2] == "king\t9" and len(names) == 7


def test_projector_metadata_of_one_column_has_no_header(tmp_path):
    WordVectors(["a", "b"], np.eye(2)).export(tmp_path, "projector")
    assert (tmp_path / "metadata.tsv").read_text() == "a\nb\n"


def test_a_word_with_a_tab_is_refused_by_the_projector_format(tmp_path):
    with pytest.raises(UserError, match="tab"):
        WordVectors(["a\tb"], np.ones((1, 2))).export(tmp_path, "projector")


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_counts_of_any_memory_layout_are_saved(tmp_path, suffix):
    counts = np.array([[9, 0], [5, 0], [2, 0]])[:, 0]
    WordVectors(["a", "b", "c"], np.eye(3), counts).save(tmp_path / f"v{suffix}")
    assert WordVectors.load(tmp_path / f"v{suffix}").counts.tolist() == [9, 5, 2]


@pytest.mark.parametrize(
    ("name", "format"), [("v", "npz"), ("v.bin", "safetensors"), ("v.npz", "word2vec-text")]
)
def test_a_name_that_would_be_read_as_another_format_is_refused(tmp_path, vectors, name, format):
    with pytest.raises(UserError, match=rf"{name}: .* goes with {format}"):
        vectors.export(tmp_path / name, format)
    assert not (tmp_path / name).exists()


def test_unknown_formats_are_named_with_the_known_ones(tmp_path, vectors):
    with pytest.raises(UserError, match="csv.*projector"):
        vectors.export(tmp_path / "x", "csv")
    with pytest.raises(UserError, match=r"\.npz or \.safetensors"):
        vectors.save(tmp_path / "x.txt")
    assert "projector" in FORMATS


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 torn", b"not vectors at all, longer than 8"])
def test_damaged_files_are_one_line_with_the_path(tmp_path, suffix, content):
    if suffix == ".safetensors":
        pytest.importorskip("safetensors")
    path = tmp_path / f"torn{suffix}"
    path.write_bytes(content)
    with pytest.raises(UserError, match="torn") as error:
        WordVectors.load(path)
    assert "\n" not in str(error.value)


def test_a_truncated_archive_is_refused(tmp_path, vectors):
    path = tmp_path / "vectors.npz"
    vectors.save(path)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(UserError, match="damaged"):
        WordVectors.load(path)


def test_arrays_of_someone_else_are_refused(tmp_path):
    np.savez(tmp_path / "other.npz", matrix=np.eye(2))
    with pytest.raises(UserError, match="not vectors of ours"):
        WordVectors.load(tmp_path / "other.npz")


def test_nothing_is_unpickled(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    trap = np.array([Trap()], dtype=object)
    np.savez(tmp_path / "trap.npz", format=trap, tokens=trap, matrix=trap)
    with pytest.raises(UserError, match="damaged"):
        WordVectors.load(tmp_path / "trap.npz")
    assert not (tmp_path / "sprung").exists()


def test_a_file_whose_words_and_rows_disagree_is_damaged(tmp_path):
    tokens = np.frombuffer(json.dumps(["a"]).encode(), dtype=np.uint8)
    np.savez(tmp_path / "x.npz", format="dltasks-vectors-1", tokens=tokens, matrix=np.eye(2))
    with pytest.raises(UserError, match="damaged"):
        WordVectors.load(tmp_path / "x.npz")


def test_a_missing_file_names_the_formats(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        WordVectors.load(tmp_path / "missing.npz")


def test_joined_cosines_are_the_weighted_mean_of_the_parts_cosines():
    generator = np.random.default_rng(1)
    first, second = generator.normal(3, 1, size=(9, 4)), generator.normal(size=(9, 2)) * 100
    table = joined([first, second], [1.0, 0.5])
    assert table.shape == (9, 6) and table.dtype == np.float32
    a, b = (unit_rows(part - part.mean(axis=0)) for part in (first, second))
    expected = (a @ a.T + 0.25 * (b @ b.T)) / 1.25
    np.testing.assert_allclose(unit_rows(table) @ unit_rows(table).T, expected, atol=1e-5)


def test_large_vectors_are_scaled_a_block_at_a_time_with_the_same_answers(monkeypatch):
    generator = np.random.default_rng(4)
    words = [f"w{i}" for i in range(53)]
    matrix = generator.normal(size=(53, 7))
    plain = WordVectors(words, matrix)
    expected = plain.neighbors("w3", 5), plain.most_similar_tokens("w3", 5)
    monkeypatch.setattr("cbow.model.vectors._CACHED_BYTES", 0)
    monkeypatch.setattr("cbow.model.vectors._BLOCK_BYTES", 4 * 7 * 10)
    large = WordVectors(words, matrix)
    for found, wanted in zip(
        (large.neighbors("w3", 5), large.most_similar_tokens("w3", 5)), expected, strict=True
    ):
        assert [word for word, _ in found] == [word for word, _ in wanted]
        np.testing.assert_allclose([c for _, c in found], [c for _, c in wanted], atol=1e-6)
    assert "unit" not in vars(large)
    matrix[41, 2] = np.inf
    with pytest.raises(ValueError, match="'w41' is not finite"):
        WordVectors(words, matrix)


PEAK = """
import resource, sys
from cbow.cli import main
resource_before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assert main(["neighbors", sys.argv[1], "w5"]) == 0
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - resource_before) // 1000)
"""


@pytest.mark.reliability
@pytest.mark.parametrize("form", ["safetensors", "npz", "word2vec-binary"])
def test_neighbors_of_a_large_file_take_little_more_memory_than_the_file(form, tmp_path):
    pytest.importorskip("resource", reason="peak memory is not known on this system")
    words = [f"w{i}" for i in range(100_000)]
    matrix = np.random.default_rng(0).normal(size=(len(words), 200)).astype(np.float32)
    WordVectors(words, matrix).export(tmp_path / f"v.{form}", form)
    command = [sys.executable, "-c", PEAK, str(tmp_path / f"v.{form}")]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert int(done.stdout.split()[-1]) < 1.8 * 80  # 80 MB of vectors; libraries and words beside
