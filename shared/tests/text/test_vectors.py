from __future__ import annotations

import gzip
import re
import struct
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import UserError
from shared.text.vectors import load_pretrained, read_vectors, write_word2vec
from shared.text.vocabulary import Vocabulary

GLOVE = b"the 1 2 3\n. . 4 5 6\nMan 7 8 9\nman -1 -2 -3e-1\ncat 10 11 12\nthe 9 9 9\n"
VOCABULARY = Vocabulary(
    ["<unk>", "<pad>", "the", "Man", "Cat", ". .", "dog"], [1, 1, 50, 20, 10, 5, 13]
)
TOKEN = st.text(
    st.characters(exclude_characters=" \t\n\r\v\f", exclude_categories=["Cs"]), min_size=1
)
FLOAT = st.floats(width=32, allow_nan=False, allow_infinity=False)


def row(*numbers: float) -> bytes:
    return struct.pack(f"<{len(numbers)}f", *numbers)


@pytest.fixture
def glove(tmp_path):
    path = tmp_path / "glove.txt"
    path.write_bytes(GLOVE)
    return path


def assert_glove_rows(matrix):
    assert matrix.dtype == np.float32
    assert matrix[2:6].tolist() == [[1, 2, 3], [7, 8, 9], [10, 11, 12], [4, 5, 6]]
    assert matrix[1].tolist() == [0, 0, 0]


def test_rows_come_cased_first_then_lower_case_and_tokens_may_hold_spaces(glove):
    matrix, coverage = load_pretrained(glove, VOCABULARY)
    assert_glove_rows(matrix)
    assert (coverage.exact, coverage.lowercased, coverage.missing) == (3, 1, 2)
    assert (coverage.duplicates, coverage.skipped_lines) == (1, 0)
    assert coverage.first_missing == ("<unk>", "dog")
    assert coverage.type_fraction == pytest.approx(4 / 6)
    assert coverage.token_fraction == pytest.approx(85 / 99)


def test_cased_row_wins_even_when_the_lower_case_row_comes_first(tmp_path):
    (tmp_path / "v.txt").write_bytes(b"man 1 1\nMan 2 2\n")
    matrix, _ = load_pretrained(
        tmp_path / "v.txt", Vocabulary(["Man", "MAN"], [1, 1], unknown=None)
    )
    assert matrix.tolist() == [[2, 2], [1, 1]]


def test_without_case_fallback_only_the_written_form_counts(glove):
    _, coverage = load_pretrained(glove, VOCABULARY, case_fallback=False)
    assert (coverage.exact, coverage.lowercased, coverage.missing) == (3, 0, 3)


def test_coverage_reads_as_one_line(glove):
    text = str(load_pretrained(glove, VOCABULARY)[1])
    assert "66.7% of types, 85.9% of tokens" in text
    assert "<unk> dog" in text
    assert "\n" not in text


def test_pad_row_is_zero_though_the_file_has_one(tmp_path):
    (tmp_path / "v.txt").write_bytes(b"<pad> 1 1\na 2 2\n")
    vocabulary = Vocabulary(["<pad>", "a"], [1, 1], unknown=None)
    matrix, coverage = load_pretrained(tmp_path / "v.txt", vocabulary)
    assert matrix.tolist() == [[0, 0], [2, 2]]
    assert (coverage.exact, coverage.type_fraction) == (1, 1.0)


def test_missing_rows_have_the_spread_of_those_found_and_follow_the_seed(tmp_path):
    rng = np.random.default_rng(0)
    found = rng.normal(0, 0.3, (200, 50))
    with (tmp_path / "v.txt").open("w") as file:
        for index, numbers in enumerate(found):
            print(f"w{index}", *numbers, file=file)
    vocabulary = Vocabulary([f"w{index}" for index in range(400)], [1] * 400, unknown=None)
    matrix, _ = load_pretrained(tmp_path / "v.txt", vocabulary, seed=3)
    assert matrix[200:].std() == pytest.approx(0.3, rel=0.05)
    assert np.array_equal(load_pretrained(tmp_path / "v.txt", vocabulary, seed=3)[0], matrix)
    other, _ = load_pretrained(tmp_path / "v.txt", vocabulary, seed=4)
    assert np.array_equal(other[:200], matrix[:200])
    assert not np.array_equal(other[200:], matrix[200:])
    narrow, _ = load_pretrained(tmp_path / "v.txt", vocabulary, seed=3, scale=0.01)
    assert narrow[200:].std() == pytest.approx(0.01, rel=0.05)


