"""A submission as checks see it: functions to call, objects to make, and answers that are plain values.

    with Student.of_code(sandbox, given, code) as student:
        with student.check(stand_ins={"softmax": reference.softmax}) as calls:
            answer = calls.call("softmax", scores)

`Student` runs the code in a worker of the sandbox. `LocalStudent` has the same face for code that runs in this process:
a student's own `check`, and formats whose tests share a kernel with the student.
"""

from __future__ import annotations

import contextlib
import copy
import io
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import numpy as np

from shared.teaching import loading, wire
from shared.teaching.sandbox import Process, Sandbox

StandIns = Mapping[str, Callable[..., Any]]
_START = 60.0
"""Seconds in which a file must be loaded; importing torch is most of it."""
_LONGEST = 4
"""Limits of one answer that a call may take in all, with the stand-ins that it calls."""
_MOST_PROBLEMS = 100
"""Lines of a file that are told to have failed while it was loaded."""
_LARGEST = 1 << 13
"""What a stand-in is called with at most: a whole number, and numbers in an array."""


@dataclass(frozen=True)
class Failure:
    """A call that gave no value.

    Parameters
    ----------
    error : str
        Class of the exception; `Timeout`, `Died` and `Unreadable` are ours.
    text : str
    line : int or None
        In the student's file.
    """

    error: str
    text: str = ""
    line: int | None = None

    @property
    def is_gap(self) -> bool:
        """Whether the TODO was not done."""
        return self.error == "NotImplementedError" and self.text.startswith("TODO")


