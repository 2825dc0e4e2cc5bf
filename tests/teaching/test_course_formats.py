"""nbgrader and otter-grader, run for real on the handout, give the scores that our own grading gives."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

MISTAKE = ("np.mean(self.U[context], axis=0)", "np.sum(self.U[context], axis=0)")
EXPECTED = 13.5
FOLDER = Path(sys.executable).parent


def needs(module: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(
        importlib.util.find_spec(module) is None,
        reason=f"{module} is not installed (tox -e teaching)",
    )


def run(*words: object, folder: Path) -> str:
    environment = {**os.environ, "PATH": f"{FOLDER}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        [str(word) for word in words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def handout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("handout")
    run(FOLDER / "cbow", "handout", "--out", folder / "h", folder=folder)
    return folder / "h"


def cells_with(path: Path) -> list[str]:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def solve(book: Path, solved: list[str], *, mistake: bool, noise: str) -> None:
    """Fill in the gaps of a notebook as a student would."""
    content = json.loads(book.read_text(encoding="utf-8"))
    for cell in content["cells"]:
        for start in ("def one_hot", "class CBOW"):
            if cell["cell_type"] == "code" and start in "".join(cell["source"]):
                source = next(code for code in solved if start in code)
                assert MISTAKE[0] in source or start != "class CBOW"
                cell["source"] = noise + (source.replace(*MISTAKE) if mistake else source)
    book.write_text(json.dumps(content), encoding="utf-8")


NOISE = "import warnings\nfrom tqdm.auto import tqdm\nwarnings.warn('noise')\nfor _ in tqdm(range(3)):\n    pass\n"


@needs("nbgrader")
def test_nbgrader_gives_the_same_points(handout: Path, tmp_path: Path) -> None:
    (tmp_path / "nbgrader_config.py").write_text(
        "get_config().CourseDirectory.course_id = 'cbow'\n"
    )
    shutil.copytree(handout / "teacher" / "nbgrader" / "source", tmp_path / "source")
    (tmp_path / "source" / "cbow" / "cbow.zh.ipynb").unlink()
    shutil.copytree(handout / "student" / "data", tmp_path / "source" / "cbow" / "data")
    run(FOLDER / "nbgrader", "generate_assignment", "cbow", folder=tmp_path)
    released = tmp_path / "release" / "cbow"
    text = (released / "cbow.en.ipynb").read_text(encoding="utf-8")
    assert "HIDDEN" not in text
    assert "points_here" not in text
    solved = cells_with(handout / "teacher" / "solution.en.ipynb")
    for student, mistake in (("empty", None), ("wrong", True), ("right", False)):
        folder = tmp_path / "submitted" / student / "cbow"
        shutil.copytree(released, folder)
        if mistake is not None:
            solve(folder / "cbow.en.ipynb", solved, mistake=mistake, noise=NOISE)
    run(FOLDER / "nbgrader", "autograde", "cbow", "--create", folder=tmp_path)
    run(FOLDER / "nbgrader", "export", folder=tmp_path)
    rows = csv.DictReader((tmp_path / "grades.csv").read_text().splitlines())
    assert {row["student_id"]: float(row["score"]) for row in rows} == {
        "empty": 0,
        "wrong": EXPECTED,
        "right": 15,
    }


@needs("otter")
def test_otter_gives_the_same_points(handout: Path, tmp_path: Path) -> None:
    shutil.copy(handout / "teacher" / "otter" / "cbow.en.ipynb", tmp_path)
    shutil.copytree(handout / "student" / "data", tmp_path / "data")
    run(
        FOLDER / "otter", "assign", "cbow.en.ipynb", "dist", folder=tmp_path
    )  # checks that the solution passes
    book = tmp_path / "dist" / "student" / "cbow.en.ipynb"
    assert MISTAKE[0] not in book.read_text(encoding="utf-8")
    solve(book, cells_with(handout / "teacher" / "solution.en.ipynb"), mistake=True, noise=NOISE)
    (archive,) = (tmp_path / "dist" / "autograder").glob("*.zip")
    (tmp_path / "out").mkdir()
    run(FOLDER / "otter", "run", "-a", archive, book, "-o", tmp_path / "out", folder=tmp_path)
    tests = json.loads((tmp_path / "out" / "results.json").read_text())["tests"]
    graded = [test for test in tests if test.get("max_score")]
    assert sum(test["max_score"] for test in graded) == 15
    assert sum(test["score"] for test in graded) == EXPECTED
