"""The verb `predict`."""

from __future__ import annotations

import json
import sys

from resnet_tiny.commands.options import PredictOptions
from resnet_tiny.data.listing import image_paths
from shared.errors import UserError


def run(options: PredictOptions) -> int:
    """Classify image files (verb `predict`); returns 2 where one of them has no answer."""
    paths, problems = image_paths(options.images)  # before torch is imported: told at once
    for problem in problems:
        _tell(problem)
    if not paths:
        return 2
    from resnet_tiny.predict import load, predict

    trained = load(options.run, checkpoint=options.checkpoint, device=options.device)

    def note(error: UserError) -> None:
        problems.append(str(error))
        _tell(problems[-1])

    count = 0
    for prediction in predict(trained, paths, on_bad=note):
        count += 1
        top = prediction.top(options.top)
        if options.json:
            classes = [
                {"id": prediction.ids[name], "name": name, "probability": probability}
                for name, probability in top
            ]
            print(json.dumps({"file": prediction.source, "classes": classes}), flush=True)
            continue
        print(prediction.source)
        for name, probability in top:
            known = prediction.ids[name]
            more = f" ({known})" if known != name else ""
            print(f"  {100 * probability:6.2f} %  {name}{more}", flush=True)
    if problems and count:
        _tell(f"left out: {len(problems):,}, classified: {count:,}")
    return 2 if problems else 0


def _tell(problem: str) -> None:
    print(f"resnet-tiny: {problem}", file=sys.stderr)
