"""`metrics.jsonl`: one JSON object a line, written as training goes."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from shared.errors import UserError
from shared.files import json_text, whole_file


class MetricsLog:
    """Append-only log of the figures of a run, by step.

    Every record has a `step`. After a resume, records past the checkpoint's step are dropped, so that the log of a run
    that was killed reads like that of one that was not.

    Parameters
    ----------
    path : Path
        The file; made at the first record.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, step: int, **values: Any) -> None:
        """Append one record; a NaN or infinite number is written as null."""
        record = {"step": step} | {name: _finite(value) for name, value in values.items()}
        with self.path.open("a", encoding="utf-8", newline="\n") as file:
            file.write(json_text(record) + "\n")

    def records(self) -> list[dict[str, Any]]:
        """Read all records; a last line torn by a kill is left out.

        Raises
        ------
        UserError
            A line before the last is not JSON.
        """
        if not self.path.exists():
            return []
        lines = self.path.read_bytes().splitlines()
        records = []
        for number, line in enumerate(lines, start=1):
            try:
                record = json.loads(line)
                is_record = isinstance(record["step"], int)
            except (ValueError, KeyError, TypeError, RecursionError):
                is_record = False
            if is_record:
                records.append(record)
            elif number < len(lines):
                raise UserError(
                    f"{self.path}:{number}: is not a record. Expected a JSON object with a step. Remove the line."
                )
        return records

    def keep_until(self, step: int) -> None:
        """Drop the records past `step`."""
        self.keep(lambda record: record["step"] <= step)

    def keep(self, is_kept: Callable[[dict[str, Any]], bool]) -> None:
        """Drop the records for which a function returns False."""
        kept = [record for record in self.records() if is_kept(record)]
        with whole_file(self.path) as file:
            file.writelines(json_text(record) + "\n" for record in kept)


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
