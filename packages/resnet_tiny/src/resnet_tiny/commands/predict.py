"""The verb `predict`."""

from __future__ import annotations

import json
from pathlib import Path

from resnet_tiny.commands.options import PredictOptions
from resnet_tiny.model.trained import load_run
from resnet_tiny.predict import classify


def run(options: PredictOptions) -> int:
    """Classify picture files (verb `predict`)."""
    trained = load_run(options.model, checkpoint=options.checkpoint)
    found = classify(trained, [Path(name) for name in options.pictures], options.top)
    if options.json:
        print(json.dumps(found))
        return 0
    for picture in found:
        print(picture["file"])
        for answer in picture["answers"]:
            print(f"  {100 * answer['probability']:6.2f} %  {answer['name']} ({answer['wnid']})")
    return 0
