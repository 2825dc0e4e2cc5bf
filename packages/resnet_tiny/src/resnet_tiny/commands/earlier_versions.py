"""Files of runs by earlier versions under today's names: accuracies were percent, and `val_` was the hold-out too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

METRICS = {
    "val_top1": "top1",
    "val_top5": "top5",
    "val_top1_flip": "top1_flip",
    "val_top5_flip": "top5_flip",
    "calibration_error": "ece",
    "last_val_top1": "last_top1",
    "last_val_top5": "last_top5",
    "valid_top1": "chosen_acc",
}


def is_earlier(metrics: Mapping[str, Any]) -> bool:
    """Whether the metrics of a summary, or an evaluation, are of an earlier version."""
    return "top1" in metrics


def metrics_of(old: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metrics of a summary under today's names."""
    present = {new: _fraction(old[name]) for new, name in METRICS.items() if name in old}
    return dict(old) | present | {"val_loss": old["loss"], "val_images": old["images"]}


def record_of(old: Mapping[str, Any], *, has_holdout: bool) -> dict[str, Any]:
    """Return a record of a metrics log under today's names."""
    record = {
        name: _fraction(value) if name.endswith(("_acc", "_acc5")) else value
        for name, value in old.items()
    }
    if has_holdout:
        for name in ("loss", "acc", "acc5"):
            if f"val_{name}" in record:
                record[f"valid_{name}"] = record.pop(f"val_{name}")
    return record


def evaluation_of(old: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures of an evaluation.json under today's names."""
    return metrics_of(old) | {
        "per_class": [
            {
                **{"id": row["wnid"], "name": row["name"], "images": row["images"]},
                "top1": _fraction(row["top1"]),
                "top5": _fraction(row["top5"]),
                "predicted": row["answered"],
            }
            for row in old["per_class"]
        ],
        "confusions": [
            {"class": pair["is"], "predicted": pair["answer"], "images": pair["images"]}
            for pair in old["confusions"]
        ],
        "reliability": [{**row, "confidence": row["probability"]} for row in old["reliability"]],
    }


def _fraction(percent: float | None) -> float | None:
    return None if percent is None else percent / 100
