"""Tables: every row is read as it was written, or named by file and line."""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.data.tables import Table, is_table
from shared.errors import UserError


def table(folder: Path, name: str, content: str | bytes, **options: Any) -> Table:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return Table.open(path, **options)


def test_columns_are_chosen_by_name_and_lines_are_those_of_the_file(tmp_path: Path) -> None:
    text = 'id,review,label\r\n1,"Great, ""really"" great\nfilm",pos\r\n\r\n2,Dull,neg\r\n'
    rows = list(table(tmp_path, "a.csv", text).rows(["label", "review"]))
    assert rows == [(2, ["pos", 'Great, "really" great\nfilm']), (5, ["neg", "Dull"])]


def test_columns_named_by_number_mean_a_table_without_header(tmp_path: Path) -> None:
    text = '"1","Dull, slow"\n"2","Loved it"\n'
    assert list(table(tmp_path, "a.csv", text).rows(["2"])) == [
        (1, ["Dull, slow"]),
        (2, ["Loved it"]),
    ]
    assert list(table(tmp_path, "a.csv", text).rows(["1"])) == [(1, ["1"]), (2, ["2"])]
    with pytest.raises(UserError, match=r"a\.csv:1: has 2 columns, expected number 3"):
        list(table(tmp_path, "a.csv", text).rows(["3"]))
    with pytest.raises(UserError, match=r"a\.csv:1: has 2 columns, expected number 0"):
        list(table(tmp_path, "a.csv", text).rows(["0"]))


DAMAGED = {
    "never closed": ('id,review\n1,"Great film\n2,Awful\n3,Lovely\n4,Boring\n', "a.csv:2: a quote is opened"),
    "closed later": ('id,review\n0,x\n1,"Great film\n2,"Awful"\n', "a.csv:3: a quoted field does not end"),
    "comma": ("review,label\nGreat, really great,1\n", "a.csv:2: has 3 fields, expected 2. A comma"),
    "backslash": ('id,review\n1,"He said \\"never again\\", and I agree"\n', "a.csv:2: a quoted field does not end"),
    "short": ("a,b\n1,2\n3\n", "a.csv:3: has 1 field, expected 2. Add what is missing"),
    "carriage return": ("a,b\n1,2\r3,4\n", "a.csv:2: has a carriage return without"),
    "old Mac": ("a,b\r1,2\r3,4\r", "a.csv:1: has a carriage return without"),
    "twice": ("a,a\n1,2\n", "a.csv:1: the column 'a' is there twice"),
    "empty": ("\n\n", "a.csv: is empty"),
    "latin-1": (b"a,b\n1,caf\xe9\n", "a.csv:2: is not utf-8"),
}  # fmt: skip


@pytest.mark.parametrize("case", DAMAGED)
def test_damage_is_named_by_its_line(case: str, tmp_path: Path) -> None:
    content, expected = DAMAGED[case]
    with pytest.raises(UserError) as error:
        list(table(tmp_path, "a.csv", content).rows(["a" if "a,b" in str(content) else "review"]))
    assert expected in str(error.value)
    assert "\n" not in str(error.value)


def test_bad_rows_can_be_skipped_and_the_good_ones_keep_their_lines(tmp_path: Path) -> None:
    problems: list[str] = []
    text = 'a,b\n1,2\n3\n4,"5"x\n6,7\n8,"9\n'
    rows = table(tmp_path, "a.csv", text).rows(["a"], on_bad=problems.append)
    assert list(rows) == [(2, ["1"]), (5, ["6"])]
    assert [problem.split("a.csv:")[1][0] for problem in problems] == ["3", "4", "6"]


def test_tsv_has_a_header_and_its_quotes_are_characters(tmp_path: Path) -> None:
    text = 'index\tsentence\n0\t"Well" he said\n1\tan odd " one\n'
    rows = table(tmp_path, "a.tsv", text).rows(["sentence"])
    assert list(rows) == [(2, ['"Well" he said']), (3, ['an odd " one'])]


def test_tsv_of_a_writer_that_quotes_is_read_without_its_quotes(tmp_path: Path) -> None:
    texts = ['a "great" film', '"Well" he said', '"whole"', "plain", '""']
    for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL):
        with open(tmp_path / "a.tsv", "w", newline="") as file:
            writer = csv.writer(file, delimiter="\t", quoting=quoting)
            writer.writerows([["text", "label"], *([text, "1"] for text in texts)])
        rows = Table.open(tmp_path / "a.tsv").rows(["text", "label"])
        assert [values for _, values in rows] == [[text, "1"] for text in texts]


def test_utf_8_with_its_mark_read_in_another_encoding_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Read it with --encoding utf-8"):
        _ = table(tmp_path, "a.csv", "text\nça\n".encode("utf-8-sig"), encoding="cp1252").columns


def test_tsv_with_a_line_break_in_a_field_advises_csv(tmp_path: Path) -> None:
    rows = table(tmp_path, "a.tsv", 'text\tlabel\n"two\nlines"\t1\n').rows(["text"])
    with pytest.raises(UserError, match="has 1 field, expected 2. .* or write CSV if a field"):
        list(rows)


