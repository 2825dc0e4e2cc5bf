"""TensorBoard event files, written at once."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path


class Curves:
    """Scalars for TensorBoard.

    `torch.utils.tensorboard.SummaryWriter` writes from a thread: on a full disk that thread ends with a traceback of
    its own, and the error reaches training later, from a place that has nothing to do with it. Here the same records
    are written where they are added.

    Parameters
    ----------
    folder : Path
        One event file more is made in it.
    from_step : int
        TensorBoard leaves out what older files of the folder say of steps past it.

    Raises
    ------
    OSError
        Here and in `add`: the file cannot be written.
    """

    def __init__(self, folder: Path, from_step: int) -> None:
        # Wanted by training only, and slow to import.
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog
        from tensorboard.summary.writer.record_writer import RecordWriter

        self._event, self._records = Event, RecordWriter
        folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{time.time_ns()}.{socket.gethostname()}.{os.getpid()}"
        self._path = folder / name
        self._write(file_version="brain.Event:2")
        self._write(step=from_step + 1, session_log=SessionLog(status=SessionLog.START))

    def add(self, name: str, value: float, step: int) -> None:
        """Add one point to the curve `name`."""
        self._write(step=step, summary={"value": [{"tag": name, "simple_value": value}]})

    def _write(self, **fields: object) -> None:
        event = self._event(wall_time=time.time(), **fields)
        with self._path.open("ab") as file:
            self._records(file).write(event.SerializeToString())
