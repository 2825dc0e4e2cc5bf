"""The CBOW assignment as students and teachers get it: true to the package, graded fairly, in both languages."""

from __future__ import annotations

import ast
import csv
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from cbow import cli
from cbow.assignment.checks import ASSIGNMENT
from cbow.data import sample
from cbow.model import reference
from shared.errors import UserError
from shared.teaching.grade import Journal, grade_class, grade_one, gradescope, write_grades
from shared.teaching.handout import write_handout
from shared.teaching.probe import choose
from shared.teaching.sandbox import Limits, Sandbox
from shared.teaching.selftest import grade_hostile, load_mutants
from shared.teaching.student import LocalStudent
from shared.teaching.submissions import Submission
from shared.text.tokenizers import coursework_tokens
from shared.text.vocabulary import Vocabulary

SOLUTION = ASSIGNMENT.edition.source(with_solution=True)
EMPTY = ASSIGNMENT.edition.source(with_solution=False)
MUTANTS = load_mutants(ASSIGNMENT)


def names_of(code: str) -> dict:
    """Return what a file defines, without running what it calls."""
    tree = ast.parse(code)
    tree.body = [node for node in tree.body if not isinstance(node, ast.Expr)]
    names: dict = {}
    exec(compile(tree, "submission.py", "exec"), names)
    return names


def grade_here(code: str, seed: int = 0) -> dict:
    student = LocalStudent(names_of(code))
    scores: dict = {}
    for check in ASSIGNMENT.checks:
        scores.update(ASSIGNMENT.run(check, student, seed))
    return scores


def total(scores: dict) -> float:
    return sum(score.points for score in scores.values())


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    try:
        sandbox = choose(ASSIGNMENT.distributions, Limits(seconds=5))
    except UserError as error:
        pytest.skip(str(error))
    yield sandbox
    sandbox.close()


def test_the_solution_gets_all_points_for_any_seed() -> None:
    for seed in range(5):
        scores = grade_here(SOLUTION, seed)
        assert total(scores) == 15
        assert not any(score.remarks for score in scores.values())


def test_the_empty_handout_gets_none() -> None:
    scores = grade_here(EMPTY)
    assert total(scores) == 0
    assert {r.key for s in scores.values() for r in s.remarks} <= {"gap", "step_unfinished"}


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_classic_mistake_costs_its_own_part_and_is_named(mutant) -> None:
    scores = grade_here(mutant.code(SOLUTION), seed=3)
    for name, score in scores.items():
        expected = ASSIGNMENT.points[name] - mutant.lost.get(name, 0)
        assert abs(score.points - expected) <= 0.25, (name, score)
    assert (total(scores) < 15) == bool(mutant.lost)
    remarks = [remark for score in scores.values() for remark in score.remarks]
    assert set(mutant.remarks) <= {remark.key for remark in remarks}
    for remark in remarks:
        english, chinese = (ASSIGNMENT.text(remark, language) for language in ("en", "zh"))
        assert re.search("[a-z]{3}", english)
        assert re.search("[\u4e00-\u9fff]{2}", chinese)


def test_there_are_enough_mistakes_and_every_part_has_some() -> None:
    assert sum(bool(mutant.lost) for mutant in MUTANTS) >= 40
    assert sum(not mutant.lost for mutant in MUTANTS) >= 8
    assert {name for mutant in MUTANTS for name in mutant.lost} == set(ASSIGNMENT.points)


def test_edition_is_the_packages_own_algorithm() -> None:
    names = names_of(SOLUTION)
    lines = ["It's  useful. ", "a b c a b a", "one", "", "the end of the end"]
    for line in lines:
        assert names["tokenizer"](line) == coursework_tokens(line)
    vocab = names["Vocab"](lines)
    ours = Vocabulary.build(token for line in lines for token in coursework_tokens(line))
    assert [vocab.idx_to_token(i) for i in range(len(vocab))] == list(ours.tokens)
    samples = list(names["Dataset"](["a b c d e"], 2))
    assert samples == [
        (["abcde"[i] for i in context], "abcde"[target])
        for context, target in reference.windows(range(5), 2)
    ]
    np.random.seed(1)
    model = names["CBOW"](vocab, 4)
    context = [vocab.token_to_idx(token) for token in ("a", "b", "a")]
    loss, d_U, d_V = reference.gradients(model.U, model.V, context, vocab.token_to_idx("c"))
    U, V = model.U - 0.5 * d_U, model.V - 0.5 * d_V
    assert model.train_one_step(["a", "b", "a"], "c", 0.5) == pytest.approx(loss, abs=1e-12)
    np.testing.assert_allclose(model.U, U, atol=1e-12)
    np.testing.assert_allclose(model.V, V, atol=1e-12)


