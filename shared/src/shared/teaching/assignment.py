"""An assignment as it is graded: checks, points, and remarks in the student's words.

    ASSIGNMENT = Assignment(
        task="cbow", folder=Path(__file__).parent, distributions=("numpy",),
        checks=(Check(("softmax",), check_softmax), ...), remarks=REMARKS,
    )

A check covers one TODO or several that only show together, and gives points for each. It talks to student code through
`student.Calls` and compares on this side, with inputs drawn anew for each seed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from shared.teaching.edition import Edition
from shared.teaching.student import CallFailed, Calls, Failure, LocalStudent, Student
from shared.teaching.versions import source_of

AnyStudent = Student | LocalStudent
Remarks = Mapping[str, Mapping[str, str]]

_DRAWS = 20
"""Draws of inputs, at most; the last one counts even where it does not tell all mistakes apart."""

must_tell_apart: ContextVar[bool] = ContextVar("must_tell_apart", default=False)
"""Whether `judge` raises `Indistinct`: at all draws of inputs but the last."""


class Indistinct(Exception):
    """Two ways to do a part give the same on the inputs drawn: a mistake could pass for another, or for none."""


@dataclass(frozen=True)
class Remark:
    """One thing to tell the student: the key of its text, and what fills the gaps in it."""

    key: str
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Score:
    """Points for one TODO, and why not more.

    Parameters
    ----------
    points : float
    remarks : list of Remark
    """

    points: float
    remarks: list[Remark] = field(default_factory=list)

    def lose(self, points: float, key: str, **values: Any) -> None:
        """Take points off, for a reason."""
        self.points = max(0.0, self.points - points)
        self.note(key, **values)

    def note(self, key: str, **values: Any) -> None:
        """Say something, once."""
        remark = Remark(key, {name: str(value) for name, value in values.items()})
        if remark not in self.remarks:
            self.remarks.append(remark)

    def fail(self, failure: Failure) -> None:
        """Give no points, and say which exception it was."""
        self.points = 0.0
        known = {
            "Timeout": "timeout",
            "Died": "died",
            "Unreadable": "unreadable",
            "WireError": "unreadable",
        }
        if failure.is_gap:
            self.note("gap")
        elif failure.error in known:
            self.note(known[failure.error], seconds=failure.text)
        elif failure.error in ("KeyError", "AttributeError", "NameError") and failure.line is None:
            # The name is the last thing quoted: 'f', name 'f' is not defined, 'A' object has no attribute 'f'.
            quoted = re.findall(r"'([^']+)'", failure.text)
            self.note("missing", name=quoted[-1] if quoted else failure.text)
        else:
            line = failure.line if failure.line is not None else "?"
            self.note("exception", error=failure.error, text=failure.text, line=line)


class CheckFunction(Protocol):
    """What grades: takes the student, a random generator and the points of each TODO; returns a score for each."""

    def __call__(
        self, student: AnyStudent, random: np.random.Generator, most: Mapping[str, float]
    ) -> Mapping[str, Score]:
        """Grade."""


@dataclass(frozen=True)
class Check:
    """A check of one TODO or several.

    Parameters
    ----------
    todos : tuple of str
    run : callable
        See `CheckFunction`.
    """

    todos: tuple[str, ...]
    run: CheckFunction


@dataclass(frozen=True)
class Assignment:
    """The assignment of one task.

    Parameters
    ----------
    task : str
    folder : Path
        With `edition.py`, `mutants.yaml` and the reports to write.
    distributions : tuple of str
        What student code may import.
    checks : tuple of Check
    remarks : mapping
        Text of each remark by language; those of `COMMON` are there already.
    helpers : str
        Code that checks call in the worker: models to train, for example. It comes after what the handout defines.
    by_hand : mapping
        Points of what a teacher grades, by name.
    hidden : frozenset of str
        Keys of remarks that a student's own `check` does not make.
    """

    task: str
    folder: Path
    distributions: tuple[str, ...]
    checks: tuple[Check, ...]
    remarks: Remarks
    helpers: str = ""
    by_hand: Mapping[str, float] = field(default_factory=dict)
    hidden: frozenset[str] = frozenset()

    @cached_property
    def edition(self) -> Edition:
        """The assignment's source."""
        return Edition.read(self.folder / "edition.py")

    @cached_property
    def points(self) -> dict[str, float]:
        """Points by TODO, in the order of the edition."""
        return {name: todo.points for name, todo in self.edition.todos().items()}

    @cached_property
    def given(self) -> str:
        """What the handout defines for students, and the helpers."""
        return f"{self.edition.definitions()}\n\n{self.helpers}"

    def version(self, check: Check) -> str:
        """Return a checksum of what decides the outcome of a check: its code, its points, what is given."""
        source = source_of(check.run)  # type: ignore[arg-type]
        most = [f"{name} {self.points[name]}" for name in check.todos]
        return hashlib.sha256("\0".join([source, *most, self.given]).encode()).hexdigest()[:16]

    def run(self, check: Check, student: AnyStudent, seed: int) -> dict[str, Score]:
        """Run one check; an exception of student code costs the TODOs of this check and nothing else.

        Parameters
        ----------
        check : Check
        student : Student or LocalStudent
        seed : int
            Inputs are drawn from it, and from the names of the TODOs.
        """
        most = {name: self.points[name] for name in check.todos}
        try:
            scores = self._on_telling_inputs(check, student, seed, most)
        except CallFailed as failed:
            scores = {name: Score(0.0) for name in check.todos}
            for score in scores.values():
                score.fail(failed.failure)
        except Exception as error:
            # A value that a check did not expect must not end the grading of a class; the teacher is told.
            scores = {name: Score(0.0) for name in check.todos}
            for score in scores.values():
                score.note("check_failed", error=type(error).__name__, text=error)
        for name, score in scores.items():
            # A quarter of a point is the smallest step.
            score.points = round(4 * min(max(score.points, 0.0), most[name])) / 4
        return dict(scores)

    def _on_telling_inputs(
        self, check: Check, student: AnyStudent, seed: int, most: Mapping[str, float]
    ) -> Mapping[str, Score]:
        """Run a check, with other inputs where two of the ways that it knows give the same."""
        key = [seed, *hashlib.sha256(check.todos[0].encode()).digest()[:4]]
        for draw in range(_DRAWS):
            token = must_tell_apart.set(draw < _DRAWS - 1)
            try:
                return check.run(student, np.random.default_rng([*key, draw]), most)
            except Indistinct:
                continue
            finally:
                must_tell_apart.reset(token)
        raise AssertionError("the last draw must not tell apart")

    def points_here(self, todo: str, names: dict[str, Any], seed: int = 0) -> float:
        """Return the points of one TODO for code that runs in this process: for graded cells of notebooks.

        Parameters
        ----------
        todo : str
        names : dict
            The notebook's `globals()`.
        seed : int
        """
        (check,) = [check for check in self.checks if todo in check.todos]
        exec(self.helpers, names)
        return self.run(check, LocalStudent(names), seed)[todo].points

    def text(self, remark: Remark, language: str) -> str:
        """Return a remark in words."""
        texts = self.remarks.get(remark.key) or COMMON[remark.key]
        values = dict(remark.values)
        if "line" in values:
            kind = next((kind for kind in ("cell", "file") if kind in values), "line")
            values["where"] = _WHERE[language][kind].format(**values)
        return texts[language].format(**values)


