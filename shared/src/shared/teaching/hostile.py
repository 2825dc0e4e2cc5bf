"""Submissions that attack the machine that grades them. None may touch it, another's score, or a hidden value.

`{canary}` stands for a file of the machine outside the sandbox, `{pid}` for the grader's process, `{port}` for a server
on this machine.
"""

from __future__ import annotations

from shared.teaching.edition import Edition

_ATTACKING_FUNCTIONS = 2
"""Functions of the assignment that attack when they are called; the others are the solution's."""
_ATTACK = """
def attack():
{body}
"""
_CALLS_ATTACK = """
def {name}(*arguments, **options):
    attack()
    raise RuntimeError("after the attack")
"""

_BODIES = {
    "removes the submissions": """
    import os, shutil
    shutil.rmtree(os.path.dirname({canary!r}), ignore_errors=True)
""",
    "overwrites a file": """
    open({canary!r}, 'w').write('gone')
""",
    "reads a file": """
    raise ValueError(open({canary!r}).read())
""",
    "fork bomb": """
    import os
    while True:
        try:
            os.fork()
        except OSError:
            pass
""",
    "network": """
    import socket
    s = socket.create_connection(('127.0.0.1', {port}), 2)
    s.sendall(b'out')
""",
    "10 GB of memory": """
    x = []
    while True:
        x.append(bytearray(100 << 20))
""",
    "1 GB of output": """
    import sys
    for _ in range(1024):
        sys.stdout.write('x' * (1 << 20))
""",
    "raw output": """
    import os
    for fd in range(3, 32):
        try:
            os.write(fd, b'x' * 4096)
        except OSError:
            pass
""",
    "100 MB file": """
    with open('large', 'wb') as f:
        for _ in range(100):
            f.write(b'x' * (1 << 20))
""",
    "segfault": """
    import ctypes
    ctypes.string_at(0)
""",
    "exits": """
    import os
    os._exit(0)
""",
    "sys.exit": """
    import sys
    sys.exit(0)
""",
    "endless loop": """
    while True:
        pass
""",
    "endless loop that catches all": """
    while True:
        try:
            while True:
                pass
        except BaseException:
            pass
""",
    "ignores signals": """
    import signal, time
    for n in range(1, 64):
        try:
            signal.signal(n, signal.SIG_IGN)
        except (OSError, ValueError):
            pass
    time.sleep(1000)
""",
    "kills all processes": """
    import os, signal
    os.kill(-1, signal.SIGKILL)
""",
    "kills the grader": """
    import os, signal
    os.kill({pid}, signal.SIGKILL)
""",
    "stays behind": """
    import os, time
    if os.fork() == 0:
        os.setsid()
        time.sleep(1000)
""",
    "folders in each other": """
    import os
    for _ in range(1100):
        os.mkdir('d')
        os.chdir('d')
""",
    "deep recursion": """
    import sys
    sys.setrecursionlimit(10 ** 9)
    attack()
""",
}


_FAKE = """
import numpy as np
class Fake(np.ndarray):
    def __eq__(self, other): return True
    def __array_function__(self, *arguments, **options): return True
    def __array_ufunc__(self, *arguments, **options): return True
"""
_RETURNS_FAKE = """
def {name}(*arguments, **options):
    return np.zeros(3).view(Fake)
"""
_RETURNS_NESTED = """
def {name}(*arguments, **options):
    y = []
    for _ in range(100000):
        y = [y]
    return y
"""
_FORGED = """
class Forged:
    import os, struct
    text = b'{"array": ["int8", [1]]}'
    for fd in range(3, 32):
        try:
            os.write(fd, struct.pack('>II', len(text), 1) + text + b'x')
        except OSError:
            pass
"""
HARMLESS = ("attack while loading", "attack in an assignment", "not Python", "null bytes")
"""Attacks that leave the solution's functions as they are; all others must cost points."""


def attacks(edition: Edition, canary: str, pid: int, port: int) -> dict[str, str]:
    """Return hostile code by name, to be added to the solution: the assignment's first functions attack."""
    functions = edition.names_to_write()[:_ATTACKING_FUNCTIONS]

    def everywhere(template: str) -> str:
        return "".join(template.format(name=name) for name in functions)

    codes = {
        name: _ATTACK.format(body=body.format(canary=canary, pid=pid, port=port))
        + everywhere(_CALLS_ATTACK)
        for name, body in _BODIES.items()
    }
    codes["attack while loading"] = (
        f"import os\ntry:\n    os.remove({canary!r})\nexcept OSError:\n    pass\n"
    )
    codes["attack in an assignment"] = f"x = __import__('os').system('rm -f {canary}')\n"
    codes["forged frame while loading"] = _FORGED
    codes["fake array"] = _FAKE + everywhere(_RETURNS_FAKE)
    codes["deeply nested value"] = everywhere(_RETURNS_NESTED)
    codes["not Python"] = "this is ( not Python\n"
    codes["null bytes"] = "x = 1\0\n"
    return codes