@pytest.mark.parametrize("form", ["gz", "zip", "zip member", "word2vec text", "word2vec binary"])
def test_every_container_and_format_gives_the_same_rows(tmp_path, form):
    path = tmp_path / "v.txt"
    if form == "gz":
        path = tmp_path / "v.txt.gz"
        path.write_bytes(gzip.compress(GLOVE))
    elif form.startswith("zip"):
        path = tmp_path / "v.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("glove.3d.txt", GLOVE)
            if form == "zip member":
                archive.writestr("glove.2d.txt", b"the 1 2\n")
                path = path / "glove.3d.txt"
    elif form == "word2vec text":
        path.write_bytes(
            b"6 3\n" + GLOVE.replace(b"\n", b" \n")
        )  # word2vec.c ends lines with a space
    else:
        rows = [(b"the", 1, 2, 3), (b"Man", 7, 8, 9), (b"cat", 10, 11, 12), (b"man", 0, 0, 0)]
        path.write_bytes(b"4 3\n" + b"".join(r[0] + b" " + row(*r[1:]) + b"\n" for r in rows))
    matrix, coverage = load_pretrained(path, VOCABULARY)
    if form == "word2vec binary":  # a space ends the token there
        assert coverage.missing == 3
        assert matrix[2:5].tolist() == [[1, 2, 3], [7, 8, 9], [10, 11, 12]]
    else:
        assert_glove_rows(matrix)


def test_zip_with_several_files_asks_which(tmp_path):
    with zipfile.ZipFile(tmp_path / "v.zip", "w") as archive:
        archive.writestr("a.txt", GLOVE)
        archive.writestr("b.txt", GLOVE)
    with pytest.raises(UserError, match=r"2 files in it.*a\.txt, b\.txt"):
        load_pretrained(tmp_path / "v.zip", VOCABULARY)
    with pytest.raises(UserError, match=r'no "c\.txt" in the archive'):
        load_pretrained(tmp_path / "v.zip" / "c.txt", VOCABULARY)


BAD_LINES = [
    (b"the 1 2\n", "2 numbers"),  # torn
    (b"the\n", "0 numbers"),
    (b"\n", "0 numbers"),
    (b"other 1 x 3\n", "not followed by 3 numbers"),  # seen though nobody wants this token
    (b"other 1 nan 3\n", "not followed by 3 numbers"),
    (b"the 1 2.3.4 3\n", "no number"),
    (b"the 1 1e99 3\n", "not finite"),
    (b" 1 2 3\n", "the token is empty"),
    (b"a 0.1234 0.1234 0.1234b 0.1234 0.1234 0.1234\n", "two rows in one"),
    (b"\xff\xfe 1 \x00 3\n", "not followed by 3 numbers"),
]


@pytest.mark.parametrize("line, problem", BAD_LINES)
def test_bad_line_is_named_or_skipped_and_counted(tmp_path, line, problem):
    path = tmp_path / "v.txt"
    path.write_bytes(b"cat 1 2 3\n. 1 2 3\n" + line + b"the 4 5 6\n")
    with pytest.raises(UserError) as caught:
        load_pretrained(path, VOCABULARY, dimension=3)
    assert "v.txt:3:" in str(caught.value)
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)
    matrix, coverage = load_pretrained(path, VOCABULARY, dimension=3, on_bad_line="skip")
    assert coverage.skipped_lines == 1
    assert matrix[2].tolist() == [4, 5, 6]


def test_dimension_is_that_of_most_lines_so_that_the_torn_one_is_blamed(tmp_path):
    path = tmp_path / "v.txt"
    path.write_bytes(b"a 1\nb 1 2 3\nc 1 2 3\n")
    with pytest.raises(UserError, match=r"v\.txt:1: 1 numbers"):
        load_pretrained(path, VOCABULARY)


def test_header_of_another_dimension_is_refused(tmp_path):
    (tmp_path / "v.txt").write_bytes(b"1 3\na 1 2 3\n")
    with pytest.raises(UserError, match="vectors of 3 numbers. Expected 300"):
        load_pretrained(tmp_path / "v.txt", VOCABULARY, dimension=300)


def test_cut_off_archive_is_a_user_error(tmp_path):
    content = np.random.default_rng(0).bytes(100_000).hex(" ").encode()
    (tmp_path / "v.txt.gz").write_bytes(gzip.compress(content)[:50_000])
    with pytest.raises(UserError, match="cannot be read"):
        load_pretrained(tmp_path / "v.txt.gz", VOCABULARY)
    (tmp_path / "v.zip").write_bytes(b"PK\x03\x04 torn")
    with pytest.raises(UserError, match="cannot be read"):
        load_pretrained(tmp_path / "v.zip", VOCABULARY)


