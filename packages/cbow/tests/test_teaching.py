"""The CBOW assignment as students and teachers get it: true to the package, graded fairly, in both languages."""

from __future__ import annotations

import ast
import csv
import json
import os
import subprocess
import sys
import time
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
from shared.teaching.assignment import Remark
from shared.teaching.formats import gradescope
from shared.teaching.grade import Journal, grade_class, grade_one, write_grades
from shared.teaching.handout import write_handout
from shared.teaching.options import GradeOptions
from shared.teaching.page import write_student_page
from shared.teaching.probe import choose
from shared.teaching.sandbox import Limits, Sandbox
from shared.teaching.selftest import grade_hostile, load_mutants
from shared.teaching.submissions import Submission, read_code
from shared.teaching.testing import (
    defined_by,
    require_enough_mutants,
    require_handout,
    require_mutant,
    require_solution_and_gaps,
    run_solution_notebook,
    total,
)
from shared.teaching.testing import grade_here as grade_in_this_process
from shared.teaching.verbs import grade
from shared.text.tokenizers import coursework_tokens
from shared.text.vocabulary import Vocabulary

pytestmark = pytest.mark.long

SOLUTION = ASSIGNMENT.edition.source(with_solution=True)
EMPTY = ASSIGNMENT.edition.source(with_solution=False)
MUTANTS = load_mutants(ASSIGNMENT)


def grade_here(code: str, seed: int = 0) -> dict:
    return grade_in_this_process(ASSIGNMENT, code, seed)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    try:
        sandbox = choose(ASSIGNMENT.distributions, Limits(seconds=5))
    except UserError as error:
        pytest.skip(str(error))
    yield sandbox
    sandbox.close()


def test_the_solution_gets_all_points_and_the_handout_none() -> None:
    assert sum(ASSIGNMENT.points.values()) == 15
    require_solution_and_gaps(ASSIGNMENT)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_classic_mistake_costs_its_own_part_and_is_named(mutant) -> None:
    require_mutant(ASSIGNMENT, mutant)


def test_there_are_enough_mistakes_and_every_part_has_some() -> None:
    require_enough_mutants(ASSIGNMENT, MUTANTS)


def test_edition_is_the_packages_own_algorithm() -> None:
    names = defined_by(ASSIGNMENT, SOLUTION)
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


def test_function_under_another_name_costs_its_own_part_alone() -> None:
    scores = grade_here(SOLUTION.replace("softmax(", "my_softmax("))
    assert {name: score.points for name, score in scores.items()} == {
        **ASSIGNMENT.points,
        "softmax": 0,
    }
    assert [remark.key for remark in scores["softmax"].remarks] == ["missing"]


def test_notebook_that_an_editor_stripped_of_metadata_is_graded_by_function_names(
    tmp_path: Path,
) -> None:
    handout(tmp_path / "h")
    book = json.loads((tmp_path / "h" / "teacher" / "solution.en.ipynb").read_text("utf-8"))
    cells = [{key: cell[key] for key in ("cell_type", "source")} for cell in book["cells"]]
    path = tmp_path / "mine.ipynb"
    path.write_text(json.dumps({"cells": cells, "nbformat": 4, "nbformat_minor": 2}), "utf-8")
    assert total(grade_here(read_code(path))) == 15


def handout(folder: Path, **options) -> list[Path]:
    return write_handout(ASSIGNMENT, folder, sample.write, **options)


def test_handout_is_well_formed_and_holds_no_solution(tmp_path: Path) -> None:
    require_handout(ASSIGNMENT, tmp_path, sample.write)


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
        assert {"run_autograder", "setup.sh", "requirements.txt"} <= set(archive.namelist())
        archive.extractall(tmp_path / "gradescope")
    needed = (tmp_path / "gradescope" / "requirements.txt").read_text(encoding="utf-8")
    assert "numpy" in needed
    assert "dltasks" not in needed
    code = "from cbow.assignment.checks import ASSIGNMENT; print(ASSIGNMENT.folder)"
    path = tmp_path / "gradescope" / "packages"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == str(path / "cbow" / "assignment")