class CallFailed(Exception):
    """A call gave no value; `failure` says why."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(f"{failure.error}: {failure.text}")
        self.failure = failure


@dataclass(frozen=True)
class Answer:
    """What a call returned.

    Parameters
    ----------
    value : Any
        Plain; a `wire.Handle` where it is an object of another class.
    arguments : list
        The arguments as they are after the call.
    """

    value: Any
    arguments: list[Any] = field(default_factory=list)


class Calls:
    """What a check may do with student code; the two ways to run it fill in `request`."""

    def request(self, **what: Any) -> Any:
        """Have one thing done."""
        raise TypeError("a subclass says how")

    def call(self, name: str, *arguments: Any, of: int | None = None, **options: Any) -> Answer:
        """Call a function, or a method of an object.

        Raises
        ------
        CallFailed
        """
        reply = self.request(
            do="call",
            of=of,
            name=name,
            arguments=list(arguments),
            options=options,
            keep=False,
            echo=True,
        )
        return Answer(reply["value"], reply["arguments"])

    def value(self, name: str, *arguments: Any, of: int | None = None, **options: Any) -> Any:
        """Return what a call returned."""
        return self.call(name, *arguments, of=of, **options).value

    def make(self, name: str, *arguments: Any, **options: Any) -> wire.Handle:
        """Make an object and return its handle."""
        return self.request(
            do="call",
            of=None,
            name=name,
            arguments=list(arguments),
            options=options,
            keep=True,
            echo=False,
        )

    def items(self, of: int, most: int = 10_000) -> list[Any]:
        """Return what iterating over an object gives."""
        return self.request(do="items", of=of, most=most)

    def get(self, name: str, of: int | None = None) -> Any:
        """Read an attribute."""
        return self.request(do="get", of=of, name=name)

    def set(self, name: str, value: Any, of: int | None = None) -> None:
        """Set an attribute."""
        self.request(do="set", of=of, name=name, value=value)


class Student:
    """A submission in a worker.

    Parameters
    ----------
    sandbox : Sandbox
    given : str
        What the handout defines.
    code : str
        The submission.
    """

    def __init__(self, sandbox: Sandbox, given: str, code: str) -> None:
        self.sandbox = sandbox
        self.given, self.code = given, code
        self.problems: list[Failure] = []
        self.lost: str | None = None
        """Why no worker could be started for it."""
        self._process: Process | None = None

    @classmethod
    @contextlib.contextmanager
    def of_code(cls, sandbox: Sandbox, given: str, code: str) -> Iterator[Student]:
        """Start a worker and load a submission into it."""
        student = cls(sandbox, given, code)
        try:
            student._start()
            yield student
        finally:
            student._stop()

    @contextlib.contextmanager
    def check(self, stand_ins: StandIns | None = None) -> Iterator[Calls]:
        """Fork the worker for one check; whatever the check does to the code is gone afterwards.

        Parameters
        ----------
        stand_ins : mapping, optional
            Functions that take the place of the student's of the same name. They are called in this process.

        Raises
        ------
        CallFailed
            From inside, where a call gives no value.
        """
        if self._process is None:
            self._start()
        if self._process is None:
            raise CallFailed(Failure("Died", self.lost or ""))
        calls = _RemoteCalls(self._process, dict(stand_ins or {}), self.sandbox.limits.seconds)
        is_alive = False
        try:
            self._guard(lambda process: process.send({"do": "fork"}))
            for name in stand_ins or ():
                calls.request(do="stand_in", name=name)
            yield calls
            is_alive = not calls.is_broken
        except CallFailed:
            is_alive = not calls.is_broken
            raise
        finally:
            if is_alive:
                is_alive = self._end()
            if not is_alive:
                self._stop()

    def _guard(self, action: Callable[[Process], Any]) -> Any:
        assert self._process is not None
        try:
            return action(self._process)
        except (wire.Closed, wire.WireError, wire.Silence, OSError) as error:
            raise CallFailed(Failure("Died", type(error).__name__)) from None

    def _end(self) -> bool:
        try:
            self._guard(lambda process: process.send({"do": "end"}))
            reply = self._guard(lambda process: process.receive(self.sandbox.limits.seconds))
        except CallFailed:
            return False
        return isinstance(reply, dict) and "ended" in reply

    def _start(self) -> None:
        self._process = self.sandbox.start()
        try:
            self._process.send({"given": self.given, "code": self.code}, _START)
            reply = self._process.receive(_START)
            self.problems = [_failure(entry) for entry in reply["loaded"][:_MOST_PROBLEMS]]
        except (
            wire.Closed,
            wire.WireError,
            wire.Silence,
            OSError,
            LookupError,
            TypeError,
        ) as error:
            self.lost = f"{type(error).__name__} while the file was loaded"
            self._stop()

    def _stop(self) -> None:
        if self._process is not None:
            self._process.stop()
            self._process = None


class _RemoteCalls(Calls):
    """Calls over the pipe to a fork."""

    def __init__(self, process: Process, stand_ins: dict[str, Any], seconds: float) -> None:
        self.process = process
        self.stand_ins = stand_ins
        self.seconds = seconds
        self.is_broken = False

    def request(self, **what: Any) -> Any:
        # Code that calls stand-ins without end is never silent for long: the call as a whole has a limit too.
        end = time.monotonic() + _LONGEST * self.seconds
        try:
            self.process.send(what)
            while True:
                reply = self.process.receive(min(self.seconds, end - time.monotonic()))
                if isinstance(reply, dict) and reply.keys() == {"ask", "arguments", "options"}:
                    self.process.send({"value": self._stand_in(reply)})
                    continue
                break
        except wire.Silence:
            self.is_broken = True
            raise CallFailed(Failure("Timeout", f"{self.seconds:g}")) from None
        except (wire.Closed, OSError):
            self.is_broken = True
            raise CallFailed(Failure("Died")) from None
        except wire.WireError as error:
            self.is_broken = True
            raise CallFailed(Failure("Unreadable", str(error))) from None
        if isinstance(reply, dict) and "error" in reply:
            raise CallFailed(_failure(reply))
        if not isinstance(reply, dict) or reply.keys() != {"value"}:
            self.is_broken = True
            raise CallFailed(Failure("Died", "the process ended"))
        return reply["value"]

    def _stand_in(self, question: dict[str, Any]) -> Any:
        """Answer for a function that is not under test; nonsense asked gets None."""
        try:
            function = self.stand_ins[question["ask"]]
            arguments, options = question["arguments"], question["options"]
            if _is_large([*arguments, *options.values()]):
                return None  # it may be a size, whose memory would be this process's
            return function(*arguments, **options)
        except Exception:
            return None


def _is_large(value: Any) -> bool:
    """Whether a plain value holds a whole number or an array above `_LARGEST`."""
    if isinstance(value, wire.Tensor):
        value = value.array
    if isinstance(value, np.ndarray):
        return value.size > _LARGEST or (value.dtype.kind in "iu" and _is_large(value.tolist()))
    if isinstance(value, (list, tuple)):
        return any(map(_is_large, value))
    return type(value) is int and value > _LARGEST


class LocalStudent:
    """Code that runs in this process: the same face as `Student`, without any protection.

    Parameters
    ----------
    namespace : dict
        The student's names.
    """

    def __init__(self, namespace: dict[str, Any]) -> None:
        self.namespace = namespace
        self.problems: list[Failure] = []
        self.lost: str | None = None

    @classmethod
    @contextlib.contextmanager
    def of_code(cls, given: str, code: str) -> Iterator[LocalStudent]:
        """Load a submission's definitions after those of the handout."""
        namespace, problems = loading.load(given, code)
        student = cls(namespace)
        student.problems = [_failure(entry) for entry in problems]
        yield student

    @contextlib.contextmanager
    def check(self, stand_ins: StandIns | None = None) -> Iterator[Calls]:
        """Put the stand-ins in place for one check, and the student's own functions back after it."""
        own = {name: self.namespace[name] for name in stand_ins or () if name in self.namespace}
        self.namespace.update(
            {name: _local(function) for name, function in (stand_ins or {}).items()}
        )
        try:
            # Bars and warnings of student code are noise here; in a graded cell they would cost points.
            with (
                contextlib.redirect_stdout(io.StringIO()),
                contextlib.redirect_stderr(io.StringIO()),
                warnings.catch_warnings(),
            ):
                warnings.simplefilter("ignore")
                yield _LocalCalls(self.namespace)
        finally:
            for name in stand_ins or ():
                del self.namespace[name]
            self.namespace.update(own)