def test_missing_empty_and_foreign_files_are_user_errors(tmp_path):
    (tmp_path / "empty.txt").touch()
    (tmp_path / "image.txt").write_bytes(bytes(range(256)) * 9)
    for name, problem in [("none", "no such file"), ("empty", "empty"), ("image", "binary file")]:
        with pytest.raises(UserError, match=problem):
            load_pretrained(tmp_path / f"{name}.txt", VOCABULARY)


@pytest.mark.parametrize("line_feed", [b"", b"\n"])
def test_binary_rows_are_read_with_and_without_line_feed(tmp_path, line_feed):
    # the first number of the second row starts with the byte of a line feed
    tricky = struct.unpack("<f", b"\n\x00\x80?")[0]
    path = tmp_path / "v.bin"
    path.write_bytes(
        b"2 3\nhe "
        + row(1, -2, 0.5)
        + line_feed
        + "caf\u00e9".encode()
        + b" "
        + row(tricky, 0, 4)
        + line_feed
    )
    tokens, matrix = read_vectors(path)
    assert tokens == ["he", "caf\u00e9"]
    assert matrix.tolist() == [[1, -2, 0.5], [tricky, 0, 4]]


@settings(deadline=None, max_examples=40)
@given(
    table=st.integers(1, 5).flatmap(
        lambda width: st.dictionaries(
            TOKEN, st.lists(FLOAT, min_size=width, max_size=width), min_size=1, max_size=6
        )
    ),
)
def test_what_is_written_is_read_back_bit_for_bit(tmp_path_factory, table):
    path = tmp_path_factory.mktemp("vectors") / "v"
    matrix = np.array(list(table.values()), dtype=np.float32)
    write_word2vec(path, list(table), matrix, binary=False)
    tokens, read = read_vectors(path)
    assert tokens == list(table)
    assert read.tobytes() == matrix.tobytes()


@pytest.mark.parametrize("binary", [False, True])
def test_large_matrix_survives_block_borders(tmp_path, binary):
    rng = np.random.default_rng(0)
    matrix = rng.standard_normal((5000, 100)).astype(np.float32)  # 2 MB: more than one block
    tokens = [f"w{index}" * (1 + index % 5) for index in range(5000)]
    write_word2vec(tmp_path / "v", tokens, matrix, binary=binary)
    read_tokens, read = read_vectors(tmp_path / "v")
    assert read_tokens == tokens
    assert np.array_equal(read, matrix)
    few_tokens, few = read_vectors(tmp_path / "v", limit=7)
    assert few_tokens == tokens[:7]
    assert np.array_equal(few, matrix[:7])
    assert read_vectors(tmp_path / "v", limit=0)[1].shape == (0, 100)


@pytest.mark.parametrize("binary", [False, True])
def test_files_go_both_ways_with_gensim(tmp_path, binary):
    models = pytest.importorskip("gensim.models")
    rng = np.random.default_rng(0)
    tokens = ["the", "caf\u00e9", "1/2", "\u4e2d\u6587", "a\xa0b"]
    matrix = (rng.standard_normal((5, 7)) * 10.0 ** rng.integers(-9, 9, (5, 7))).astype(np.float32)
    write_word2vec(tmp_path / "ours", tokens, matrix, binary=binary)
    theirs = models.KeyedVectors.load_word2vec_format(str(tmp_path / "ours"), binary=binary)
    assert theirs.index_to_key == tokens
    assert np.array_equal(theirs.vectors, matrix)
    theirs.save_word2vec_format(str(tmp_path / "theirs"), binary=binary)
    assert (tmp_path / "theirs").read_bytes() == (tmp_path / "ours").read_bytes()
    read_tokens, read = read_vectors(tmp_path / "theirs")
    assert read_tokens == tokens
    assert np.array_equal(read, matrix)


def test_repeated_token_keeps_its_first_row_with_a_warning(tmp_path):
    (tmp_path / "v").write_bytes(b"3 2\na 1 2\na 3 4\nb 5 6\n")
    with pytest.warns(UserWarning, match="1 rows of repeated tokens"):
        tokens, matrix = read_vectors(tmp_path / "v")
    assert (tokens, matrix.tolist()) == (["a", "b"], [[1, 2], [5, 6]])


HE = b"he " + row(0.1, 0.2)