def test_package_with_the_solution_passes_its_own_tests(tmp_path: Path) -> None:
    handout(tmp_path / "h")
    folder = tmp_path / "h" / "student" / "package"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert "1 failed" in run.stdout
    solved = [node for node in ast.parse(SOLUTION).body if not isinstance(node, ast.Expr)]
    text = ast.unparse(ast.Module(solved, []))
    (folder / "cbow_assignment.py").write_text(text, encoding="utf-8")
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert "1 passed" in run.stdout


def test_zip_that_installs_the_package_by_pip_does_not_carry_it(tmp_path: Path) -> None:
    handout(tmp_path / "h", requirement="dltasks-cbow[teach]")
    with zipfile.ZipFile(tmp_path / "h" / "teacher" / "gradescope.zip") as archive:
        assert sorted(archive.namelist()) == ["run_autograder", "setup.sh"]
        assert 'pip install "dltasks-cbow[teach]"' in archive.read("setup.sh").decode()


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
    torn = "".join(lines[:4]) + lines[4][:30] + "中"
    (tmp_path / "b" / "results.jsonl").write_bytes(torn.encode()[:-1])
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
    entry = gradescope.results(ASSIGNMENT, result, "en")
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
    odd = 'def one_hot(*arguments):\n    raise ValueError("\\ud800")\n'  # no file can hold this message
    (folder / "10003_zhao.py").write_text(EMPTY + odd, encoding="utf-8")
    (folder / "10004_qian.rar").touch()
    (folder / "10005_sun.zip").write_bytes(b"PK and no more")
    (tmp_path / "names.csv").write_text(
        "学号,姓名\n10001,王\n10002,李\n10009,吴\n", encoding="utf-8"
    )
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
    said = capsys.readouterr().out
    assert "mean 7.25 of 15 points" in said
    assert "not graded, 0 points: 10005_sun.zip: " in said
    assert "10004_qian.rar" in said
    assert "not in the table of names: 10003, 10005\n" in said
    assert "in the table of names, without a submission: 10009 吴\n" in said
    text = (out / "report.html").read_text(encoding="utf-8")
    assert "10002" in text
    assert "王" not in text  # names never go into a page
    assert "王" in (out / "grades.csv").read_text(encoding="utf-8")
    assert "应当只有下标处为 1" in (out / "students" / "10002.html").read_text(encoding="utf-8")


def test_single_submission_that_does_not_parse_is_told_where(
    tmp_path: Path, sandbox: Sandbox, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "mine.py").write_text("x = (\n", encoding="utf-8")
    words = ["grade", str(tmp_path / "mine.py"), "--single", "--out", str(tmp_path / "out")]
    assert cli.main(words) == 0
    first, second = capsys.readouterr().out.splitlines()[:2]
    assert "(line 1): SyntaxError" in first
    assert second == "one_hot: 0 of 1  one_hot is missing from the submission"


def test_missing_folder_of_submissions_is_named_before_a_sandbox_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.teaching.verbs.choose", lambda *a, **k: pytest.fail("made one"))
    with pytest.raises(UserError, match="is not there. Expected a folder of submissions"):
        grade("cbow", GradeOptions(submissions=str(tmp_path / "none"), out=str(tmp_path / "out")))


