"""The kit's test of itself on the machine it grades on: classic mistakes, accepted variants, hostile files.

`mutants.yaml` of an assignment lists edits of its solution: what is replaced by what, the points each TODO then loses,
and the remarks that must be made. A mutant that loses nothing is an accepted variant.
"""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from shared.teaching.assignment import Assignment, Score
from shared.teaching.grade import Result, grade_one
from shared.teaching.hostile import HARMLESS, attacks
from shared.teaching.sandbox import Sandbox
from shared.teaching.submissions import Submission

_NEAR = 0.25
"""A mistake may cost a quarter of a point more or less than is written."""


@dataclass(frozen=True)
class Mutant:
    """An edit of the solution, and what it must get.

    Parameters
    ----------
    name : str
    edits : tuple of (str, str)
        Text of the solution, which must be there exactly once, and what replaces it.
    lost : mapping
        Points by TODO.
    remarks : tuple of str
        Keys that must be among the remarks.
    """

    name: str
    edits: tuple[tuple[str, str], ...]
    lost: Mapping[str, float] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    def code(self, solution: str) -> str:
        """Return the edited solution.

        Raises
        ------
        ValueError
            A text to replace is not there exactly once.
        """
        for old, new in self.edits:
            if solution.count(old) != 1:
                raise ValueError(
                    f"{self.name}: {old!r} is in the solution {solution.count(old)} times, expected once"
                )
            solution = solution.replace(old, new)
        return solution

    def problems(self, scores: Mapping[str, Score], points: Mapping[str, float]) -> list[str]:
        """Return what is not as it must be.

        Parameters
        ----------
        scores : mapping
            What it got, by TODO.
        points : mapping
            Full points, by TODO.
        """
        problems = []
        for name, score in scores.items():
            expected = points[name] - self.lost.get(name, 0)
            if abs(score.points - expected) > _NEAR:
                problems.append(f"{name}: {score.points:g}, expected {expected:g}")
        has_lost = any(score.points < points[name] for name, score in scores.items())
        if self.lost and not has_lost:
            problems.append("full marks for a mistake")
        if not self.lost and has_lost:
            problems.append("a variant that is right lost points")
        keys = {remark.key for score in scores.values() for remark in score.remarks}
        missing = [key for key in self.remarks if key not in keys]
        if missing:
            problems.append(
                f"not said: {', '.join(missing)}; said: {', '.join(sorted(keys)) or 'nothing'}"
            )
        return problems


def load_mutants(assignment: Assignment) -> list[Mutant]:
    """Read the mutants and variants of an assignment."""
    entries = yaml.safe_load((assignment.folder / "mutants.yaml").read_text(encoding="utf-8"))
    return [
        Mutant(
            entry["name"],
            tuple((edit["replace"], edit["by"]) for edit in entry["edits"]),
            entry.get("lost", {}),
            tuple(entry.get("remarks", ())),
        )
        for entry in entries
    ]


@dataclass(frozen=True)
class Verdict:
    """What came of one case; `problem` is None where it was as it must be."""

    name: str
    total: float
    problem: str | None


def grade_mutants(
    assignment: Assignment, sandbox: Sandbox, *, seed: int = 0, jobs: int = 2
) -> list[Verdict]:
    """Grade the solution, the empty handout, every mutant and every variant."""
    solution = assignment.edition.source(with_solution=True)
    most = sum(
        assignment.points[name] for name in assignment.points if name not in assignment.by_hand
    )

    def grade(name: str, code: str) -> Result:
        return grade_one(assignment, Submission(name, Path(name), code), sandbox, seed=seed)

    def judge(mutant: Mutant) -> Verdict:
        result = grade(mutant.name, mutant.code(solution))
        problems = mutant.problems(result.scores, assignment.points)
        return Verdict(mutant.name, result.total, "; ".join(problems) or None)

    whole, empty = (
        grade("solution", solution),
        grade("empty", assignment.edition.source(with_solution=False)),
    )
    verdicts = [
        Verdict("the solution", whole.total, None if whole.total == most else f"expected {most:g}"),
        Verdict("the empty handout", empty.total, None if empty.total == 0 else "expected 0"),
    ]
    with ThreadPoolExecutor(jobs) as pool:
        return verdicts + list(pool.map(judge, load_mutants(assignment)))


def grade_hostile(
    assignment: Assignment, sandbox: Sandbox, *, names: Sequence[str] | None = None
) -> list[Verdict]:
    """Grade hostile files beside an honest one; the machine, and the honest one's points, must stay as they are."""
    solution = assignment.edition.source(with_solution=True)
    folder = Path(tempfile.mkdtemp(prefix="dltasks-canary-"))
    canary = folder / "canary"
    verdicts = []
    try:
        canary.write_text("sings")
        is_private = sandbox.tier == "user"  # files have nothing but their permissions there
        folder.chmod(0o711 if is_private else 0o777)
        canary.chmod(0o600 if is_private else 0o666)
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.setblocking(False)
            port = server.getsockname()[1]
            codes = attacks(assignment.edition, str(canary), os.getpid(), port)
            for name, code in codes.items():
                if names is not None and name not in names:
                    continue
                before = _processes(sandbox)
                with ThreadPoolExecutor(2) as pool:
                    attack = pool.submit(
                        grade_one, assignment, Submission("a", folder, solution + code), sandbox
                    )
                    honest = pool.submit(
                        grade_one, assignment, Submission("b", folder, solution), sandbox
                    )
                    result, other = attack.result(), honest.result()
                harm = _harm(assignment, sandbox, result, other, canary, server, before)
                if harm is None and name not in HARMLESS and result.total == other.total:
                    harm = "it was not run"
                verdicts.append(Verdict(name, result.total, harm))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return verdicts


def _harm(
    assignment: Assignment,
    sandbox: Sandbox,
    result: Result,
    other: Result,
    canary: Path,
    server: socket.socket,
    before: set[int],
) -> str | None:
    """Return what an attack did."""
    if not canary.is_file() or canary.read_text() != "sings":
        return "a file of the machine was changed"
    if any(
        "sings" in str(remark.values)
        for score in result.scores.values()
        for remark in score.remarks
    ):
        return "a file of the machine was read"
    try:
        server.accept()[0].close()
    except BlockingIOError:
        pass
    else:
        return "it reached the network"
    if other.total != sum(score for score in assignment.points.values()):
        return f"the honest submission beside it got {other.total:g}"
    for _ in range(50):  # a namespace's processes end a moment after their first one
        left = _processes(sandbox) - before
        if not left:
            return None
        time.sleep(0.1)
    return f"processes stayed behind: {sorted(left)}" if left else None


def _processes(sandbox: Sandbox) -> set[int]:
    """Return the processes of the user ids that a sandbox's workers have."""
    uids, numbers = sandbox.uids, set()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if entry.stat().st_uid in uids:
                numbers.add(int(entry.name))
        except OSError:
            continue
    return numbers