def test_functions_are_graded_by_name_in_any_order_and_notebook() -> None:
    tree = ast.parse(SOLUTION)
    definitions = [node for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))]
    others = [node for node in tree.body if node not in definitions]
    shuffled = ast.unparse(ast.Module([*others, *reversed(definitions)], []))
    assert total(grade_here(shuffled)) == 15


def handout(folder: Path, **options) -> list[Path]:
    return write_handout(ASSIGNMENT, folder, sample.write, requirement="dltasks-cbow", **options)


def test_handout_is_the_same_bytes_twice_and_holds_no_solution_for_students(tmp_path: Path) -> None:
    first, second = handout(tmp_path / "a"), handout(tmp_path / "b")
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]
    solved = {
        ast.dump(statement)
        for todo in ASSIGNMENT.edition.todos().values()
        for statement in ast.parse("if True:\n" + indent(todo.code)).body[0].body  # type: ignore[attr-defined]
    }
    for path in (tmp_path / "a" / "student").rglob("*"):
        if path.suffix == ".py":
            codes = [path.read_text(encoding="utf-8")]
        elif path.suffix == ".ipynb":
            cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
            codes = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
        else:
            continue
        for code in codes:
            statements = {ast.dump(node) for node in ast.walk(ast.parse(code))}
            assert not statements & solved, path


def indent(code: str) -> str:
    import textwrap

    return textwrap.indent(textwrap.dedent(code), "    ")


def test_notebooks_and_course_formats_are_well_formed(tmp_path: Path) -> None:
    handout(tmp_path / "h")
    for path in (tmp_path / "h").rglob("*.ipynb"):
        book = json.loads(path.read_text(encoding="utf-8"))
        assert book["nbformat"] == 4
        ids = [cell["id"] for cell in book["cells"]]
        assert len(set(ids)) == len(ids)
        for cell in book["cells"]:
            if cell["cell_type"] == "code":
                ast.parse("".join(cell["source"]))
    source = tmp_path / "h" / "teacher" / "nbgrader" / "source" / "cbow" / "cbow.en.ipynb"
    cells = json.loads(source.read_text(encoding="utf-8"))["cells"]
    graded = [
        c["metadata"]["nbgrader"] for c in cells if c["metadata"].get("nbgrader", {}).get("grade")
    ]
    assert sum(entry["points"] for entry in graded) == 15
    assert {entry["schema_version"] for entry in graded} == {3}
    with zipfile.ZipFile(tmp_path / "h" / "teacher" / "gradescope.zip") as archive:
        assert sorted(archive.namelist()) == ["run_autograder", "setup.sh"]


def test_notebook_is_in_the_language_it_is_named_by(tmp_path: Path) -> None:
    handout(tmp_path / "h")
    for language, is_chinese in (("en", False), ("zh", True)):
        text = (tmp_path / "h" / "student" / f"cbow.{language}.ipynb").read_text(encoding="utf-8")
        assert bool(re.search("[\u4e00-\u9fff]", text)) is is_chinese


def test_sandboxed_grades_are_those_of_this_process(sandbox: Sandbox) -> None:
    chosen = [
        m for m in MUTANTS if m.name in ("sum, base 2, and no 1/C", "softmax changes its argument")
    ]
    for code in (SOLUTION, EMPTY, *(mutant.code(SOLUTION) for mutant in chosen)):
        result = grade_one(ASSIGNMENT, Submission("1", Path("1.py"), code), sandbox)
        here = grade_here(code)
        assert {n: s.points for n, s in result.scores.items()} == {
            n: s.points for n, s in here.items()
        }


def test_killed_grading_resumes_to_the_same_table(tmp_path: Path, sandbox: Sandbox) -> None:
    codes = [SOLUTION, EMPTY, MUTANTS[0].code(SOLUTION), "def softmax(", "x = 1"]
    work = [Submission(f"{10000 + i}", Path(f"{i}.py"), code) for i, code in enumerate(codes)]
    whole = grade_class(ASSIGNMENT, work, sandbox, tmp_path / "a", quiet=True)
    table = write_grades(ASSIGNMENT, whole, tmp_path / "a").read_bytes()
    lines = (tmp_path / "a" / "results.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "results.jsonl").write_text(
        "".join(lines[:4]) + lines[4][:30], encoding="utf-8"
    )
    again = grade_class(ASSIGNMENT, work, sandbox, tmp_path / "b", quiet=True)
    assert write_grades(ASSIGNMENT, again, tmp_path / "b").read_bytes() == table
    assert Journal(tmp_path / "b" / "results.jsonl").get(json.loads(lines[0])["key"]) is not None
    rows = list(csv.DictReader(table.decode().splitlines()))
    assert [row["score"] for row in rows] == ["15", "0", "14", "0", "0"]


