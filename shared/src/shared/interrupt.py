"""Ctrl-C, SIGTERM, SIGHUP and SIGUSR1 as a request that long work answers when it can: save, say how to resume, exit.

The first signal only sets a flag, so no write is torn by it. A second one of the same kind ends the process at once.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType


class Interrupted(Exception):
    """Work was stopped by a signal after saving.

    Parameters
    ----------
    signal_number : int
        The process exits with 128 plus this: 130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP.
    message : str
        One line: what was saved and how to resume.
    """

    def __init__(self, signal_number: int, message: str) -> None:
        super().__init__(message)
        self.signal_number = signal_number


class StopRequest:
    """Context in which signals that ask a process to end are remembered instead of acted on.

    They are SIGINT (Ctrl-C), SIGTERM, SIGHUP (the terminal or ssh connection is closed) and SIGUSR1 (Slurm, before the
    time is up). The last two are left alone where the process has its own way with them, as under nohup.

    Attributes
    ----------
    signal_number : int or None
        The signal that came first, or None.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM)
    IF_DEFAULT = tuple(
        getattr(signal, name) for name in ("SIGHUP", "SIGUSR1") if hasattr(signal, name)
    )

    def __init__(self) -> None:
        self.signal_number: int | None = None
        self._seen: set[int] = set()
        self._before: dict[int, object] = {}

    def __enter__(self) -> StopRequest:
        # Python delivers signals to the main thread only; elsewhere (a notebook's worker, a test) nothing is changed.
        if threading.current_thread() is threading.main_thread():
            default = [n for n in self.IF_DEFAULT if signal.getsignal(n) == signal.SIG_DFL]
            for number in (*self.SIGNALS, *default):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _note(self, number: int, frame: FrameType | None) -> None:
        # A supervisor's SIGTERM may follow Ctrl-C while what the latter asked for is being saved.
        if number in self._seen:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self._seen.add(number)
        self.signal_number = self.signal_number or number