class _LocalCalls(Calls):
    def __init__(self, namespace: dict[str, Any]) -> None:
        self.namespace = namespace
        self.objects: list[Any] = []

    def request(self, **what: Any) -> Any:
        try:
            return getattr(self, f"_{what['do']}")(what)
        except (Exception, SystemExit) as error:
            last = traceback.extract_tb(error.__traceback__)[-1]
            line = None if last.filename == __file__ else last.lineno
            raise CallFailed(Failure(type(error).__name__, str(error), line)) from None

    def _call(self, what: dict[str, Any]) -> Any:
        owner, name = what["of"], what["name"]
        function = self.namespace[name] if owner is None else getattr(self.objects[owner], name)
        arguments = [_real(value, self.objects) for value in copy.deepcopy(what["arguments"])]
        options = {key: _real(value, self.objects) for key, value in what["options"].items()}
        value = function(*arguments, **options)
        if what["keep"]:
            self.objects.append(value)
            return wire.Handle(len(self.objects) - 1)
        return {"value": _plain(value), "arguments": arguments}

    def _items(self, what: dict[str, Any]) -> Any:
        return [
            _plain(item)
            for _, item in zip(range(what["most"]), self.objects[what["of"]], strict=False)
        ]

    def _get(self, what: dict[str, Any]) -> Any:
        owner = what["of"]
        return _plain(
            self.namespace[what["name"]]
            if owner is None
            else getattr(self.objects[owner], what["name"])
        )

    def _set(self, what: dict[str, Any]) -> None:
        if what["of"] is None:
            self.namespace[what["name"]] = copy.deepcopy(what["value"])
        else:
            setattr(self.objects[what["of"]], what["name"], copy.deepcopy(what["value"]))


def _real(value: Any, objects: list[Any]) -> Any:
    """Turn a plain value into what student code expects."""
    if isinstance(value, wire.Handle):
        return objects[value]
    if isinstance(value, wire.Tensor):
        return import_module("torch").from_numpy(value.array)
    if type(value) in (list, tuple):
        return type(value)(_real(item, objects) for item in value)
    if type(value) is dict:
        return {key: _real(item, objects) for key, item in value.items()}
    return value


def _local(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a stand-in's value the form that student code expects."""
    return lambda *arguments, **options: _real(function(*arguments, **options), [])


def _plain(value: Any) -> Any:
    """Give a value the form it would have had over the pipe."""
    if isinstance(value, np.generic):
        return value.item()
    return value.copy() if isinstance(value, np.ndarray) else value


def _failure(entry: Any) -> Failure:
    if not isinstance(entry, dict):
        return Failure("Unreadable")
    line = entry.get("line")
    return Failure(
        str(entry.get("error"))[:100],
        str(entry.get("text"))[: wire.MOST_TEXT],
        line if type(line) is int else None,
    )
