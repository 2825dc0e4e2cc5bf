"""The verb `evaluate`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from esim.commands.options import EvaluateOptions
from esim.measure import confusion_lines, evaluate
from esim.model.trained import load_run
from shared.pages.report import percent
from shared.torch.device import choose_device


def run(options: EvaluateOptions) -> int:
    """Print the figures of a trained model."""
    trained = load_run(options.run, device=choose_device("auto"))
    values = evaluate(
        trained,
        options.data,
        options.split,
        columns=options.columns(trained.config),
        on_bad_line=options.on_bad_line,
        with_checks=options.checks,
        quiet=options.json,
    )
    if options.data and Path(options.data).is_file() and values["split"] == "dev":
        print(
            f"{options.data}: the run was trained on it; measured are the {values['pairs']:,} pairs that were its dev.",
            file=sys.stderr,
        )
    if options.json:
        print(json.dumps(values))
        return 0
    print(
        f"{values['split']}: accuracy {percent(values['accuracy'])} of {values['pairs']:,} pairs, "
        f"loss {values['loss']:.4f}, calibration error {percent(values['calibration_error'])}"
    )
    if values["left_out"]:
        print(values["left_out"])
    print("\n".join(confusion_lines(np.array(values["confusion"]), values["labels"])))
    for check, value in values.get("checks", {}).items():
        print(f"{check:<40} {percent(value) or '-':>8}")
    return 0
