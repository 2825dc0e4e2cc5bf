"""The process that runs student code. It holds neither tests nor expected values.

Started by `sandbox.py` inside the sandbox as `python worker.py JSON-settings`, with the grader at both ends of its
standard streams. It loads the student's file, then forks for each check: the fork does what the grader asks (call a
function, make an object, read an attribute) and answers with plain values. Uses the standard library, numpy and the
files beside it.

Whatever student code does to this process harms its own score alone: the grader starts another one.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import resource
import signal
import sys
import types
from typing import TYPE_CHECKING, Any

# Python runs without its site packages here: what may be imported is named by the grader.
sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)), *json.loads(sys.argv[1])["path"]]

if TYPE_CHECKING:
    from shared.teaching import landlock, loading, seccomp, wire
else:
    import landlock
    import loading
    import seccomp
    import wire


class Session:
    """One check: objects by number, and what the grader may ask of them."""

    def __init__(self, namespace: dict[str, Any], source: int, sink: int) -> None:
        self.namespace = namespace
        self.source, self.sink = source, sink
        self.objects: list[Any] = []

    def serve(self) -> None:
        """Answer requests until the grader says `end`."""
        while True:
            request = wire.receive(self.source)
            if request["do"] == "end":
                return
            self.reply(request)

    def reply(self, request: dict[str, Any]) -> None:
        """Answer one request by a value or by the exception it ended in."""
        try:
            answer = getattr(self, f"do_{request['do']}")(request)
            frame = wire.encode({"value": answer}, self.keep)
        except (Exception, SystemExit) as error:
            frame = wire.encode(loading.problem(error), self.keep)
        wire.send(self.sink, frame)

    def do_call(self, request: dict[str, Any]) -> Any:
        """Call a function of the student's file, or a method of an object."""
        owner, name = request["of"], request["name"]
        function = self.namespace[name] if owner is None else getattr(self.objects[owner], name)
        arguments = [self.real(value) for value in request["arguments"]]
        options = {key: self.real(value) for key, value in request["options"].items()}
        value = function(*arguments, **options)
        if request["keep"]:
            return wire.Handle(self.keep(value))
        if request["echo"]:
            return {"value": value, "arguments": arguments}
        return value

    def do_items(self, request: dict[str, Any]) -> Any:
        """Iterate over an object, up to a number of items."""
        items = []
        for item in self.objects[request["of"]]:
            items.append(item)
            if len(items) >= request["most"]:
                break
        return items

    def do_get(self, request: dict[str, Any]) -> Any:
        """Read an attribute of an object, or a name of the file."""
        owner, name = request["of"], request["name"]
        return self.namespace[name] if owner is None else getattr(self.objects[owner], name)

    def do_set(self, request: dict[str, Any]) -> None:
        """Set an attribute of an object, or a name of the file."""
        owner, name, value = request["of"], request["name"], self.real(request["value"])
        if owner is None:
            self.namespace[name] = value
        else:
            setattr(self.objects[owner], name, value)

    def do_stand_in(self, request: dict[str, Any]) -> None:
        """Let the grader's own function take the place of one that is not under test."""
        self.namespace[request["name"]] = self.stand_in(request["name"])

    def stand_in(self, name: str) -> Any:
        """Return a function that asks the grader for its value."""

        def function(*arguments: Any, **options: Any) -> Any:
            question = {"ask": name, "arguments": list(arguments), "options": options}
            wire.send(self.sink, wire.encode(question, self.keep))
            return self.real(wire.receive(self.source)["value"])

        function.__name__ = name
        return function

    def keep(self, value: Any) -> int:
        """Keep an object and return its number."""
        self.objects.append(value)
        return len(self.objects) - 1

    def real(self, value: Any) -> Any:
        """Turn what the grader sent into what student code expects."""
        if isinstance(value, wire.Handle):
            return self.objects[value]
        if isinstance(value, wire.Tensor):
            return sys.modules["torch"].from_numpy(
                value.array
            )  # imported before the submission was
        if type(value) in (list, tuple):
            return type(value)(self.real(item) for item in value)
        if type(value) is dict:
            return {key: self.real(item) for key, item in value.items()}
        return value


class LightDynamo(types.ModuleType):
    """Takes the place of `torch._dynamo` until something other than an optimizer asks for it.

    Every optimizer asks it whether code is being compiled. Importing it takes longer than importing torch, and each
    check that trains would pay for that again.
    """

    def __init__(self) -> None:
        super().__init__("torch._dynamo")

    @staticmethod
    def disable(function: Any, *arguments: Any, **options: Any) -> Any:
        """Return the function: nothing is compiled."""
        return function

    @staticmethod
    def graph_break(*arguments: Any, **options: Any) -> None:
        """Do nothing: nothing is compiled."""

    def __getattr__(self, name: str) -> Any:
        """Put the real module in place; importing one of its parts asks for `__path__`."""
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)


_PARENT_DEATH_SIGNAL = 1
_MOST_FILES = 1024
"""Files, pipes and pairs of sockets that a process holds open at a time: no limit counts their buffers."""


def limit(settings: dict[str, Any]) -> None:
    """Give up what the sandbox did not take away: privileges, memory, processes, files."""
    memory, processes = settings["memory"], settings["processes"]
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_FSIZE, (settings["file_size"],) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    files = min(_MOST_FILES, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    if settings["uid"] is not None:
        os.setgroups([])
        os.setgid(settings["uid"])
        os.setuid(settings["uid"])
    resource.setrlimit(resource.RLIMIT_NPROC, (processes, processes))


def end_with_parent() -> None:
    """Be killed when the process that started this one ends: a grader that was killed leaves no loop behind."""
    ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)


def main() -> None:
    """Load, then fork for each check until the grader closes the pipe."""
    settings = json.loads(sys.argv[1])
    source, sink = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    if settings["landlock"]:
        landlock.restrict(settings["readable"], settings["writable"])
    limit(settings)
    if settings["seccomp"]:
        seccomp.forbid(settings["seccomp"])
    end_with_parent()
    os.chdir(settings["folder"])
    for name in settings["imports"]:
        __import__(name)
    if "torch" in settings["imports"] and "torch._dynamo" not in sys.modules:
        light = sys.modules["torch._dynamo"] = LightDynamo()
        sys.modules["torch"]._dynamo = light  # type: ignore[attr-defined]
    request = wire.receive(source)
    namespace, problems = loading.load(request["given"], request["code"])
    short = [{**problem, "text": problem["text"][: wire.MOST_TEXT]} for problem in problems]
    wire.send(sink, wire.encode({"loaded": short}))
    while True:
        try:
            request = wire.receive(source)
        except wire.Closed:
            return
        process = os.fork()
        if process == 0:
            code = 1
            try:
                end_with_parent()
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                Session(namespace, source, sink).serve()
                code = 0
            finally:
                os._exit(code)
        _, status = os.waitpid(process, 0)
        wire.send(sink, wire.encode({"ended": os.waitstatus_to_exitcode(status)}))


if __name__ == "__main__":
    main()
