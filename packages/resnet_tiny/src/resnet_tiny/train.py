"""Training: images, model, optimizers and loss, handed to the loop in `shared.torch.loop`; ends with summary.json."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from resnet_tiny.config import MAY_CHANGE_ON_RESUME, K, TrainConfig
from resnet_tiny.data.dataset import Images, Subset, TrainBatches, load_images
from resnet_tiny.data.transforms import apply, size_at
from resnet_tiny.epoch_means import EpochMeans
from resnet_tiny.measure import evaluation_of, measure, measure_with_flip, write_evaluation
from resnet_tiny.model.loss import BatchLoss, stage_of
from resnet_tiny.model.resnet import model_of, require_sizes
from resnet_tiny.model.small_maps import use_small_maps
from resnet_tiny.model.trained import load_run, save_classes
from resnet_tiny.model.weights import load_initial, load_pretrained
from resnet_tiny.model.whitening import whiten_first_convolution
from shared.command import clock
from shared.command.options import RunOptions
from shared.data.samples import sample_notice
from shared.runs.run_directory import RunDirectory
from shared.torch.device import choose_device, choose_precision, make_accelerator, seed_everything
from shared.torch.loop import Training
from shared.torch.muon import make_muon
from shared.torch.position import Outcome
from shared.torch.processes import TrialRun, start_run
from shared.torch.range_test import find_learning_rate
from shared.torch.sampler import Shuffled
from shared.torch.summary import write_summary

ENOUGH_HELD_OUT = 30
"""Images; with fewer, one more correct image is a jump of three points and more."""
WHITENING_IMAGES = 2000
"""Images whose patches `--whiten-stem` looks at, at most; they have 32,000 patches of 7x7 at 32x32 pixels."""
WHITENING_SIZE = 64
"""Pixels a side up to which all of them are used; of larger images fewer, so that the patches fit in memory."""


def train(config: TrainConfig, options: RunOptions) -> Path | None:
    """Train a model into a run folder.

    Returns
    -------
    Path or None
        The folder; None in all processes but the first, and with --find-learning-rate.

    Raises
    ------
    UserError
        Data, folder or a setting cannot be used; the loss is no longer finite.
    Interrupted
        After Ctrl-C or SIGTERM, when all is saved.
    """
    began = clock.began()
    accelerator = make_accelerator(config)
    lines: list[str] = []
    say = lines.append if options.quiet else _print_and_keep(lines)
    images = load_images(config, accelerator=accelerator, say=say, quiet=options.quiet)
    order = Shuffled(len(images.train), config.batch_size, config.seed)
    seed_everything(config.seed)  # the initial weights are the same in all processes
    model = use_small_maps(model_of(config, len(images.classes)))
    require_sizes(model, config.arch, config.sizes)
    with start_run(accelerator, "resnet_tiny", config, options, MAY_CHANGE_ON_RESUME) as folder:
        if folder.has_ended():
            return folder.path if accelerator.is_main_process else None
        _say_start(folder, config, images, model, lines)
        if folder.checkpoints.last() is None:  # else their weights take the place of these
            _initialize(model, config, images, folder.say)
        chooser = {"holdout": images.holdout, "val": images.val, "last": None}[config.selection]
        means = EpochMeans(folder, accelerator)

        def with_epoch(figures: dict[str, float]) -> dict[str, float]:
            return figures | means.at_epoch_end(training.at, figures)

        training = Training(
            accelerator=accelerator,
            run=folder,
            config=config,
            model=model,
            optimizers=make_optimizers(config, model),
            order=order,
            fetch=TrainBatches(config, images),
            loss_fn=BatchLoss(
                config,
                lambda: training.progress(),
                lambda loss, hits, count: means.add(training.at.epoch, loss, hits, count),
            ),
            stage=stage_of(config),
            evaluate=None
            if chooser is None
            else lambda m: with_epoch(
                _figures_to_choose_by(m, config, chooser, len(images.classes), accelerator)
            ),
            evaluations_after=3 * len(images.val) / len(chooser) if chooser else 0.0,
            state=means,
            metric=chooser_name(config, "acc"),
            highest=True,
            extras=lambda path: save_classes(path, images.classes),
            describe=means.describe,
            data=images.facts(),
            started=began,
        )
        if isinstance(folder, TrialRun):
            find_learning_rate(training, folder)
            return None
        outcome = training.fit()
        _finish(folder, config, images, outcome, accelerator)
        return folder.path if accelerator.is_main_process else None


def _initialize(
    model: nn.Module, config: TrainConfig, images: Images, say: Callable[[str], None]
) -> None:
    """Fill a new model with the weights that the configuration names, or whiten its first convolution."""
    if start := config.init or config.weights:
        load = load_initial if config.init else load_pretrained
        say(f"starts from {start}: {load(model, config.arch, start, images.classes).text()}")
    elif config.whiten_stem:
        whiten_first_convolution(model, _sample_of(images.train, config))


def make_optimizers(config: TrainConfig, model: nn.Module) -> list[torch.optim.Optimizer]:
    """Return the optimizers of a model; with Muon, convolutions have their own.

    Normalization layers and biases are a parameter group of their own.
    """
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    if config.optimizer == "muon":
        muon = make_muon(
            config,
            [weight for weight in weights if weight.ndim == 4],
            momentum=config.momentum,
            nesterov=config.nesterov,
            keep_norm=True,
        )
        weights = [weight for weight in weights if weight.ndim != 4]
        return [_make_optimizer(config, weights), muon]
    return [_make_optimizer(config, weights)]


def _make_optimizer(config: TrainConfig, weights: list[nn.Parameter]) -> torch.optim.Optimizer:
    flat = [weight for weight in weights if weight.ndim <= 1]
    deep = [weight for weight in weights if weight.ndim > 1]
    decay = config.weight_decay
    groups = [
        {"params": deep, "weight_decay": decay},
        {"params": flat, "weight_decay": decay if config.decay_norms else 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if config.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=config.learning_rate, fused=True)
    return torch.optim.SGD(
        groups,
        lr=config.learning_rate,
        momentum=config.momentum,
        nesterov=config.nesterov and config.momentum > 0,
        fused=True,
    )


def _sample_of(train: Subset, config: TrainConfig) -> torch.Tensor:
    """Return training images from all of the classes as the model first gets them, float32 (N, 3, S, S)."""
    size = size_at(config.sizes, config.size_fractions, 0.0, config.image_size)
    side = max(size, config.image_size, WHITENING_SIZE)
    most = max(1, WHITENING_IMAGES * WHITENING_SIZE**2 // side**2)
    rows = np.linspace(0, len(train) - 1, min(len(train), most)).astype(np.int64)
    return apply(train.pixels(rows), {}, size)


def chooser_name(config: TrainConfig, figure: str) -> str:
    """Return the name in the log of a figure that chooses the best checkpoint: `valid_acc`, or `val_acc` of val."""
    return f"{'val' if config.selection == 'val' else 'valid'}_{figure}"


def measuring(config: TrainConfig, accelerator: Any) -> dict[str, Any]:
    """Return the settings of `measure` and `measure_with_flip` for evaluation as in training."""
    return {
        "device": accelerator.device,
        "crop": config.evaluation_crop,
        "batch_size": config.evaluation_batch_size,
        "precision": choose_precision(config.precision, choose_device(config.device)),
        "accelerator": accelerator,
    }


def _figures_to_choose_by(
    model: nn.Module, config: TrainConfig, subset: Subset, classes: int, accelerator: Any
) -> dict[str, float]:
    figures = measure(model, subset, **measuring(config, accelerator)).figures()
    names = {"loss": "loss", "acc": "top1"} | ({"acc5": "top5"} if classes > K else {})
    return {chooser_name(config, name): figures[figure] for name, figure in names.items()}


def _print_and_keep(lines: list[str]) -> Callable[[str], None]:
    """Return a `say` for the time before there is a run folder: printed now, into its log later."""

    def say(line: str) -> None:
        print(line, flush=True)
        lines.append(line)

    return say


def _say_start(
    folder: RunDirectory,
    config: TrainConfig,
    images: Images,
    model: nn.Module,
    lines: list[str],
) -> None:
    """Say what is trained on what; `lines` were printed before there was a log."""
    if lines:
        with (folder.path / "log.txt").open("a", encoding="utf-8", newline="\n") as file:
            file.writelines(line + "\n" for line in lines)
    if images.is_sample:
        folder.say(sample_notice("resnet-tiny", config.data))
    facts, parameters = images.facts(), sum(weight.numel() for weight in model.parameters())
    counts = " / ".join(f"{count:,}" for count in facts["images"].values())
    folder.say(
        f"{facts['name']}: {counts} images in train / hold-out / val, {facts['classes']} classes; "
        f"{config.arch} with {parameters:,} parameters, trained at "
        f"{', '.join(f'{size}x{size}' for size in config.sizes or (config.image_size,))} pixels"
    )
    if config.selection == "holdout":
        held = np.bincount(images.holdout.labels)
        few, many = int(held.min()), int(held.max())
        folder.say(
            f"Hold-out: {few if few == many else f'{few} to {many}'} training image{'s' * (many > 1)} of each class, "
            "to choose the best checkpoint (--holdout-per-class)."
        )
        if held.sum() < ENOUGH_HELD_OUT:
            folder.say(
                f"{held.sum()} images hardly tell one checkpoint from another; --selection last takes the last one."
            )
    if config.selection == "val":
        folder.say(
            "The best checkpoint is chosen on val itself, so its figure is optimistic (--selection)."
        )


def _finish(
    folder: RunDirectory, config: TrainConfig, images: Images, outcome: Outcome, accelerator: Any
) -> None:
    """Measure the best and the last weights on val, once; write evaluation.json and summary.json."""
    accelerator.wait_for_everyone()
    settings = measuring(config, accelerator)
    best = load_run(folder.path, device=accelerator.device)
    alone, with_flip = measure_with_flip(best.model, images.val, **settings)
    newest = load_run(folder.path, checkpoint="last", device=accelerator.device)
    is_same = newest.step == best.step
    last = (alone if is_same else measure(newest.model, images.val, **settings)).figures()
    if not accelerator.is_main_process:
        return
    figures = evaluation_of(alone, with_flip, images.val, images.classes)
    metrics = {
        name: figures[name]
        for name in (
            *("val_top1", "val_top5", "val_loss", "val_top1_flip", "val_top5_flip"),
            "calibration_error",
        )
    }
    metrics |= {
        "last_val_top1": last["top1"],
        "last_val_top5": last["top5"] if len(images.classes) > K else None,
        "val_images": figures["images"],
        "chosen_on": _chosen_on(config, images),
        "valid_top1": outcome.best if config.selection == "holdout" else None,
        "starts_from": config.init or config.weights or "scratch",
    }
    figures |= {"step": best.step, "checkpoint": "best"}
    write_evaluation(folder.path, figures, alone, images.val, images.classes)
    write_summary(
        folder,
        config,
        outcome,
        task="resnet_tiny",
        data=images.facts(),
        model=best.model,
        device=accelerator.device,
        metrics=metrics,
        unit="images",
        highest=True,
        packages=("torchvision", "pillow"),
    )
    shown = {name: f"{100 * v:.2f}" for name, v in metrics.items() if isinstance(v, float)}
    top5 = {name: f" / {v}" for name, v in shown.items() if "top5" in name}
    val_top5 = f" top-5 {shown['val_top5']} %" if top5 else ""
    folder.say(
        f"val top-1 {shown['val_top1']} %{val_top5} (step {best.step}, chosen on "
        f"{metrics['chosen_on']}); last {shown['last_val_top1']}{top5.get('last_val_top5', '')}; with horizontal flips "
        f"{shown['val_top1_flip']}{top5.get('val_top5_flip', '')}; trained {outcome.seconds:.1f} s"
    )


def _chosen_on(config: TrainConfig, images: Images) -> str:
    if config.selection == "holdout":
        return f"{len(images.holdout):,} training images held out"
    return "val itself" if config.selection == "val" else "nothing, it is the last"
