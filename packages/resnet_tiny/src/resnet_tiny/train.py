"""Training: pictures, model, optimizer and figures; the loop itself is `shared.torch.loop`."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resnet_tiny.commands.evaluate import describe as figures_of
from resnet_tiny.commands.evaluate import write_evaluation
from resnet_tiny.commands.report import write_page
from resnet_tiny.config import MAY_CHANGE_ON_RESUME, TrainConfig
from resnet_tiny.data.dataset import Images, Subset, TrainBatches, load_images
from resnet_tiny.data.mixing import mix
from resnet_tiny.data.transforms import apply, size_at
from resnet_tiny.measure import K, predict, predict_both
from resnet_tiny.model.resnet import memory_format, model_of
from resnet_tiny.model.small_maps import use_small_maps
from resnet_tiny.model.trained import load_run, save_classes
from resnet_tiny.model.weights import load_pretrained
from resnet_tiny.muon import Muon
from shared.command.options import RunOptions
from shared.data.samples import NOTICE
from shared.runs.run_directory import RunDirectory
from shared.torch.budget import Plan
from shared.torch.device import choose_device, choose_precision, make_accelerator, seed_everything
from shared.torch.loop import Training
from shared.torch.memory import keep_freed_memory
from shared.torch.position import Outcome
from shared.torch.processes import start_run
from shared.torch.sampler import Shuffled
from shared.torch.summary import write_summary

METRIC = "val_acc"
GOLDEN = 0.618033988749895
"""Multiples of the golden section, less their whole parts, fall evenly into 0 to 1."""
STEPS_OF_A_SIZE = 4
"""Timed steps between two changes of size. The first after a change is slower, and a run has few changes."""


class ImageTraining(Training):
    """A training run that knows whether its steps are only being timed."""

    is_timing = False

    def progress(self) -> float:
        """Return the share of the steps that are done."""
        return self.at.step / self.plan.total_steps

    def _plan_by_timing(self, deadline: float) -> Plan:
        self.is_timing = True
        try:
            return super()._plan_by_timing(deadline)
        finally:
            self.is_timing = False


class LossOf:
    """The loss of a batch: its pictures transformed, mixed, shown to the model.

    Parameters
    ----------
    config : TrainConfig
    progress : callable
        Returns the share of the run that is done.
    is_timing : callable
        Whether steps are timed to plan the run. They then come from all of the run, so that with progressive resizing
        their mean is that of the run's steps.
    """

    def __init__(
        self,
        config: TrainConfig,
        progress: Callable[[], float],
        is_timing: Callable[[], bool] = lambda: False,
    ) -> None:
        self.config, self.progress, self.is_timing = config, progress, is_timing
        self._timed = 0

    def __call__(
        self, wrapped: nn.Module, batch: dict[str, Any]
    ) -> tuple[Tensor, int, dict[str, Tensor]]:
        """Return the loss' sum over the batch, the number of pictures, and hits in percent."""
        images, own = self.prepare(batch)
        return self.of_images(wrapped, images, own, batch)

    def prepare(self, batch: dict[str, Any]) -> tuple[Tensor, float]:
        """Return the pictures as the model reads them, and the weight of their own labels, 0 to 1."""
        config, done = self.config, self._done()
        size = size_at(config.sizes, config.size_shares, done, config.side)
        images, own = apply(batch["pixels"], batch["draws"], size), 1.0
        if batch["mix"] and done < config.mix_until:
            images, own = mix(images, batch["mix"])
        return memory_format(images, config), own

    def of_images(
        self, wrapped: nn.Module, images: Tensor, own: float, batch: dict[str, Any]
    ) -> tuple[Tensor, int, dict[str, Tensor]]:
        """Return loss, count and hits of pictures that are prepared."""
        labels = batch["labels"]
        logits = wrapped(images).float()
        loss = self._loss(logits, labels)
        if own < 1:
            loss = own * loss + (1 - own) * self._loss(logits, labels[batch["mix"]["partner"]])
        answers = logits.detach().topk(min(K, logits.shape[1]), dim=1).indices
        is_hit = answers == labels[:, None]
        hits = {"acc": 100.0 * is_hit[:, 0].sum(), "acc5": 100.0 * is_hit.sum()}
        return loss, len(labels), hits

    def _loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(
            logits, labels, reduction="sum", label_smoothing=self.config.label_smoothing
        )

    def _done(self) -> float:
        if not self.is_timing():
            return self.progress()
        block = self._timed // STEPS_OF_A_SIZE
        self._timed += 1
        return block * GOLDEN % 1


def train(config: TrainConfig, options: RunOptions) -> Path | None:
    """Train a model into a run folder.

    Returns
    -------
    Path or None
        The folder; None in all processes but the first.

    Raises
    ------
    UserError
        The data, the folder or a setting is of no use; the loss is no longer finite.
    Interrupted
        After Ctrl-C or SIGTERM, when all is saved.
    """
    began = time.monotonic()
    accelerator = make_accelerator(config)
    if accelerator.device.type == "cpu":
        keep_freed_memory()
    lines: list[str] = []
    images = load_images(
        config,
        accelerator=accelerator,
        say=lines.append if options.quiet else _both(lines),
        quiet=options.quiet,
    )
    order = Shuffled(len(images.train), config.batch_size, config.seed)
    seed_everything(config.seed)  # the first weights are the same in all processes
    model = use_small_maps(model_of(config, len(images.classes)))
    fresh = load_pretrained(model, config.arch, config.weights) if config.weights else []
    with start_run(accelerator, "resnet_tiny", config, options, MAY_CHANGE_ON_RESUME) as folder:
        if folder.has_ended(write_page):
            return folder.path if accelerator.is_main_process else None
        _say_start(folder, config, images, model, fresh, lines)
        chosen_on = {"holdout": images.holdout, "val": images.val, "last": None}[config.selection]
        training = ImageTraining(
            accelerator=accelerator,
            run=folder,
            config=config,
            model=model,
            optimizers=make_optimizers(config, model),
            order=order,
            fetch=TrainBatches(config, images),
            loss_fn=LossOf(config, lambda: training.progress(), lambda: training.is_timing),
            evaluate=None
            if chosen_on is None
            else lambda m: _chosen(m, config, chosen_on, accelerator),
            metric=METRIC,
            highest=True,
            extras=lambda path: save_classes(path, images.classes),
            describe=describe,
            data=images.facts(),
            started=began,
        )
        outcome = training.fit()
        _finish(folder, config, images, outcome, accelerator)
        return folder.path if accelerator.is_main_process else None


