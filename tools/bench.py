"""`make bench`: measure the speed claims of the READMEs again, and say which of the targets are met.

    python tools/bench.py OUT

Each package's own verb `bench` runs in the package's environment, `.venv/<task>`, ours and the peer in turn; a few
other commands whose time has a target are timed as they are. Data are what `<task> train` would take: the real ones
where they lie, else the made-up sample, for which the READMEs' figures do not hold; the column `data` says which.
What is measured stands in `claims.py`.

A target that is missed does not fail the command, since other programs may have used the machine. Each row is shown
beside its last five values, from `tools/bench_history.jsonl`, to which every run adds a line: commit it to keep the
values. Uses the standard library only.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from claims import BENCHES, Bench, Claim
from tables import print_table, write_page

ROOT = Path(__file__).resolve().parent.parent
BIN = "Scripts" if os.name == "nt" else "bin"
HISTORY = Path("tools", "bench_history.jsonl")
SHOWN = 5
"""Earlier values that a row shows."""
NOT_MEASURED = "not measured"
HEADER = ("task", "what", "peer", "data", "measured", "before", "claimed", "target", "")
TEXT = (
    "Ratios are medians of rounds in which ours and the peer take turns. A target that is missed may mean that another "
    "program used the machine; where there is no target, four fifths of the claim count as met."
)


def main(out: Path, benches: Sequence[Bench] = BENCHES) -> int:
    """Run all benches; return 1 if one of them does not run."""
    scratch = out / "scratch"
    rows, results, failures = [], [], 0
    earlier = read_history()
    began = time.monotonic()
    try:
        for bench in benches:
            is_real = has_data(bench)
            result = None if bench.is_for_real_data and not is_real else call(bench, scratch)
            failures += isinstance(result, str)
            rows += [row_of(bench, claim, result, is_real, earlier) for claim in bench.claims]
            results.append({"task": bench.task, "words": bench.words, "result": result})
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    machine = describe_machine() | {"seconds": round(time.monotonic() - began)}
    add_to_history(machine, rows)
    print_table(HEADER, rows)
    listed = [dict(zip((*HEADER[:-1], "verdict"), row, strict=True)) for row in rows]
    document = {"machine": machine, "rows": listed, "results": results}
    (out / "bench.json").write_text(json.dumps(document, indent=1), encoding="utf-8")
    about = ", ".join(f"{name} {value}" for name, value in machine.items())
    page = write_page(out / "bench.html", "dltasks bench", f"{TEXT} {about}.", HEADER, rows)
    print(f"\n{about}\nThe page is {page}")
    return int(failures > 0)


def row_of(
    bench: Bench, claim: Claim, result: Any, is_real: bool, earlier: Sequence[dict[str, Any]] = ()
) -> tuple[str, ...]:
    """Return a row of the table.

    Parameters
    ----------
    bench : Bench
    claim : Claim
        One of its.
    result : object
        What the command printed, parsed; text: why it did not run; None: it was left out.
    is_real : bool
        It ran on the real data.
    earlier : sequence of dict
        Lines of the history, oldest first.
    """
    measured, verdict = "", NOT_MEASURED
    if isinstance(result, str):
        verdict = "failed"
    elif result is not None:
        try:
            figure = claim.read(result)
        except KeyError:  # a peer that is not installed
            pass
        else:
            measured, verdict = f"{figure:.2f} {claim.unit}", claim.verdict(figure)
    sign = ">=" if claim.unit == "x" else "<="
    target = "" if claim.target is None else f"{sign} {claim.target:.3g} {claim.unit}"
    data = "real" if is_real else "sample"
    claimed = claim.claimed and f"{claim.claimed} {claim.unit}"
    key = (bench.task, claim.what, claim.peer, data)
    values = [
        line["values"][" | ".join(key)] for line in earlier if " | ".join(key) in line["values"]
    ]
    return (*key, measured, " ".join(values[-SHOWN:]), claimed, target, verdict)


def read_history() -> list[dict[str, Any]]:
    """Return the lines of the history, oldest first; none, where there is no such file yet."""
    path = ROOT / HISTORY
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [json.loads(line) for line in lines]


def add_to_history(machine: dict[str, Any], rows: Sequence[Sequence[str]]) -> None:
    """Add what was measured to the history: on what machine, and for each row its figure without the unit."""
    values = {" | ".join(row[:4]): row[4].split(" ")[0] for row in rows if row[4]}
    (ROOT / HISTORY).parent.mkdir(exist_ok=True)
    with open(ROOT / HISTORY, "a", encoding="utf-8") as file:
        file.write(json.dumps({**machine, "values": values}) + "\n")


def has_data(bench: Bench) -> bool:
    """Whether the real data lie where the task looks for them."""
    code = "import sys; from shared.data.datasets import find_data; sys.exit(find_data(sys.argv[1], None) is None)"
    python = ROOT / ".venv" / bench.task / BIN / "python"
    return subprocess.run([python, "-c", code, bench.data], check=False).returncode == 0


def call(bench: Bench, scratch: Path) -> Any:
    """Run a command; return what it printed as JSON, or its seconds, or text that says why it failed."""
    path = ROOT / ".venv" / bench.task / BIN / bench.task.replace("_", "-")
    is_bench = bench.words[0] == "bench"
    words = [word.replace("{out}", str(scratch)) for word in bench.words]
    command = [str(path), *words, *(["--json"] if is_bench else [])]
    print(f"$ {' '.join(command)}", flush=True)
    scratch.mkdir(exist_ok=True)
    began = time.monotonic()
    done = subprocess.run(command, check=False, text=True, stdout=-1, stderr=-1)
    taken = time.monotonic() - began
    print(f"  {taken:.0f} s", flush=True)
    if done.returncode:
        print(f"{done.stdout}{done.stderr}failed with exit code {done.returncode}", flush=True)
        return (done.stderr or done.stdout).strip() or f"exit code {done.returncode}"
    if not is_bench:
        return {"seconds": taken}
    try:
        return json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        print(f"{done.stdout}printed no JSON", flush=True)
        return "printed no JSON"


def describe_machine() -> dict[str, Any]:
    """Return what the figures depend on."""
    processor = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        processor = next(x.partition(":")[2].strip() for x in lines if x.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return {
        "date": f"{datetime.datetime.now():%Y-%m-%d %H:%M}",
        "processor": processor,
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
    }


if __name__ == "__main__":
    folder = Path(sys.argv[1]).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    raise SystemExit(main(folder))