def test_page_of_a_file_that_cannot_be_read_does_not_say_all_right(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    broken = Submission("1", Path("1.ipynb"), "", Remark("not_notebook", {"name": "1.ipynb"}))
    page = tmp_path / "1.html"
    write_student_page(ASSIGNMENT, grade_one(ASSIGNMENT, broken, sandbox), page, "en")
    text = page.read_text(encoding="utf-8")
    assert "1.ipynb is not a notebook" in text
    assert "all right" not in text
    assert text.count("not graded") == len(ASSIGNMENT.points)


@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_student_is_told_what_the_visible_checks_say(
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    platform: str,
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    path = tmp_path / "mine.py"
    path.write_text(MUTANTS[0].code(SOLUTION), encoding="utf-8")
    assert cli.main(["check", str(path)]) == 1
    out = capsys.readouterr().out
    assert "one_hot: not zeros with a one at the index" in out
    assert "softmax  ok" in out
    path.write_text(SOLUTION, encoding="utf-8")
    assert cli.main(["check", str(path)]) == 0
    # What only grading looks at is not given away by the exit code.
    path.write_text(SOLUTION.replace("np.exp(x - np.max(x))", "np.exp(x)"), encoding="utf-8")
    assert cli.main(["check", str(path)]) == 0
    assert "overflow" not in capsys.readouterr().out
    assert cli.main(["check", str(tmp_path)]) == 2
    assert "is a folder" in capsys.readouterr().err


def test_solution_notebook_is_graded_without_a_problem(tmp_path: Path, sandbox: Sandbox) -> None:
    write_handout(ASSIGNMENT, tmp_path / "h", sample.write)
    path = tmp_path / "h" / "teacher" / "solution.zh.ipynb"
    result = grade_one(ASSIGNMENT, Submission("1", path, read_code(path)), sandbox)
    assert (result.total, result.notes) == (15, [])


def test_line_of_a_notebook_is_told_by_its_cell(tmp_path: Path) -> None:
    path = tmp_path / "1.ipynb"
    codes = ["import numpy as np", "x = 1\ndef empty():\n    # to do", "y = 2\nz = w", SOLUTION]
    cells = [{"cell_type": "code", "source": code} for code in codes]
    path.write_text(json.dumps({"cells": cells}), encoding="utf-8")
    result = grade_one(ASSIGNMENT, Submission("1", path, read_code(path)), None)
    assert result.total == 15
    block, name = (ASSIGNMENT.text(note, "en") for note in result.notes)
    assert "(code cell 2, line 3): IndentationError: expected an indented block" in block
    assert "definition on line 2" in block  # Python's own words
    assert name.startswith("code cell 3, line 2 failed")
    assert ASSIGNMENT.text(result.notes[1], "zh").startswith("加载文件时第 3 个代码单元第 2 行出错")


@pytest.mark.reliability
@pytest.mark.parametrize("tier", ["bubblewrap", "landlock", "user"])
def test_hostile_submissions_are_contained(tier: str) -> None:
    try:
        sandbox = choose(ASSIGNMENT.distributions, Limits(seconds=2), tiers=[tier])
    except UserError as error:
        pytest.skip(str(error))
    problems = {verdict.name: verdict.problem for verdict in grade_hostile(ASSIGNMENT, sandbox)}
    sandbox.close()
    assert len(problems) >= 25
    assert not {name: problem for name, problem in problems.items() if problem}


@pytest.mark.reliability
@pytest.mark.parametrize("seed", range(3))
def test_grading_that_is_killed_at_random_moments_resumes_to_the_same_table(
    tmp_path: Path, sandbox: Sandbox, seed: int
) -> None:
    work = tmp_path / "in"
    work.mkdir()
    for number, mutant in enumerate(MUTANTS[::9]):
        (work / f"{10_000 + number}.py").write_text(mutant.code(SOLUTION), encoding="utf-8")

    def start(out: Path) -> subprocess.Popen:
        code = "import sys; from cbow.cli import main; sys.exit(main())"
        words = ["grade", str(work), "--out", str(out), "--resume", "--seconds", "20", "--quiet"]
        return subprocess.Popen([sys.executable, "-c", code, *words], stdout=subprocess.DEVNULL)

    assert start(tmp_path / "whole").wait() == 0
    whole = (tmp_path / "whole" / "results.jsonl").stat().st_size
    random, out = np.random.default_rng(seed), tmp_path / "killed"
    for moment in np.sort(random.uniform(0, whole, 4)):
        process = start(out)
        while process.poll() is None:
            journal = out / "results.jsonl"
            if journal.is_file() and journal.stat().st_size >= moment:
                time.sleep(random.uniform(0, 0.3))
                break
            time.sleep(0.01)
        process.kill()
        process.wait()
    assert start(out).wait() == 0
    assert (out / "grades.csv").read_bytes() == (tmp_path / "whole" / "grades.csv").read_bytes()


def test_folder_with_a_grading_needs_resume(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").touch()
    options = GradeOptions(submissions=str(tmp_path / "in"), out=str(tmp_path / "out"))
    with pytest.raises(UserError, match="not empty"):
        grade("cbow", options)
    (tmp_path / "out" / "results.jsonl").touch()
    with pytest.raises(UserError, match="--resume"):
        grade("cbow", options)


@pytest.mark.reliability
def test_student_notebook_with_the_solution_runs_from_top_to_bottom(tmp_path: Path) -> None:
    pytest.importorskip("nbclient")
    assert "Recall rate" in run_solution_notebook(ASSIGNMENT, tmp_path, sample.write)
