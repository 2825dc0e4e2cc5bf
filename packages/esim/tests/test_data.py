from __future__ import annotations

import bz2
import csv
import gzip
import json
import lzma
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from esim.config import Columns, TrainConfig
from esim.data import sample, tokens
from esim.data.dataset import batch_of, load_data, load_split, split_sentences
from esim.data.labels import LABELS
from esim.data.pairs import Source, find_sources, parse_leaves, read_pairs
from esim.data.tokens import token_pairs
from esim.model.hypothesis_only import HypothesisOnly
from shared.data.checksum import describe
from shared.errors import UserError

GOOD = {"gold_label": "neutral", "sentence1": "A man eats.", "sentence2": "He is hungry."}


def write_lines(path: Path, *rows: Any) -> Path:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def without(key: str) -> dict[str, str]:
    return {name: value for name, value in GOOD.items() if name != key}


BAD = {
    "not json": ("{gold", "is not JSON"),
    "a number": ("3", "is a JSON int"),
    "no label": (without("gold_label"), "gold_label or label is missing"),
    "another label": (GOOD | {"gold_label": "maybe"}, 'the label is "maybe"'),
    "no premise": (without("sentence1"), '"sentence1" is missing'),
    "no hypothesis": (without("sentence2"), '"sentence2" is missing'),
    "empty premise": (GOOD | {"sentence1": " "}, "the premise is empty"),
    "premise is a number": (GOOD | {"sentence1": 3}, "the premise is not text"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_line_is_named_or_skipped_and_counted(case: str, tmp_path: Path) -> None:
    row, expected = BAD[case]
    source = Source(write_lines(tmp_path / "p.jsonl", GOOD, row, GOOD))
    with pytest.raises(UserError) as caught:
        read_pairs(source)
    assert str(caught.value).startswith(f"{tmp_path / 'p.jsonl'}:2: {expected}")
    assert "--on-bad-line skip" in str(caught.value)
    found = read_pairs(source, on_bad_line="skip")
    assert (len(found), found.bad) == (2, 1)


def test_line_that_is_no_utf8_or_holds_a_nul_is_named(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    bad_lines = (
        (json.dumps(GOOD).encode().replace(b"man", b"caf\xe9"), "is not UTF-8"),
        (b"\0", "is not JSON"),
        (json.dumps(GOOD).encode().replace(b"man", rb"\u0000"), "NUL byte"),
        (json.dumps(GOOD).encode().replace(b"man", rb"\ud800"), "half of a surrogate pair"),
    )
    for bad, expected in bad_lines:
        path.write_bytes(json.dumps(GOOD).encode() + b"\n" + bad + b"\n")
        with pytest.raises(UserError, match=f":2: .*{expected}"):
            read_pairs(Source(path))
        assert read_pairs(Source(path), on_bad_line="skip").bad == 1


def test_pairs_without_agreement_are_left_out_and_counted(tmp_path: Path) -> None:
    rows = [GOOD, GOOD | {"gold_label": "-"}, GOOD | {"gold_label": "contradiction"}]
    found = read_pairs(Source(write_lines(tmp_path / "p.jsonl", *rows)))
    assert found.labels == [1, 2] and found.unlabeled == 1


def test_publishers_table_json_and_plain_table_give_the_same_pairs(tmp_path: Path) -> None:
    rows = [(label, f"One {label}.", f'Two "{label}".') for label in LABELS]
    as_json = [{"gold_label": r[0], "sentence1": r[1], "sentence2": r[2]} for r in rows]
    header = "gold_label\tsentence1_binary_parse\tsentence1\tsentence2\tcaptionID"
    table = [header, *(f"{label}\t( x )\t{a}\t{b}\t1.jpg" for label, a, b in rows)]
    counterfactual = ["sentence1\tsentence2\tgold_label", *(f"{a}\t{b}\t{n}" for n, a, b in rows)]
    files = [
        write_lines(tmp_path / "a.jsonl", *as_json),
        write_lines(tmp_path / "b.txt", *table),
        write_lines(tmp_path / "c.tsv", *("\t".join(row) for row in rows)),
        write_lines(tmp_path / "d.tsv", *counterfactual),
        write_lines(
            tmp_path / "e.jsonl",
            *({"label": i, "premise": r[1], "hypothesis": r[2]} for i, r in enumerate(rows)),
        ),
    ]
    packed = tmp_path / "f.jsonl.gz"
    packed.write_bytes(gzip.compress(files[0].read_bytes()))
    found = [read_pairs(Source(path)) for path in (*files, packed)]
    for other in found:
        assert (other.labels, other.premises, other.hypotheses) == (
            [0, 1, 2],
            [row[1] for row in rows],
            [row[2] for row in rows],
        )


def test_line_of_a_table_with_too_few_columns_is_named(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "p.tsv", "neutral\ta b\tc d", "neutral a b c d")
    with pytest.raises(UserError, match=r"p.tsv:2: has 1 field, expected 3"):
        read_pairs(Source(path))


def test_zip_is_read_without_unpacking_and_desktop_leavings_are_passed_over(
    sample_folder: Path, tmp_path: Path
) -> None:
    archive = tmp_path / "snli_1.0.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in sample_folder.iterdir():
            file.write(path, f"snli_1.0/{path.name}")
        file.writestr("snli_1.0/Icon\r", b"")
        file.writestr("__MACOSX/snli_1.0/._snli_1.0_train.jsonl", b"\0")
        file.writestr("snli_1.0/README.txt", b"text")
    whole = load_data(TrainConfig(data=str(sample_folder), cache=False))
    zipped = load_data(TrainConfig(data=str(archive), cache=False))
    assert zipped.vocabulary == whole.vocabulary
    for name in ("train", "dev", "test"):
        assert zipped.splits[name].facts() == whole.splits[name].facts()


@pytest.mark.parametrize(
    ("ending", "pack"), [("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress)]
)
def test_packed_files_are_read_by_themselves_and_inside_a_zip(
    ending: str, pack: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    plain = write_lines(tmp_path / "train.jsonl", GOOD, GOOD | {"gold_label": "entailment"})
    packed = tmp_path / f"Train.JSONL.{ending.upper()}"
    packed.write_bytes(pack(plain.read_bytes()))
    archive = tmp_path / "PAIRS.ZIP"
    with zipfile.ZipFile(archive, "w") as file:
        file.write(packed, packed.name)
    expected = read_pairs(Source(plain))
    assert read_pairs(Source(packed)) == expected
    assert read_pairs(find_sources(archive)["train"]) == expected


def test_split_is_told_by_the_name_and_two_files_for_one_are_refused(
    sample_folder: Path, tmp_path: Path
) -> None:
    names = ("multinli_1.0_train.jsonl", "multinli_1.0_dev_matched.jsonl",
             "multinli_1.0_dev_mismatched.jsonl", "multinli_1.0_train.txt")  # fmt: skip
    for name in names:
        write_lines(tmp_path / name, GOOD)
    found = find_sources(tmp_path)
    assert {split: source.path.name for split, source in found.items()} == {
        "train": "multinli_1.0_train.jsonl",  # before .txt
        "dev": "multinli_1.0_dev_matched.jsonl",
        "dev_mismatched": "multinli_1.0_dev_mismatched.jsonl",
    }
    write_lines(tmp_path / names[2], GOOD, GOOD)
    config = TrainConfig(data=str(tmp_path))
    words = load_data(TrainConfig(data=str(sample_folder))).vocabulary
    name, pairs = load_split(config.data, "dev_mismatched", words, config)
    assert (name, len(pairs)) == ("dev_mismatched", 2)
    write_lines(tmp_path / "train_more.jsonl", GOOD)
    with pytest.raises(UserError, match="could be train"):
        find_sources(tmp_path)


def test_words_of_both_kinds_of_parse_are_the_sentences(tmp_path: Path) -> None:
    assert parse_leaves("( ( A man ) ( eats . ) )") == ["A", "man", "eats", "."]
    parse = "(ROOT (S (NP (DT A) (NN man)) (VP (VBZ eats)) (. .)))"
    assert parse_leaves(parse) == ["A", "man", "eats", "."]
    assert parse_leaves("man") == ["man"]
    row = GOOD | {"sentence1_binary_parse": "( A man )", "sentence2_parse": "(ROOT (PRP He))"}
    found = read_pairs(Source(write_lines(tmp_path / "p.jsonl", row)), parses=True)
    assert (found.premises, found.hypotheses) == (["A man"], ["He"])
    with pytest.raises(UserError, match="there is no parse of the premise"):
        read_pairs(Source(write_lines(tmp_path / "p.jsonl", GOOD)), parses=True)


def test_raw_and_tokenized_text_give_the_same_tokens(tmp_path: Path) -> None:
    raw = GOOD | {"sentence1": "He said: \"It's 5,000 people, isn't it?\"", "sentence2": "A man."}
    split = GOOD | {
        "sentence1": "He said : `` It 's 5,000 people , is n't it ? ''",
        "sentence2": "A man .",
    }
    found = [
        token_pairs(Source(write_lines(tmp_path / f"{n}.jsonl", row)), "nltk_lower")
        for n, row in enumerate((raw, split))
    ]
    assert found[0].premises == found[1].premises
    assert found[0].hypotheses == found[1].hypotheses == [("a", "man", ".")]


def test_tokens_are_kept_and_what_was_kept_is_read_unless_the_file_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DLTASKS_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(tokens, "WORTH_CACHING", 1)
    path = write_lines(tmp_path / "p.jsonl", GOOD, GOOD | {"gold_label": "-"})
    first = token_pairs(Source(path), "nltk_lower")
    (kept,) = (tmp_path / "data" / "tokens").iterdir()
    with monkeypatch.context() as only_here:
        only_here.setattr(tokens, "read_pairs", lambda *a, **b: pytest.fail("split again"))
        assert token_pairs(Source(path), "nltk_lower") == first
    kept.write_text(kept.read_text()[:30])  # torn
    assert token_pairs(Source(path), "nltk_lower") == first
    write_lines(path, GOOD | {"sentence1": "Nobody eats."})
    assert token_pairs(Source(path), "nltk_lower").premises == [("nobody", "eats", ".")]
    assert token_pairs(Source(path), "nltk").premises == [("Nobody", "eats", ".")]


def test_tokens_of_before_an_edit_of_the_tokenizer_are_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DLTASKS_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(tokens, "WORTH_CACHING", 1)
    source = Source(write_lines(tmp_path / "p.jsonl", GOOD))
    token_pairs(source, "nltk_lower")
    edited = tmp_path / "tokenizers.py"
    edited.write_text(Path(str(tokens.tokenizers.__file__)).read_text() + "\n# edited\n")
    monkeypatch.setattr(tokens.tokenizers, "__file__", str(edited))
    tokens._code.cache_clear()
    monkeypatch.setattr(tokens, "read_pairs", lambda *a, **b: pytest.fail("read again"))
    with pytest.raises(pytest.fail.Exception, match="read again"):
        token_pairs(source, "nltk_lower")
    tokens._code.cache_clear()


OWN = Columns(premise_column="text", hypothesis_column="claim", label_column="verdict")
OWN_ROWS = [("A man, tall, eats.", "He eats.", 0), ("A man.", "He eats.", 1), ("No one.", "x", -1)]


def test_own_columns_of_csv_tsv_and_jsonl_give_the_same_pairs(tmp_path: Path) -> None:
    quoted = "\n".join(f'{i},"{a}","{b}",{n}' for i, (a, b, n) in enumerate(OWN_ROWS))
    tabs = "\n".join(f"{i}\t{a}\t{b}\t{n}" for i, (a, b, n) in enumerate(OWN_ROWS))
    files = {
        "a.csv": f"id,text,claim,verdict\n{quoted}\n",
        "b.tsv": f"id\ttext\tclaim\tverdict\n{tabs}\n",
        "c.jsonl": "\n".join(
            json.dumps({"text": a, "claim": b, "verdict": n}) for a, b, n in OWN_ROWS
        ),
    }
    for name, content in files.items():
        (tmp_path / name).write_text(content, "utf-8-sig")
        found = read_pairs(Source(tmp_path / name), OWN)
        assert (found.premises, found.hypotheses, found.labels, found.unlabeled) == (
            ["A man, tall, eats.", "A man."], ["He eats.", "He eats."], [0, 1], 1,
        )  # fmt: skip
    by_number = Columns(premise_column="2", hypothesis_column="3", label_column="4")
    (tmp_path / "d.csv").write_text(quoted)
    assert read_pairs(Source(tmp_path / "d.csv"), by_number).labels == [0, 1]
    semicolon = replace(OWN, separator=";", encoding="latin-1", label_values=("oui", "?", "non"))
    (tmp_path / "e.csv").write_text("text;claim;verdict\nUn café.;Ouvert.;non\n", "latin-1")
    found = read_pairs(Source(tmp_path / "e.csv"), semicolon)
    assert (found.premises, found.labels) == (["Un café."], [2])
    with pytest.raises(UserError, match="is the separator ';'"):
        read_pairs(Source(tmp_path / "e.csv"), replace(semicolon, separator=None))


def test_wrong_names_of_own_columns_are_told_with_those_that_exist(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,claim,verdict\nA man.,He eats.,maybe\n")
    with pytest.raises(UserError, match="has no column tekst .*'text', 'claim', 'verdict'"):
        read_pairs(Source(tmp_path / "a.csv"), replace(OWN, premise_column="tekst"))
    with pytest.raises(UserError, match=r'a.csv:2: the label is "maybe".*--label-values'):
        read_pairs(Source(tmp_path / "a.csv"), OWN)
    for skip in ("error", "skip"):
        with pytest.raises(UserError, match="has no column verdikt for the label.*--label-column"):
            read_pairs(
                Source(tmp_path / "a.csv"), replace(OWN, label_column="verdikt"), on_bad_line=skip
            )


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("premise,claim,label", "has no column sentence2 or hypothesis .*'claim'.*--hypothesis-column"),
        ("premise,hypothesis,verdict", "has no column gold_label or label .*'verdict'.*--label-column"),
        ("text,claim,verdict", r'a.csv:1: the label is "text".*Name the columns of a header with --premise-column'),
    ],
)  # fmt: skip
def test_column_that_a_header_does_not_have_is_told_once_and_not_for_each_row(
    header: str, expected: str, tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_text(f"{header}\nA man.,He eats.,0\n")
    with pytest.raises(UserError, match=expected):
        read_pairs(Source(tmp_path / "a.csv"))


def test_separator_of_the_training_data_does_not_keep_json_lines_from_being_read(
    tmp_path: Path,
) -> None:
    source = Source(write_lines(tmp_path / "p.jsonl", GOOD))
    assert read_pairs(source, Columns(separator=";")).labels == [1]


def test_other_separator_is_guessed_where_no_column_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("premise;hypothesis;label\nA man.;He eats.;0\n")
    with pytest.raises(UserError, match="has one column.*is the separator ';'"):
        read_pairs(Source(tmp_path / "a.csv"))


@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
@pytest.mark.parametrize("columns", [Columns(), OWN])
def test_lines_that_end_with_a_carriage_return_alone_are_told_as_such(
    name: str, columns: Columns, tmp_path: Path
) -> None:
    mark = "," if name == "a.csv" else "\t"
    text = "premise,hypothesis,label\rA man.,He eats.,0\r".replace(",", mark)
    (tmp_path / name).write_bytes(text.encode())
    with pytest.raises(UserError, match="has a carriage return without a line feed"):
        read_pairs(Source(tmp_path / name), columns)


def test_table_in_another_encoding_is_told_as_such(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("premise\thypothesis\tlabel\nA man.\tHe eats.\t0\n", "utf-16")
    with pytest.raises(UserError, match="a.tsv:1: the label is not UTF-8.*--encoding"):
        read_pairs(Source(tmp_path / "a.tsv"))


def test_table_that_is_not_in_its_encoding_is_told_as_such(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("premise\thypothesis\tlabel\nA man.\tHe eats.\t0\n", "utf-8")
    with pytest.raises(UserError, match="is not utf-16"):
        read_pairs(Source(tmp_path / "a.tsv"), replace(Columns(), encoding="utf-16"))


def test_first_line_longer_than_any_header_is_told_in_one_line(tmp_path: Path) -> None:
    csv.field_size_limit(1 << 17)  # Python's own, which a table read before has raised
    (tmp_path / "a.csv").write_text("x" * 200_000)
    with pytest.raises(UserError, match=r"a.csv:1: has 1 columns"):
        read_pairs(Source(tmp_path / "a.csv"))


def test_table_with_a_quote_that_is_not_closed_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('premise,hypothesis,label\n"A man.,He eats.,0\nA,B,1\n')
    with pytest.raises(UserError, match=r"a.csv:2: a quote is opened"):
        read_pairs(Source(tmp_path / "a.csv"))


def test_files_without_labels_or_with_foreign_ones_are_read_where_labels_are_not_used(
    tmp_path: Path,
) -> None:
    rows = [without("gold_label"), GOOD | {"gold_label": "maybe"}, GOOD | {"gold_label": -1}]
    source = Source(write_lines(tmp_path / "p.jsonl", *rows))
    assert read_pairs(source, labels="ignored").labels == [-1, -1, -1]
    (tmp_path / "two.tsv").write_text("A man.\tHe eats.\n")
    assert read_pairs(Source(tmp_path / "two.tsv"), labels="ignored").hypotheses == ["He eats."]


def test_glue_test_file_without_labels_is_left_out_and_said(tmp_path: Path) -> None:
    write_lines(tmp_path / "train.tsv", "index\tsentence1\tsentence2\tgold_label",
                "0\tA man.\tHe eats.\tneutral", "1\tA dog.\tIt eats.\tentailment")  # fmt: skip
    write_lines(tmp_path / "dev.tsv", "index\tsentence1\tsentence2\tlabel1\tgold_label",
                "0\tA cat.\tIt eats.\tneutral\tneutral")  # fmt: skip
    write_lines(tmp_path / "test.tsv", "index\tsentence1\tsentence2", "0\tA cat.\tIt eats.")
    data = load_data(TrainConfig(data=str(tmp_path)))
    assert list(data.splits) == ["train", "dev"]
    assert any("test.tsv: has no labels" in note for note in data.notes)


def test_dev_is_drawn_by_premise_where_there_is_none_and_evaluation_finds_it_again(
    tmp_path: Path, sample_folder: Path
) -> None:
    lines = (sample_folder / "snli_1.0_train.jsonl").read_text().splitlines()
    path = tmp_path / "all.jsonl"
    path.write_text("\n".join(lines) + "\n")
    config = TrainConfig(data=str(path))
    data = load_data(config)
    train, dev = data.splits["train"], data.splits["dev"]
    assert 0.08 < len(dev) / (len(train) + len(dev)) < 0.12
    premises = [{s.tobytes() for s in part.premises} for part in (train, dev)]
    assert not premises[0] & premises[1]
    assert any("has no dev pairs" in note for note in data.notes)
    name, pairs = load_split(None, None, data.vocabulary, config)
    assert (name, pairs.labels.tolist()) == ("dev", dev.labels.tolist())
    words = data.vocabulary
    assert len(load_split(str(path), None, words, config)[1]) == len(train) + len(dev)


def test_file_that_the_run_was_trained_on_is_evaluated_on_its_dev_pairs_and_another_whole(
    esim: Callable[..., tuple[int, str, str]], tmp_path: Path, sample_folder: Path
) -> None:
    path = tmp_path / "own pairs.jsonl"
    shutil.copy(sample_folder / "snli_1.0_dev.jsonl", path)
    size = ["--embedding-size", 8, "--hidden-size", 4, "--steps", 1, "--device", "cpu", "--quiet"]
    assert esim("train", "--data", path, "--out", "run", *size)[0] == 0
    own = json.loads(esim("evaluate", "run", "--json")[1])
    _, printed, told = esim("evaluate", "run", "--json", "--data", path)
    assert json.loads(printed) == own and "was trained on it" in told
    with path.open("a") as file:
        file.write(json.dumps(GOOD) + "\n")
    _, printed, told = esim("evaluate", "run", "--json", "--data", path)
    assert json.loads(printed)["pairs"] > 5 * own["pairs"] and told == ""


def test_columns_are_refused_where_training_divided_the_file_by_its_own(tmp_path: Path) -> None:
    rows = [
        f"A dog {n}.,It runs {n}.,It {n}.,{('entailment', 'neutral')[n % 2]}" for n in range(20)
    ]
    path = write_lines(tmp_path / "own.csv", "premise,hypothesis,other,label", *rows)
    config = TrainConfig(data=str(path))
    vocabulary = load_data(config).vocabulary
    other = Columns(hypothesis_column="other")
    for given in (None, str(path)):
        checksum = describe(path).sha256
        _, pairs = load_split(given, None, vocabulary, config, Columns(), checksum)
        assert len(pairs) == 2  # a tenth
        for columns in (other, Columns(hypothesis_column="none"), Columns(separator=";")):
            with pytest.raises(UserError, match="own columns. Leave --premise-column and the like"):
                load_split(given, None, vocabulary, config, columns, checksum)
    copy = write_lines(tmp_path / "copy.csv", "premise,hypothesis,other,label", *rows[1:])
    _, pairs = load_split(str(copy), None, vocabulary, config, other, checksum)
    assert len(pairs) == 19


def test_data_of_a_run_that_has_changed_is_not_measured_unless_it_is_named(
    tmp_path: Path, sample_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another tenth would be drawn as dev, most of which the model has been trained on."""
    path = tmp_path / "own.jsonl"
    shutil.copy(sample_folder / "snli_1.0_train.jsonl", path)
    config = TrainConfig(data=str(path))
    vocabulary, checksum = load_data(config).vocabulary, describe(path).sha256
    assert load_split(None, None, vocabulary, config, None, checksum)[0] == "dev"
    with path.open("a") as file:
        file.write(json.dumps(GOOD) + "\n")
    with pytest.raises(UserError, match=r"own.jsonl: is not, or no longer, the data .* --data"):
        load_split(None, None, vocabulary, config, None, checksum)
    assert load_split(str(path), None, vocabulary, config, None, checksum)[0] == "own.jsonl"
    # So it is where SNLI has been downloaded since a run on the sample.
    config = TrainConfig()
    monkeypatch.setenv("DLTASKS_DATA", str(tmp_path))
    shutil.copytree(sample_folder, tmp_path / "snli")
    write_lines(tmp_path / "snli" / "snli_1.0_test.jsonl", GOOD)
    with pytest.raises(UserError, match="snli: is not, or no longer, the data"):
        load_split(None, None, vocabulary, config, None, describe(sample_folder).sha256)


def test_held_out_pairs_are_no_part_of_train_in_evaluation(sample_folder: Path) -> None:
    config = TrainConfig(data=str(sample_folder), hold_out=100)
    data, checksum = load_data(config), describe(sample_folder).sha256
    for given in (None, config.data):
        _, pairs = load_split(given, "train", data.vocabulary, config, None, checksum)
        assert len(pairs) == len(data.splits["train"])


def test_drawn_dev_premises_come_from_all_of_a_file_that_may_be_sorted(tmp_path: Path) -> None:
    rows = [
        GOOD | {"sentence1": f"premise{number}", "gold_label": LABELS[number % 3]}
        for number in range(100)
    ]
    path = write_lines(tmp_path / "all.jsonl", *rows)
    data = load_data(TrainConfig(data=str(path), tokenizer="space"))
    words = [data.vocabulary.tokens[premise[0]] for premise in data.splits["dev"].premises]
    numbers = sorted(int(word.removeprefix("premise")) for word in words)
    assert len(numbers) == 10 and numbers[0] < 30 and numbers[-1] > 70


def test_parts_that_training_divided_a_file_into_are_evaluated_by_their_names(
    tmp_path: Path, sample_folder: Path
) -> None:
    shutil.copy(sample_folder / "snli_1.0_train.jsonl", tmp_path / "all.jsonl")
    config = TrainConfig(data=str(tmp_path / "all.jsonl"))
    data = load_data(config)
    for split in ("train", "dev"):
        name, pairs = load_split(None, split, data.vocabulary, config)
        assert (name, len(pairs)) == (split, len(data.splits[split]))
    for given in (None, config.data):  # what is not there is no other part under its name
        with pytest.raises(UserError, match="has no test pairs. Found: one file"):
            load_split(given, "test", data.vocabulary, config)
    shutil.copy(sample_folder / "snli_1.0_test.jsonl", tmp_path / "test.jsonl")
    (tmp_path / "all.jsonl").rename(tmp_path / "train.jsonl")
    config = TrainConfig(data=str(tmp_path))
    assert load_split(None, None, data.vocabulary, config)[0] == "test"
    name, pairs = load_split(None, "dev", data.vocabulary, config)
    assert (name, len(pairs)) == ("dev", len(data.splits["dev"]))


def test_test_file_without_labels_is_left_out_of_evaluation_as_of_training(tmp_path: Path) -> None:
    write_lines(tmp_path / "train.jsonl", GOOD, GOOD | {"gold_label": "entailment"})
    write_lines(tmp_path / "dev.jsonl", GOOD)
    write_lines(tmp_path / "test.jsonl", without("gold_label"))
    config = TrainConfig(data=str(tmp_path))
    vocabulary = load_data(config).vocabulary
    assert load_split(None, None, vocabulary, config)[0] == "dev"
    with pytest.raises(UserError, match="test.jsonl: holds no pair with a label"):
        load_split(None, "test", vocabulary, config)


def test_hidden_files_are_no_part_of_the_data(tmp_path: Path) -> None:
    (tmp_path / ".ipynb_checkpoints").mkdir()
    for name in ("train.jsonl", ".ipynb_checkpoints/train-checkpoint.jsonl", ".test.jsonl"):
        write_lines(tmp_path / name, GOOD)
    assert {split: source.path.name for split, source in find_sources(tmp_path).items()} == {
        "train": "train.jsonl"
    }


def test_sentence_without_tokens_is_named_or_skipped_and_counted(tmp_path: Path) -> None:
    source = Source(write_lines(tmp_path / "p.jsonl", GOOD, GOOD | {"sentence2": "?!"}, GOOD))
    with pytest.raises(UserError, match=r"'\?!' has no tokens.*--on-bad-line skip"):
        token_pairs(source, "unicode")
    found = token_pairs(source, "unicode", on_bad_line="skip")
    assert (len(found.labels), len(found.premises), found.bad) == (2, 2, 1)
    # Nor is it among the pairs whose attention is shown.
    for name in ("train", "dev"):
        shutil.copy(tmp_path / "p.jsonl", tmp_path / f"{name}.jsonl")
    (tmp_path / "p.jsonl").unlink()
    config = TrainConfig(data=str(tmp_path), tokenizer="unicode", on_bad_line="skip")
    assert len(list(split_sentences(config, "dev"))) == 2


def test_very_long_sentence_is_truncated_and_counted(tmp_path: Path) -> None:
    rows = [GOOD | {"sentence1": "word " * 5000}, GOOD | {"gold_label": "entailment"}]
    for name in ("train", "dev"):
        write_lines(tmp_path / f"{name}.jsonl", *rows)
    found = load_data(TrainConfig(data=str(tmp_path), max_length=50)).splits["train"]
    assert found.truncated == 1 and found.lengths[0].tolist() == [50, 4]


def test_data_with_nothing_to_learn_is_refused(tmp_path: Path) -> None:
    write_lines(tmp_path / "dev.jsonl", GOOD)
    with pytest.raises(UserError, match="has no train pairs"):
        load_data(TrainConfig(data=str(tmp_path)))
    write_lines(tmp_path / "train.jsonl", GOOD, GOOD)
    with pytest.raises(UserError, match="every training pair is neutral"):
        load_data(TrainConfig(data=str(tmp_path)))
    write_lines(tmp_path / "train.jsonl", GOOD | {"gold_label": "-"})
    with pytest.raises(UserError, match="no pair with a label"):
        load_data(TrainConfig(data=str(tmp_path)))
    with pytest.raises(UserError, match="All pairs have the same premise"):
        load_data(TrainConfig(data=str(tmp_path / "dev.jsonl")))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no pairs"):
        load_data(TrainConfig(data=str(tmp_path / "empty")))


def test_vocabulary_is_of_all_files_as_in_the_coursework_or_of_train(
    sample_folder: Path, tmp_path: Path
) -> None:
    config = TrainConfig(data=str(sample_folder))
    assert load_data(config).vocabulary.tokens[:2] == ("<unk>", "<pad>")
    for name, word in (("train", "zebra"), ("dev", "yak"), ("test", "vole")):
        write_lines(tmp_path / f"{name}.jsonl", GOOD | {"sentence1": f"A {word}."},
                    GOOD | {"gold_label": "entailment"})  # fmt: skip
    config = TrainConfig(data=str(tmp_path))
    everywhere = load_data(config)
    from_train = load_data(replace(config, vocabulary="train"))
    assert {"zebra", "yak", "vole"} <= set(everywhere.vocabulary)
    assert {"zebra", "yak", "vole"} & set(from_train.vocabulary) == {"zebra"}
    unknown = from_train.vocabulary.id("<unk>")
    assert from_train.splits["dev"].premises[0].tolist().count(unknown) == 1


def test_held_out_pairs_are_the_end_of_train_and_begin_with_a_new_premise(
    sample_folder: Path,
) -> None:
    whole = load_data(TrainConfig(data=str(sample_folder)))
    held = load_data(TrainConfig(data=str(sample_folder), hold_out=100))
    train, dev = held.splits["train"], held.splits["dev"]
    assert 100 <= len(dev) <= 102
    assert len(train) + len(dev) == len(whole.splits["train"])
    assert (train.unlabeled, dev.unlabeled) == (whole.splits["train"].unlabeled, 0)
    words = held.vocabulary
    last, first = (tuple(words.tokens[i] for i in s) for s in (train.premises[-1], dev.premises[0]))
    assert last != first


def test_batch_has_its_own_width_and_lengths_not_padding_decide(sample_folder: Path) -> None:
    pairs = load_data(TrainConfig(data=str(sample_folder))).splits["dev"]
    batch = batch_of(pairs, [3, 0, 7])
    own = pairs.lengths[[3, 0, 7]]
    assert batch["premises"].shape == (3, own[:, 0].max())
    assert np.array_equal(batch["premise_lengths"], own[:, 0])
    assert np.array_equal(batch["hypothesis_lengths"], own[:, 1])
    assert batch["labels"].tolist() == pairs.labels[[3, 0, 7]].tolist()


def test_folder_gives_test_then_dev_and_a_file_itself(sample_folder: Path, tmp_path: Path) -> None:
    config = TrainConfig(data=str(sample_folder))
    vocabulary = load_data(config).vocabulary
    assert load_split(config.data, None, vocabulary, config)[0] == "test"
    assert load_split(config.data, "dev", vocabulary, config)[0] == "dev"
    file = str(sample_folder / "snli_1.0_dev.jsonl")
    name, pairs = load_split(file, None, vocabulary, config)
    assert name == "snli_1.0_dev.jsonl" and len(pairs) == len(load_data(config).splits["dev"])
    write_lines(tmp_path / "train.jsonl", GOOD)
    assert load_split(str(tmp_path), None, vocabulary, config)[0] == "train"
    with pytest.raises(UserError, match="has no dev pairs"):
        load_split(str(tmp_path), "dev", vocabulary, config)


def test_sample_is_the_same_each_time_and_a_hypothesis_alone_tells_nothing(tmp_path: Path) -> None:
    counts = sample.write(tmp_path / "a")
    assert sample.write(tmp_path / "b") == counts
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()
    data = load_data(TrainConfig(data=str(tmp_path / "a")))
    assert {name: len(pairs) for name, pairs in data.splits.items()} == counts
    alone = HypothesisOnly(data.splits["train"]).accuracy(data.splits["test"])
    assert alone < 0.42


def test_real_subset_has_its_counts(real_data: Path) -> None:
    data = load_data(TrainConfig(data=str(real_data)))
    assert len(data.splits["train"]) == 24_495
    assert len(data.splits["dev"]) == 9_842
    alone = HypothesisOnly(data.splits["train"]).accuracy(data.splits["dev"])
    assert 0.5 < alone < 0.67