@pytest.mark.parametrize("content", ["2 3\nhe 1 2 3\nshe 4 5 6\n", "he 1 2 3\nshe 4 5 6\n"])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_byte_order_mark_is_no_part_of_the_file(content, suffix, tmp_path):
    data = ("\ufeff" + content).encode()
    path = tmp_path / f"v.txt{suffix}"
    path.write_bytes(gzip.compress(data) if suffix else data)
    tokens, matrix = read_vectors(path)
    assert (tokens, matrix.tolist()) == (["he", "she"], [[1, 2, 3], [4, 5, 6]])
    _, coverage = load_pretrained(path, Vocabulary(["<unk>", "he", "she"], [1, 1, 1]))
    assert coverage.exact == 2


def test_glove_text_is_read_whole_or_its_first_rows(tmp_path):
    path = tmp_path / "glove.txt"
    path.write_text("".join(f"w{row} {row} 0.5\n" for row in range(9)))
    tokens, matrix = read_vectors(path)
    assert tokens == [f"w{row}" for row in range(9)]
    assert matrix[:, 0].tolist() == list(range(9))
    assert read_vectors(path, 2)[0] == ["w0", "w1"]


def test_message_about_a_bad_line_names_an_option_only_where_there_is_one(tmp_path):
    path = tmp_path / "glove.txt"
    path.write_text("a 1 2\nb nan 2\n")
    vocabulary = Vocabulary(["<unk>", "a", "b"], [1, 1, 1])
    with pytest.raises(UserError, match=r"glove.txt:2: .*Fix the line\.$"):
        load_pretrained(path, vocabulary)
    with pytest.raises(UserError, match=r"or skip such lines with --on-bad-vector skip\.$"):
        load_pretrained(path, vocabulary, skip_option="--on-bad-vector skip")


@pytest.mark.parametrize(
    "content, problem",
    [
        (b"2 2\nhe 1 2\n", "ends after 1 whole rows, its header promises 2"),
        (b"1 2\nhe 1 2\nshe 1 2\n", "has more than the 1 rows"),
        (b"2 2\nhe 1 2\nshe 1\n", "v:3:"),
        (b"2 2\nhe 1\nshe 1 2\n", "v:2:"),
        (b"1 2\n\xe9 1 2\n", "not UTF-8"),
        (b"1 2\nhe 1 1e99\n", "not finite"),
        (b"2 2\n" + HE, "ends after 1 whole rows, its header promises 2"),
        (b"2 2\n" + HE + b"she \x00\x00", "ends after 1 whole rows, its header promises 2"),
        (b"1 2\n" + HE + b"\n" + HE, "has more than the 1 rows"),
        (b"1 2\nhe " + row(0.1, float("nan")), "v, row 1: a number"),
        (b"1 2\n " + row(0.1, 0.2), "empty token"),
        (b"1 2\n\xe9 " + row(0.1, 0.2), "not UTF-8"),
        (
            b"999999999999999999 2\n" + HE,
            "ends after 1 whole rows, its header promises 999999999999999999",
        ),
        (b"999999999999999999 50000\n" + HE, "ends after 0 whole rows"),
        (b"2 999999999999999999\n" + HE, "vectors of 999999999999999999 numbers"),
        (b"99999999999999999999999999 2\n" + HE, "ends after 1 whole rows"),
        (b"1 0\nhe\n", "vectors of 0 numbers"),
        (b"1 2\n" + b"\x01" * 3_000_000, "no end of token"),
    ],
)
def test_damaged_word2vec_file_is_named(tmp_path, content, problem):
    (tmp_path / "v").write_bytes(content)
    with pytest.raises(UserError, match=re.escape(problem)) as caught:
        read_vectors(tmp_path / "v")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("token", ["a b", "a\tb", "a\n", "", "\r"])
def test_token_with_white_space_cannot_be_written(tmp_path, token):
    with pytest.raises(UserError, match="cannot be written"):
        write_word2vec(tmp_path / "v", ["fine", token], np.ones((2, 2)), binary=True)
    assert not (tmp_path / "v").exists()


def test_values_and_tokens_that_no_reader_takes_cannot_be_written(tmp_path):
    with pytest.raises(UserError, match='vector of "b" is not finite'):
        write_word2vec(tmp_path / "v", ["a", "b"], np.array([[1.0], [1e99]]), binary=False)
    with pytest.raises(UserError, match='"a" is repeated'):
        write_word2vec(tmp_path / "v", ["a", "a"], np.ones((2, 2)), binary=False)
    with pytest.raises(ValueError, match="2 tokens, but a matrix"):
        write_word2vec(tmp_path / "v", ["a", "b"], np.ones((3, 2)), binary=False)
