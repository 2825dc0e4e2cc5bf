"""How long a class takes to grade: made submissions of one task, graded by the task's own command.

    python tools/class_size.py cbow                  # 200 submissions, 2 at a time
    python tools/class_size.py esim --submissions 50 --jobs 4

The submissions are the known mistakes and accepted variants of the assignment in turn, no two files equal, and a few
hostile ones. Prints seconds, peak memory of the grader and its workers, the time of the similarity report alone, and
whether each submission got what it must. Run it with a Python that has the task's package; other programs on the
machine make the times worse.
"""

from __future__ import annotations

import argparse
import csv
import importlib
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from shared.teaching.assignment import Assignment
from shared.teaching.hostile import attacks
from shared.teaching.notebooks import NotebookCell, notebook
from shared.teaching.selftest import load_mutants
from shared.teaching.similarity import similar_pairs

HOSTILE = ("endless loop", "fork bomb", "1 GB of output", "segfault", "exits")
TASKS = ("cbow", "esim", "imdb_sentiment", "resnet_tiny", "word_lm")
NEAR = 0.25


def main(task: str, submissions: int, jobs: int, seed: int) -> int:
    """Make a class, grade it, print figures; return 1 if a submission got other points than it must."""
    assignment: Assignment = importlib.import_module(f"{task}.assignment.checks").ASSIGNMENT
    with tempfile.TemporaryDirectory(prefix="dltasks-class-") as folder:
        work, out = Path(folder, "submissions"), Path(folder, "grades")
        work.mkdir()
        expected, codes = make_class(assignment, work, submissions)
        command = [
            sys.executable,
            "-c",
            f"import sys; from {task}.cli import main; sys.exit(main())",
        ]
        command += ["grade", str(work), "--out", str(out), "--jobs", str(jobs), "--seed", str(seed)]
        began = time.monotonic()
        process = subprocess.Popen([*command, "--quiet"])
        memory = PeakMemory(process.pid)
        code = process.wait()
        seconds = time.monotonic() - began
        peak = memory.stop()
        if code:
            return code
        with (out / "grades.csv").open(encoding="utf-8", newline="") as file:
            scores = {row["student_id"]: float(row["score"]) for row in csv.DictReader(file)}
    wrong = {
        name: (scores.get(name), points)
        for name, points in expected.items()
        if points is not None and abs(scores.get(name, -1) - points) > NEAR
    }
    began = time.monotonic()
    similar_pairs(codes)
    alike = time.monotonic() - began
    pairs = len(codes) * (len(codes) - 1) // 2
    print(f"task                 {task}")
    print(f"submissions          {submissions}, of them {len(HOSTILE)} hostile")
    print(f"jobs                 {jobs} on {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print(f"seconds              {seconds:.0f} ({seconds / submissions:.2f} a submission)")
    print(f"peak memory          {peak / 2**20:.0f} MB, grader and workers together")
    print(f"similarity           {pairs} pairs in {alike:.1f} s")
    print(f"points as they must  {len(expected) - len(wrong)} of {len(expected)}")
    for name, (points, must) in wrong.items():
        print(f"  {name}: {points}, expected {must}")
    return int(bool(wrong))


def make_class(
    assignment: Assignment, folder: Path, count: int
) -> tuple[dict[str, float | None], dict[str, str]]:
    """Write submissions, half of them notebooks; return each one's points (None: hostile) and its code, by id."""
    solution = assignment.edition.source(with_solution=True)
    most = sum(assignment.points.values())
    mutants = load_mutants(assignment)
    bombs = attacks(assignment.edition, str(folder / "canary"), 1, 9)
    cases: list[tuple[str, float | None]] = [
        (mutant.code(solution), most - sum(mutant.lost.values()))
        for mutant in (mutants[i % len(mutants)] for i in range(count - len(HOSTILE)))
    ]
    step = max(1, count // len(HOSTILE))
    for number, name in enumerate(HOSTILE):
        cases.insert(number * step, (solution + bombs[name], None))
    expected, codes = {}, {}
    for number, (code, points) in enumerate(cases):
        student = str(10_000 + number)
        code += f"\n# {student}\n"
        if number % 2:
            (folder / f"{student}_name.py").write_text(code, encoding="utf-8")
        else:
            book = notebook([NotebookCell("code", code)])
            (folder / f"{student}_name.ipynb").write_text(book, encoding="utf-8")
        expected[student], codes[student] = points, code
    return expected, codes


class PeakMemory:
    """Follows the memory of a process and all that it started, shared pages counted once, until it is stopped."""

    def __init__(self, process: int) -> None:
        self.process = process
        self.peak = 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def stop(self) -> int:
        """Return the highest value, in bytes."""
        self._end.set()
        self._thread.join()
        return self.peak

    def _follow(self) -> None:
        while not self._end.wait(0.5):
            self.peak = max(self.peak, sum(map(proportional_size, descendants(self.process))))


def descendants(process: int) -> list[int]:
    """Return a process and all below it, as far as they can be seen."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(entry.name)] = int(
                (entry / "stat").read_text().rpartition(")")[2].split()[1]
            )
        except (OSError, ValueError):
            continue
    found = [process]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def proportional_size(process: int) -> int:
    """Return the bytes of memory of a process; a page of several processes counts in parts."""
    try:
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) << 10
    except OSError:
        pass
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])  # type: ignore[union-attr]
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("--submissions", type=int, default=200)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    sys.exit(main(options.task, options.submissions, options.jobs, options.seed))
