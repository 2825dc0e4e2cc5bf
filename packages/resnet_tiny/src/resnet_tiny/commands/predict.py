"""The verb `predict`."""

from __future__ import annotations

import json

from resnet_tiny.commands.options import PredictOptions
from resnet_tiny.data.listing import image_paths


def run(options: PredictOptions) -> int:
    """Classify image files (verb `predict`)."""
    paths = image_paths(options.images)  # before torch is imported: a missing file is named at once
    from resnet_tiny.predict import load, predict

    trained = load(options.run, checkpoint=options.checkpoint, device=options.device)
    for prediction in predict(trained, paths):
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
    return 0