def make_optimizers(config: TrainConfig, model: nn.Module) -> list[torch.optim.Optimizer]:
    """Return the optimizers of a model: with Muon, convolutions have their own.

    Normalization layers and biases are a group of their own.
    """
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    if config.optimizer == "muon":
        precision = choose_precision(config.precision, choose_device(config.device))
        muon = Muon(
            [weight for weight in weights if weight.ndim == 4],
            lr=config.muon_learning_rate,
            momentum=config.momentum,
            nesterov=config.nesterov,
            dtype=torch.bfloat16 if precision == "bf16" else torch.float32,
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


def describe(figures: Mapping[str, Any]) -> str:
    """Add accuracies and the wait for data to a line of the log."""
    if "train_acc" not in figures:
        return ""
    wait = 1000 * figures["data_share"] * figures["step_seconds"]
    return (
        f"acc@1 {figures['train_acc']:.2f} acc@5 {figures['train_acc5']:.2f} "
        f"data {wait:.1f} ms {figures['per_second']:.0f} images/s"
    )


def measuring(config: TrainConfig, accelerator: Any) -> dict[str, Any]:
    """Return the settings of `predict` and `predict_both` for measuring as in training."""
    return {
        "device": accelerator.device,
        "crop": config.evaluation_crop,
        "batch": config.evaluation_batch,
        "precision": choose_precision(config.precision, choose_device(config.device)),
        "accelerator": accelerator,
    }


def _chosen(
    model: nn.Module, config: TrainConfig, subset: Subset, accelerator: Any
) -> dict[str, float]:
    """Return the curves' names for what the best checkpoint is chosen by."""
    found = predict(model, subset, **measuring(config, accelerator)).figures()
    return {"val_loss": found["loss"], METRIC: found["top1"], "val_acc5": found["top5"]}


def _both(lines: list[str]) -> Callable[[str], None]:
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
    fresh: list[str],
    lines: list[str],
) -> None:
    if lines:
        with (folder.path / "log.txt").open("a", encoding="utf-8", newline="\n") as file:
            file.writelines(line + "\n" for line in lines)
    if images.is_sample:
        folder.say(NOTICE.format(command="resnet-tiny"))
    facts, weights = images.facts(), sum(weight.numel() for weight in model.parameters())
    counts = " / ".join(f"{count:,}" for count in facts["images"].values())
    folder.say(
        f"{facts['name']}: {counts} images in train / hold-out / val, {facts['classes']} classes; "
        f"{config.arch} with {weights:,} weights"
    )
    if config.weights:
        folder.say(f"starts from {config.weights}; new: {', '.join(fresh) or 'nothing'}")
    if config.selection == "val":
        folder.say(
            "The best checkpoint is chosen on val itself, so its figure flatters (--selection)."
        )


def _finish(
    folder: RunDirectory, config: TrainConfig, images: Images, outcome: Outcome, accelerator: Any
) -> None:
    """Measure the chosen and the last weights on val, once; write summary, mistakes and page."""
    accelerator.wait_for_everyone()
    settings = measuring(config, accelerator)
    best = load_run(folder.path, device=accelerator.device)
    found, mirrored = predict_both(best.model, images.val, **settings)
    newest = load_run(folder.path, checkpoint="last", device=accelerator.device)
    is_same = newest.step == best.step
    last = (found if is_same else predict(newest.model, images.val, **settings)).figures()
    if not accelerator.is_main_process:
        return
    facts = figures_of(found, mirrored, images.val, images.classes)
    metrics = {
        name: facts[name] for name in ("top1", "top5", "loss", "top1_flip", "top5_flip", "ece")
    }
    metrics |= {
        "last_top1": last["top1"],
        "last_top5": last["top5"],
        "images": facts["images"],
        "chosen_on": _chosen_on(config, images),
        "chosen_acc": outcome.best,
        "starts_from": config.weights or "scratch",
    }
    facts |= {"step": best.step, "checkpoint": "best"}
    write_evaluation(folder.path, facts, found, images.val, images.classes)
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
    folder.say(
        f"val top-1 {metrics['top1']:.2f} % top-5 {metrics['top5']:.2f} % (step {best.step}, chosen on "
        f"{metrics['chosen_on']}); last {last['top1']:.2f} / {last['top5']:.2f}; with mirror images "
        f"{metrics['top1_flip']:.2f} / {metrics['top5_flip']:.2f}; trained {outcome.seconds:.1f} s"
    )
    write_page(folder)


def _chosen_on(config: TrainConfig, images: Images) -> str:
    if config.selection == "holdout":
        return f"{len(images.holdout):,} training images held out"
    return "val itself" if config.selection == "val" else "nothing, it is the last"
