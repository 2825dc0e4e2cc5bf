"""What of a run must not depend on whether it was disturbed, and where two runs differ in it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

CLOCK = {
    "data_fraction", "evaluation_seconds", "per_second", "samples_per_second", "seconds", "seconds_with_test",
    "step_seconds",
}  # fmt: skip
"""Figures that the clock decides."""


def differences(
    whole: Path, run: Path, tolerance: float = 0.0, *, with_log: bool = True
) -> list[str]:
    """Name what differs between two finished runs: parameters, states, figures, settings, log.

    What the second has and the first has not (a log of the resumes, say) is no difference.

    Parameters
    ----------
    whole, run : Path
    tolerance : float
        Of a number, relative.
    with_log : bool
        False leaves out the log of figures.
    """
    one, two = dict(_content(whole, with_log)), dict(_content(run, with_log))
    names = (path.name for path in whole.iterdir())
    found = [f"{name}: is missing" for name in names if not (run / name).exists()]
    found += [f"{name}: in one only" for name in sorted(one.keys() ^ two.keys())]
    for name in one.keys() & two.keys():
        a, b = one[name], two[name]
        if isinstance(a, float) and isinstance(b, float) and math.isclose(a, b, rel_tol=tolerance):
            continue
        if type(a) is not type(b) or a != b:
            found.append(f"{name}: {a!r:.60} and {b!r:.60}")
    return found if len(found) <= 4 else [*found[:3], f"and {len(found) - 3} more differences"]


def checkpoints(run: Path) -> list[Path]:
    """Return the folders of a run's checkpoints, oldest first, without those whose manifest cannot be read."""
    steps = {}
    for path in (run / "checkpoints").glob("[!.]*"):
        with suppress(OSError, ValueError, KeyError, TypeError):
            steps[path] = int(json.loads((path / "manifest.json").read_bytes())["step"])
    return sorted(steps, key=lambda path: (steps[path], path.name))


def files_of(run: Path, *checkpoints: Path) -> list[Path]:
    """Return the files beside a run's checkpoints, and those of some of these, relative to it."""
    found = [path for folder in (run, *checkpoints) for path in folder.iterdir() if path.is_file()]
    return sorted(path.relative_to(run) for path in found if not path.name.startswith("."))


def _content(run: Path, with_log: bool) -> Iterator[tuple[str, Any]]:
    """Yield all of a finished run that is the same each time, piece by piece."""
    yield "config.yaml", (run / "config.yaml").read_text()
    summary = json.loads((run / "summary.json").read_text())
    for name in ("metrics", "steps", "epochs", "best_step", "trained_on"):
        yield from _pieces(summary.get(name), name)
    if with_log and (run / "metrics.jsonl").exists():
        lines = (run / "metrics.jsonl").read_text().splitlines()
        yield from _pieces([json.loads(line) for line in lines], "log")
    for path in run.glob("vectors.safetensors"):
        yield from _pieces(_tensors(path), path.name)
    # By what is inside: the best one may be the last that was written.
    folders = {"last": checkpoints(run)[-1:], "best": [*run.glob("checkpoints/best")]}
    for name, folder in ((name, folder) for name, found in folders.items() for folder in found):
        for path in folder.iterdir():
            yield from _pieces(_read(path), f"{name}/{path.name}")


def _read(path: Path) -> Any:
    if path.name == "manifest.json":
        manifest = json.loads(path.read_text())
        facts = {key: manifest["facts"].get(key) for key in ("position", "plan", "data")}
        return {"step": manifest["step"], "metric": manifest["metric"], **facts}
    if path.suffix == ".safetensors":
        return _tensors(path)
    if path.suffix == ".pt":
        import torch

        return torch.load(path, map_location="cpu", weights_only=True)
    return path.read_bytes()


def _tensors(path: Path) -> Any:
    from safetensors.numpy import load_file

    return load_file(path)


def _pieces(value: Any, where: str) -> Iterator[tuple[str, Any]]:
    """Take a nested value apart; arrays and tensors become (type, shape, bytes)."""
    if isinstance(value, dict):
        for key in value.keys() - CLOCK:
            yield from _pieces(value[key], f"{where}/{key}")
    elif isinstance(value, list | tuple):
        yield f"{where}/length", len(value)
        for number, item in enumerate(value):
            yield from _pieces(item, f"{where}/{number}")
    elif hasattr(value, "numpy") or hasattr(value, "tobytes"):
        array = value.detach().numpy() if hasattr(value, "detach") else value
        yield where, (str(array.dtype), array.shape, array.tobytes())
    else:
        yield where, value
