"""The verb `evaluate`: accuracy on val of any folder, and where a model goes wrong.

Under `torchrun --nproc-per-node N -m resnet_tiny evaluate ...` the processes share the images.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from resnet_tiny.commands.options import EvaluateOptions
from resnet_tiny.config import DATA_SET
from resnet_tiny.data import sample
from resnet_tiny.data.dataset import Subset, open_packs
from resnet_tiny.data.image_folder import has_split
from resnet_tiny.data.layout import is_tiny_imagenet, read_classes, val_images
from resnet_tiny.data.listing import Classes
from resnet_tiny.measure import Predictions, evaluation_of, measure_with_flip, write_evaluation
from resnet_tiny.model.trained import TrainedModel, load_run
from shared.data.samples import data_or_sample
from shared.errors import UserError
from shared.progress import progress_bar
from shared.torch.device import choose_device, choose_precision, make_accelerator

ENDS = 5
"""Classes of each end of the table that is printed; evaluation.json has all."""


def run(options: EvaluateOptions) -> int:
    """Print how well a trained model does on val (verb `evaluate`)."""
    trained = load_run(options.run, checkpoint=options.checkpoint)
    config = trained.config
    # The option is read below; a run's own precision need not be one that this device has.
    accelerator = make_accelerator(replace(config, device=options.device, precision="float32"))
    is_first = accelerator.is_main_process
    subset = val_subset(trained, options, accelerator)
    name = config.precision if options.precision == "run" else options.precision
    precision = choose_precision(name, choose_device(options.device))
    model = trained.model.to(accelerator.device)
    crop = options.evaluation_crop or config.evaluation_crop
    bar = progress_bar(len(subset), label="val", unit="image", quiet=options.json or not is_first)
    with bar as progress:
        alone, with_flip = measure_with_flip(
            model,
            subset,
            device=accelerator.device,
            crop=crop,
            batch_size=options.batch_size,
            precision=precision,
            accelerator=accelerator,
            progress=progress.update,
        )
    if is_first:
        figures = evaluation_of(alone, with_flip, subset, trained.classes) | {
            "run": str(options.run),
            "checkpoint": options.checkpoint,
            "step": trained.step,
            "precision": precision,
            "evaluation_crop": crop,
        }
        if options.out is not None:
            write_evaluation(Path(options.out), figures, alone, subset, trained.classes)
        if options.list:
            print_images(alone, subset, trained.classes)
        print(json.dumps(figures) if options.json else text_of(figures))
    return 0


def val_subset(trained: TrainedModel, options: EvaluateOptions, accelerator: Any) -> Subset:
    """Return the validation images of a folder, labelled with a model's class numbers.

    Only val/ is needed. A folder with a wnids.txt of its own may list more classes than the model has only where the
    model was trained on the first of them.

    Raises
    ------
    UserError
        The folder is incomplete, or an image is of a class that the model does not have.
    """
    config = trained.config
    given = config.data if options.data is None else None
    if given is not None and not Path(given).expanduser().exists():
        raise UserError(f"{given}: the run's data is not there. Name data with --data.")
    root, _ = data_or_sample(DATA_SET, options.data or config.data, sample.write)
    classes = trained.classes
    if config.only_classes is not None:
        every = read_classes(root)
        classes = every if every.ids[: len(classes)] == classes.ids else classes
    listing = val_images(root, classes)
    settings = replace(
        config,
        cache=options.cache or config.cache,
        resize=config.resize or options.resize,
        on_bad_image=options.on_bad_image,
    )
    say = (lambda line: None) if options.json else print
    if options.data is not None and not is_tiny_imagenet(root) and not has_split(root):
        say(
            f"{root}: has no val/, so a fifth of each class is measured, as in training. To measure all of it, move "
            "the class folders into val/."
        )
    (pack,) = open_packs([listing], settings, accelerator, say=say, quiet=options.json)
    rows = pack.rows[pack.labels[pack.rows] < len(trained.classes)]
    if not len(rows):
        raise UserError(
            f"{root}: holds no image of the {len(trained.classes)} classes that the model was trained on. "
            "Name a folder that does."
        )
    return Subset(pack, rows)


def print_images(predictions: Predictions, subset: Subset, classes: Classes) -> None:
    """Print each image, its class, the predicted one, and whether that is correct."""
    for index in predictions.indices:
        label, predicted = predictions.labels[index], predictions.classes[index, 0]
        verdict = "correct" if label == predicted else "wrong"
        print(
            f"{subset.file(index)}\t{classes.names[label]}\t{classes.names[predicted]}\t{verdict}"
        )


def text_of(figures: dict[str, Any]) -> str:
    """Return the figures as lines for people."""
    crop = figures["evaluation_crop"]
    shown = f"{figures['images']:,} images" + (f", center crop {crop:g}" if crop < 1 else "")
    percent = {name: 100 * v for name, v in figures.items() if isinstance(v, float)}
    has_top5 = figures["val_top5"] is not None  # more than five classes

    def top5(name: str) -> str:
        return f"top-5 {percent[name]:.2f} %  " if has_top5 else ""

    lines = [
        f"top-1 {percent['val_top1']:.2f} %  {top5('val_top5')}loss {figures['val_loss']:.4f}  "
        f"({shown}, step {figures['step']:,}, {figures['precision']})",
        f"with horizontal flips: top-1 {percent['val_top1_flip']:.2f} %  {top5('val_top5_flip')}".rstrip(),
        f"calibration error {percent['calibration_error']:.2f} % ({len(figures['reliability'])} bins)",
    ]
    ranked = sorted(
        (row for row in figures["per_class"] if row["images"]), key=lambda row: -row["top1"]
    )
    ends = ranked if len(ranked) <= 2 * ENDS else [*ranked[:ENDS], None, *ranked[-ENDS:]]
    head = f" {'top-5 %':>7}" if has_top5 else ""
    lines += ["", f"{'class':<28} {'top-1 %':>7}{head} {'images':>7} {'predicted':>9}"]
    for row in ends:
        if row is None:
            lines.append(f"... {len(ranked) - 2 * ENDS} more with --json or --out")
            continue
        among = f" {100 * row['top5']:>7.1f}" if has_top5 else ""
        lines.append(
            f"{row['name'][:28]:<28} {100 * row['top1']:>7.1f}{among} {row['images']:>7} "
            f"{row['predicted']:>9}"
        )
    if figures["confusions"]:
        lines += ["", f"{'most frequent mistakes':<28} {'predicted':<28} {'images':>7}"]
        lines += [
            f"{pair['class'][:28]:<28} {pair['predicted'][:28]:<28} {pair['images']:>7}"
            for pair in figures["confusions"][: 2 * ENDS]
        ]
    return "\n".join(lines)
