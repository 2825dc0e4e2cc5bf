"""The verb `evaluate`: accuracy on any folder with val/, and where a model goes wrong.

Under `torchrun --nproc-per-node N -m resnet_tiny evaluate ...` the processes share the pictures.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from resnet_tiny.commands.mistakes import mistakes_png
from resnet_tiny.commands.options import EvaluateOptions
from resnet_tiny.config import DATA_SET
from resnet_tiny.data import sample
from resnet_tiny.data.dataset import Subset
from resnet_tiny.data.layout import Classes, read_classes, val_pictures
from resnet_tiny.data.pack import open_pack
from resnet_tiny.measure import Predictions, confusions, per_class, predict_both
from resnet_tiny.model.trained import TrainedModel, load_run
from shared.calibration import calibration_error, reliability
from shared.data.samples import data_or_sample
from shared.errors import UserError
from shared.files import whole_file, write_json
from shared.progress import progress_bar
from shared.torch.device import choose_device, choose_precision, make_accelerator
from shared.torch.processes import from_first

EVALUATION, MISTAKES = "evaluation.json", "mistakes.png"
PAIRS = 20
ENDS = 5
"""Classes of each end of the table that is printed; evaluation.json has all."""


def run(options: EvaluateOptions) -> int:
    """Print what a trained model makes of val (verb `evaluate`)."""
    trained = load_run(options.model, checkpoint=options.checkpoint, device="cpu")
    config = trained.config
    # The option is asked below; a run's own precision need not be one that this device has.
    accelerator = make_accelerator(replace(config, device="auto", precision="float32"))
    device = accelerator.device
    is_first = accelerator.is_main_process
    subset = val_subset(trained, options, accelerator)
    name = config.precision if options.precision == "run" else options.precision
    precision = choose_precision(name, choose_device("auto"))
    model = trained.model.to(device)
    crop = options.evaluation_crop or config.evaluation_crop
    settings: dict[str, Any] = {"device": device, "batch": options.batch, "precision": precision}
    bar = progress_bar(len(subset), label="val", unit="image", quiet=options.json or not is_first)
    with bar as progress:
        settings |= {"crop": crop, "accelerator": accelerator, "progress": progress.update}
        found, mirrored = predict_both(model, subset, **settings)
    if is_first:
        facts = describe(found, mirrored, subset, trained.classes) | {
            "run": str(options.model),
            "checkpoint": options.checkpoint,
            "step": trained.step,
            "precision": precision,
            "evaluation_crop": crop,
        }
        if options.out is not None:
            write_evaluation(Path(options.out), facts, found, subset, trained.classes)
        if options.list and not options.json:
            print_pictures(found, subset, trained.classes)
        print(json.dumps(facts) if options.json else in_words(facts))
    return 0


def val_subset(trained: TrainedModel, options: EvaluateOptions, accelerator: Any) -> Subset:
    """Return the validation pictures of a folder, in the class numbers of a model.

    Only val/ is asked for. A folder with a wnids.txt of its own may list more classes than the model has only where
    the model was trained on the first of them.

    Raises
    ------
    UserError
        The folder is not whole, or a picture is of a class that the model does not have.
    """
    config = trained.config
    root, _ = data_or_sample(DATA_SET, options.data or config.data, sample.write)
    classes = trained.classes
    if config.only_classes is not None and (root / "wnids.txt").is_file():
        whole = read_classes(root)
        classes = whole if whole.wnids[: len(classes)] == classes.wnids else classes
    pictures = val_pictures(root, classes)
    settings = replace(
        config, cache=options.cache or config.cache, on_bad_image=options.on_bad_image
    )
    problem, pack = None, None
    if accelerator.is_main_process:
        say = (lambda line: None) if options.json else print
        try:
            pack = open_pack(pictures, settings, say=say, quiet=options.json)
        except UserError as error:
            problem = str(error)
    if problem := from_first(accelerator, problem):
        raise UserError(problem)
    pack = pack or open_pack(pictures, settings, verify=False)
    rows = pack.rows[pack.labels[pack.rows] < len(trained.classes)]
    if not len(rows):
        raise UserError(
            f"{root}: holds no picture of the {len(trained.classes)} classes that the model was trained on. "
            "Name a folder that does."
        )
    return Subset(pack, rows)


def describe(
    found: Predictions, mirrored: Predictions, subset: Subset, classes: Classes
) -> dict[str, Any]:
    """Return all figures as JSON values; accuracies are in percent.

    Parameters
    ----------
    found, mirrored : Predictions
        Of each picture, and of the mean over it and its mirror image.
    subset : Subset
    classes : Classes
    """
    rows = []
    for label, (count, right, among, answered) in enumerate(per_class(found, len(classes))):
        rows.append(
            {
                "wnid": classes.wnids[label],
                "name": classes.names[label],
                "images": count,
                "top1": 100 * right / count if count else None,
                "top5": 100 * among / count if count else None,
                "answered": answered,
            }
        )
    names = classes.names
    bins = reliability(found.shares[:, 0], found.is_right)
    return {
        **found.figures(),
        "top1_flip": mirrored.figures()["top1"],
        "top5_flip": mirrored.figures()["top5"],
        "ece": 100 * calibration_error(bins),
        "images": len(found.labels),
        "skipped": len(subset.pack.pictures) - len(subset.pack.rows),
        "per_class": rows,
        "confusions": [
            {"is": names[label], "answer": names[answer], "images": count}
            for label, answer, count in confusions(found, PAIRS)
        ],
        "reliability": [
            {
                "up_to": one.up_to,
                "images": one.count,
                "probability": one.confidence,
                "accuracy": one.accuracy,
            }
            for one in bins
        ],
    }


def write_evaluation(
    folder: Path, facts: dict[str, Any], found: Predictions, subset: Subset, classes: Classes
) -> None:
    """Write the figures and the picture of the worst mistakes."""
    write_json(folder / EVALUATION, facts)
    with whole_file(folder / MISTAKES, "wb") as file:
        file.write(mistakes_png(found, subset, classes))


def print_pictures(found: Predictions, subset: Subset, classes: Classes) -> None:
    """Print each picture, its class, the answer, and whether it is right."""
    for place in found.places:
        file = subset.pack.pictures.files[subset.rows[place]]
        label, answer = found.labels[place], found.answers[place, 0]
        verdict = "right" if label == answer else "wrong"
        print(f"{file}\t{classes.names[label]}\t{classes.names[answer]}\t{verdict}")


def in_words(facts: dict[str, Any]) -> str:
    """Return the figures as lines for people."""
    crop = facts["evaluation_crop"]
    shown = f"{facts['images']:,} images" + (f", middle {crop:g}" if crop < 1 else "")
    lines = [
        f"top-1 {facts['top1']:.2f} %  top-5 {facts['top5']:.2f} %  loss {facts['loss']:.4f}  "
        f"({shown}, step {facts['step']:,}, {facts['precision']})",
        f"with mirror images: top-1 {facts['top1_flip']:.2f} %  top-5 {facts['top5_flip']:.2f} %",
        f"calibration error {facts['ece']:.2f} % ({len(facts['reliability'])} bins)",
    ]
    ranked = sorted(
        (row for row in facts["per_class"] if row["images"]), key=lambda row: -row["top1"]
    )
    ends = ranked if len(ranked) <= 2 * ENDS else [*ranked[:ENDS], None, *ranked[-ENDS:]]
    lines += ["", f"{'class':<28} {'top-1':>7} {'top-5':>7} {'images':>7} {'answered':>9}"]
    for row in ends:
        if row is None:
            lines.append(f"... {len(ranked) - 2 * ENDS} more with --json or --out")
            continue
        lines.append(
            f"{row['name'][:28]:<28} {row['top1']:>7.1f} {row['top5']:>7.1f} {row['images']:>7} {row['answered']:>9}"
        )
    if facts["confusions"]:
        lines += ["", f"{'most frequent mistakes':<28} {'answer':<28} {'images':>7}"]
        lines += [
            f"{pair['is'][:28]:<28} {pair['answer'][:28]:<28} {pair['images']:>7}"
            for pair in facts["confusions"][: 2 * ENDS]
        ]
    return "\n".join(lines)
