from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from resnet_tiny.commands.earlier_versions import METRICS


def test_page_of_a_run_under_the_names_of_earlier_versions_is_the_same(
    small_run: Path, tmp_path: Path, resnet_tiny: Callable[..., tuple[int, str, str]]
) -> None:
    old = tmp_path / "old"
    shutil.copytree(small_run, old)
    change(old / "summary.json", lambda s: s | {"metrics": as_before(s["metrics"])})
    change(old / "evaluation.json", evaluation_as_before)
    log = old / "metrics.jsonl"
    records = [json.loads(line) for line in log.read_text().splitlines()]
    log.write_text("".join(json.dumps(record_as_before(one)) + "\n" for one in records))
    assert resnet_tiny("report", old)[0] == 0
    page = (old / "report.html").read_text().replace(str(old), str(small_run))
    assert page == (small_run / "report.html").read_text()


def change(path: Path, action: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    path.write_text(json.dumps(action(json.loads(path.read_text()))))


def as_before(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return metrics, or an evaluation's figures, under the former names, accuracies in percent."""
    old = {name: value for name, value in metrics.items() if name not in METRICS}
    for name, former in METRICS.items():
        if name in metrics:
            old[former] = percent(metrics[name])
    old["loss"] = old.pop("val_loss")
    if "val_images" in old:
        old["images"] = old.pop("val_images")
    return old


def evaluation_as_before(figures: Mapping[str, Any]) -> dict[str, Any]:
    return as_before(figures) | {
        "per_class": [
            {
                **{"wnid": row["id"], "name": row["name"], "images": row["images"]},
                **{"top1": percent(row["top1"]), "top5": percent(row["top5"])},
                "answered": row["predicted"],
            }
            for row in figures["per_class"]
        ],
        "confusions": [
            {"is": pair["class"], "answer": pair["predicted"], "images": pair["images"]}
            for pair in figures["confusions"]
        ],
        "reliability": [
            {name: value for name, value in one.items() if name != "confidence"}
            | {"probability": one["confidence"]}
            for one in figures["reliability"]
        ],
    }


def record_as_before(record: Mapping[str, Any]) -> dict[str, Any]:
    old = {name.replace("valid_", "val_"): value for name, value in record.items()}
    return {
        name: percent(value) if name.endswith(("_acc", "_acc5")) else value
        for name, value in old.items()
    }


def percent(fraction: float | None) -> float | None:
    return None if fraction is None else 100 * fraction