def test_separator_encoding_packing_and_byte_order_mark(tmp_path: Path) -> None:
    text = "\ufeffreview;label\nça va;1\n"
    for content, name, encoding in (
        (text.encode(), "a.csv", "utf-8"),
        (gzip.compress(text.encode()), "A.CSV.GZ", "utf-8"),
        (text[1:].encode("latin-1"), "a.txt", "latin-1"),
        (text[1:].encode("utf-16"), "a.csv", "utf-16"),
    ):
        rows = table(tmp_path, name, content, separator=";", encoding=encoding).rows(
            ["review", "label"]
        )
        assert list(rows) == [(2, ["ça va", "1"])]
    assert list(table(tmp_path, "a.txt", "a\tb\n1\t2\n", separator="tab").rows(["b"])) == [
        (2, ["2"])
    ]
    with pytest.raises(UserError, match="--separator is ';;', expected one character"):
        table(tmp_path, "a.csv", text, separator=";;")
    with pytest.raises(UserError, match="--separator is '', expected one character"):
        table(tmp_path, "a.csv", text, separator="")
    with pytest.raises(UserError, match=r"is not a table by its name.*\.csv.*--separator"):
        table(tmp_path, "a.txt", text)
    assert [is_table(Path(name)) for name in ("a.csv", "b.JSONL.gz", "c.txt")] == [
        True,
        True,
        False,
    ]


def test_missing_column_is_named_with_those_that_are_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no column 'text'.*Its columns: 'review', 'label'"):
        list(table(tmp_path, "a.csv", "review,label\na,1\n").rows(["text"]))
    with pytest.raises(UserError, match=r"no column 'reviw' \(did you mean review"):
        list(table(tmp_path, "a.csv", "review,label\na,1\n").rows(["reviw"]))
    with pytest.raises(UserError, match="is the separator ';'"):
        list(table(tmp_path, "a.csv", "review;label\na;1\n").rows(["review"]))
    rows = table(tmp_path, "a.csv", "review\na\n").rows(["review", "label"], optional=["label"])
    assert list(rows) == [(2, ["a", None])]


def test_json_lines_keep_their_values_and_their_problems_have_lines(tmp_path: Path) -> None:
    text = '{"text": "a", "label": 1}\n\n{"text": "b\\n", "label": null, "more": []}\n'
    opened = table(tmp_path, "a.jsonl", text)
    assert opened.columns == ["text", "label"]
    assert list(opened.rows(["text", "label"])) == [(1, ["a", 1]), (3, ["b\n", None])]
    for content, expected in (
        ('{"text": 1}\n{"text"\n', "a.jsonl:2: is not JSON"),
        ("[1, 2]\n", "a.jsonl:1: is a JSON list. Expected one object a line"),
        ('{"text": 1}\n{"label": 2}\n', "a.jsonl:2: 'text' is missing. Its keys: 'label'"),
        ('{"text": 1, "text": 2}\n', "a.jsonl:1: 'text' is there twice"),
        (r'{"text": "good \ud83d"}' + "\n", "a.jsonl:1: holds half of a surrogate pair"),
    ):
        with pytest.raises(UserError) as error:
            list(table(tmp_path, "a.jsonl", content).rows(["text"]))
        assert expected in str(error.value)


@given(
    rows=st.lists(
        st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), min_size=2, max_size=2),
        min_size=1,
    )
)  # fmt: skip
def test_what_csv_and_json_write_is_read_back(
    rows: list[list[str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("tables")
    written = io.StringIO(newline="")
    csv.writer(written, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows([["a", "b"], *rows])
    read = [values for _, values in table(folder, "a.csv", written.getvalue()).rows(["a", "b"])]
    # A line break inside a field is LF, whatever it was.
    assert read == [[field.replace("\r\n", "\n") for field in row] for row in rows]
    lines = "".join(json.dumps({"a": a, "b": b}) + "\n" for a, b in rows)
    assert [values for _, values in table(folder, "a.jsonl", lines).rows(["a", "b"])] == rows


@pytest.mark.parametrize("name, wanted", [("a.csv", "text"), ("a.tsv", "text"), ("b.csv", "1")])
def test_blank_line_of_a_single_column_may_be_a_field_and_is_named(
    name: str, wanted: str, tmp_path: Path
) -> None:
    header = "text\n" if wanted == "text" else ""
    first = 2 if header else 1
    opened = table(tmp_path, name, f"{header}a\n\nb\n\n\n")
    with pytest.raises(UserError, match=rf"{name}:{first + 1}: is blank, in a table of one column"):
        list(opened.rows([wanted]))
    problems: list[str] = []
    rows = table(tmp_path, name, f"{header}a\n\nb\n\n\n").rows([wanted], on_bad=problems.append)
    assert list(rows) == [(first, ["a"]), (first + 2, ["b"])] and len(problems) == 1
    if name.endswith("csv"):
        quoted = table(tmp_path, name, f'{header}a\n""\nb\n').rows([wanted])
        assert [values for _, values in quoted] == [["a"], [""], ["b"]]


def test_lines_are_counted_where_blank_ones_come_before_the_header(tmp_path: Path) -> None:
    rows = table(tmp_path, "a.csv", '\n\n"a\n b",c\n1,2\n3\n').rows(["c"])
    assert next(rows) == (5, ["2"])
    with pytest.raises(UserError, match=r"a\.csv:6: has 1 field"):
        next(rows)
    rows = table(tmp_path, "a.jsonl", '\n{"a": 1}\n{"b": 1}\n').rows(["a"])
    assert next(rows) == (2, [1])
    with pytest.raises(UserError, match=r"a\.jsonl:3: 'a' is missing"):
        next(rows)