def call(
    student: AnyStudent, action: Callable[[Calls], Any], **stand_ins: Callable[..., Any]
) -> Any:
    """Run an action in a check of its own and return its value.

    Raises
    ------
    CallFailed
    """
    with student.check(stand_ins) as calls:
        return action(calls)


_WHERE = {
    "en": {
        "line": "line {line}",
        "cell": "code cell {cell}, line {line}",
        "file": "{file}, line {line}",
    },
    "zh": {
        "line": "第 {line} 行",
        "cell": "第 {cell} 个代码单元第 {line} 行",
        "file": "{file} 第 {line} 行",
    },
}
"""In a file, in a notebook, and in one file of several."""

COMMON: Remarks = {
    "gap": {"en": "not done yet", "zh": "尚未完成"},
    "timeout": {
        "en": "took longer than {seconds} s: an endless loop, or far too slow",
        "zh": "运行超过 {seconds} 秒：可能是死循环，或者太慢",
    },
    "died": {
        "en": "the process ended while this was running (too much memory, or it was ended on purpose)",
        "zh": "运行过程中进程退出（内存超限，或被主动结束）",
    },
    "unreadable": {
        "en": "returned something that cannot be read (too large, or nested too deeply)",
        "zh": "返回值无法读取（太大或嵌套过深）",
    },
    "missing": {"en": "{name} is missing from the submission", "zh": "提交中缺少 {name}"},
    "exception": {
        "en": "{error} in {where}: {text}",
        "zh": "{where}出现 {error}：{text}",
    },
    "syntax": {
        "en": "not valid Python, the parts before and after it were graded ({where}): {text}",
        "zh": "不是合法的 Python 代码，其余部分仍照常评分（{where}）：{text}",
    },
    "definition": {
        "en": "{where} failed while the file was loaded, {error}: {text}",
        "zh": "加载文件时{where}出错，{error}：{text}",
    },
    "lost": {
        "en": "the file could not be loaded ({text})",
        "zh": "无法加载文件（{text}）",
    },
    "check_failed": {
        "en": "could not be graded, please tell your teacher ({error}: {text})",
        "zh": "无法评分，请告知老师（{error}：{text}）",
    },
    "is_link": {"en": "cannot be read: it is a link", "zh": "无法读取：提交的是一个链接"},
    "too_large": {
        "en": "cannot be read: {name} is larger than {megabytes} MB",
        "zh": "无法读取：{name} 超过 {megabytes} MB",
    },
    "not_utf8": {
        "en": "cannot be read: {name} is not UTF-8 text",
        "zh": "无法读取：{name} 不是 UTF-8 编码的文本",
    },
    "not_notebook": {
        "en": "cannot be read: {name} is not a notebook",
        "zh": "无法读取：{name} 不是有效的 notebook",
    },
    "many_members": {
        "en": "cannot be read: the archive holds more than {most} files",
        "zh": "无法读取：压缩包内文件超过 {most} 个",
    },
    "bad_archive": {
        "en": "cannot be read: the archive is damaged, has a password or an unusual compression",
        "zh": "无法读取：压缩包已损坏、设有密码，或用了不常见的压缩方式",
    },
    "many_notebooks": {
        "en": "cannot be read: it holds {count} notebooks: {names}",
        "zh": "无法读取：其中有 {count} 个 notebook：{names}",
    },
    "no_code": {
        "en": "cannot be read: it holds no .ipynb and no .py file",
        "zh": "无法读取：其中没有 .ipynb 或 .py 文件",
    },
}
