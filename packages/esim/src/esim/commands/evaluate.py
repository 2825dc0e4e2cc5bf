"""The verb `evaluate`."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np

from esim.commands.options import EvaluateOptions
from esim.data.dataset import load_split
from esim.measure import checks, confusion_lines, figures
from esim.model.trained import load_run
from esim.scores import score_pairs, scoring_batch
from shared.progress import progress_bar
from shared.torch.device import choose_device


def run(options: EvaluateOptions) -> int:
    """Print the figures of a trained model (verb `evaluate`)."""
    trained = load_run(options.run, device=choose_device("auto"))
    config = replace(
        trained.config, on_bad_line=options.on_bad_line, data=options.data or trained.config.data
    )
    name, pairs = load_split(config.data, options.split, trained.vocabulary, config)
    with progress_bar(len(pairs), label=name, unit="pair", quiet=options.json) as bar:
        scores = score_pairs(
            trained.model, pairs, batch_size=scoring_batch(trained.config), progress=bar.update
        )
    found = figures(scores, pairs) | {"split": name}
    if options.checks:
        found["checks"] = checks(trained, pairs, scores)
    if options.json:
        print(json.dumps(found))
        return 0
    print(
        f"{name}: accuracy {100 * found['accuracy']:.2f} % of {len(pairs):,} pairs, loss {found['loss']:.4f}, "
        f"calibration error {100 * found['calibration_error']:.2f} %"
    )
    if pairs.unlabeled or pairs.bad or pairs.cut:
        print(
            f"left out: {pairs.unlabeled:,} without a label, {pairs.bad:,} bad lines; "
            f"{pairs.cut:,} sentences lost their ends"
        )
    print("\n".join(confusion_lines(np.array(found["confusion"]))))
    for check, value in found.get("checks", {}).items():
        print(f"{check:<38} {100 * value:6.2f} %")
    return 0