def test_regrading_runs_only_the_check_that_changed(
    tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = [Submission("10001", Path("a.py"), SOLUTION)]
    grade_class(ASSIGNMENT, work, sandbox, tmp_path, quiet=True)
    version = type(ASSIGNMENT).version
    monkeypatch.setattr(
        type(ASSIGNMENT),
        "version",
        lambda self, check: version(self, check) + "b" * (check.todos[0] == "softmax"),
    )
    ran: list[str] = []
    run = type(ASSIGNMENT).run
    monkeypatch.setattr(
        type(ASSIGNMENT),
        "run",
        lambda self, check, *rest: ran.append(check.todos[0]) or run(self, check, *rest),
    )
    grade_class(ASSIGNMENT, work, sandbox, tmp_path, quiet=True)
    assert ran == ["softmax"]


def test_gradescope_result_has_the_published_form(sandbox: Sandbox) -> None:
    result = grade_one(
        ASSIGNMENT, Submission("1", Path("1.py"), MUTANTS[0].code(SOLUTION)), sandbox
    )
    entry = gradescope(ASSIGNMENT, result, "en")
    assert entry["score"] == sum(test["score"] for test in entry["tests"]) == 14
    assert {"name", "score", "max_score", "output", "visibility"} == set(entry["tests"][0])
    json.dumps(entry, allow_nan=False)


def test_command_grades_a_folder(
    tmp_path: Path, sandbox: Sandbox, capsys: pytest.CaptureFixture
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "10001_wang.py").write_text(SOLUTION, encoding="utf-8")
    (folder / "10002_li.py").write_text(MUTANTS[0].code(SOLUTION), encoding="utf-8")
    (tmp_path / "names.csv").write_text("10001,王\n10002,李\n", encoding="utf-8")
    out = tmp_path / "out"
    words = [
        "grade",
        str(folder),
        "--out",
        str(out),
        "--names",
        str(tmp_path / "names.csv"),
        "--language",
        "zh",
    ]
    assert cli.main([*words, "--quiet"]) == 0
    assert "mean 14.50 of 15 points" in capsys.readouterr().out
    text = (out / "report.html").read_text(encoding="utf-8")
    assert "10002" in text
    assert "王" not in text  # names never go into a page
    assert "王" in (out / "grades.csv").read_text(encoding="utf-8")
    assert "应当只有下标处为 1" in (out / "students" / "10002.html").read_text(encoding="utf-8")


def test_student_is_told_what_the_visible_checks_say(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    path = tmp_path / "mine.py"
    path.write_text(MUTANTS[0].code(SOLUTION), encoding="utf-8")
    assert cli.main(["check", str(path)]) == 1
    out = capsys.readouterr().out
    assert "one_hot: not zeros with a one at the index" in out
    assert "softmax  ok" in out
    path.write_text(SOLUTION, encoding="utf-8")
    assert cli.main(["check", str(path)]) == 0


@pytest.mark.reliability
def test_hostile_submissions_are_contained(sandbox: Sandbox) -> None:
    sandbox.limits = Limits(seconds=2)
    problems = {verdict.name: verdict.problem for verdict in grade_hostile(ASSIGNMENT, sandbox)}
    assert len(problems) >= 20
    assert not {name: problem for name, problem in problems.items() if problem}


@pytest.mark.reliability
def test_student_notebook_with_the_solution_runs_from_top_to_bottom(tmp_path: Path) -> None:
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    handout(tmp_path / "h")
    book = nbformat.read(tmp_path / "h" / "teacher" / "solution.en.ipynb", 4)
    nbformat.validate(book)
    folder = tmp_path / "h" / "student"
    nbclient.NotebookClient(
        book, timeout=120, resources={"metadata": {"path": str(folder)}}
    ).execute()
    text = "".join(o.get("text", "") for c in book.cells for o in c.get("outputs", ()))
    assert "Recall rate" in text
