"""Training: the data, the model, the optimizers and the figures; the loop itself is `shared.torch.loop`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from esim.commands.report import write_page
from esim.config import MAY_CHANGE_ON_RESUME, TrainConfig
from esim.data.dataset import Data, Pairs, batch_of, load_data
from esim.data.vectors import load_vectors
from esim.model.esim import VOCABULARY, Esim
from esim.model.trained import load_run
from esim.scores import scoring_batch, shared_sums
from shared.command.options import RunOptions
from shared.data.samples import NOTICE
from shared.runs.run_directory import RunDirectory
from shared.text.batching import bucketed_batches
from shared.torch.device import make_accelerator, seed_everything
from shared.torch.loop import Training
from shared.torch.position import Outcome
from shared.torch.processes import start_run
from shared.torch.sampler import Batches, Share
from shared.torch.summary import write_summary

METRIC = "dev_accuracy"


def train(config: TrainConfig, options: RunOptions) -> Path | None:
    """Train a model into a run folder; dev chooses the weights, test is measured once, at the end.

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
    data = load_data(config)
    pairs = data.splits["train"]
    vectors, coverage = load_vectors(config, data)
    if vectors is not None:  # a file decides; what is saved must be what was built
        config = replace(config, embedding_size=vectors.shape[1])
    lengths = pairs.lengths

    def deal(epoch: int) -> list[Any]:
        return bucketed_batches(
            lengths, batch_size=config.batch_size, seed=config.seed, epoch=epoch, pool=config.pool
        )

    with start_run(accelerator, "esim", config, options, MAY_CHANGE_ON_RESUME) as folder:
        if folder.has_ended(write_page):
            return folder.path if accelerator.is_main_process else None
        seed_everything(config.seed)  # the first weights are the same in all processes
        model = Esim(config, len(data.vocabulary), vectors)
        model.encoding.know_stems(data.vocabulary)
        _say_start(folder, data, model, coverage)
        training = Training(
            accelerator=accelerator,
            run=folder,
            config=config,
            model=model,
            optimizers=make_optimizers(config, model),
            order=Batches(deal),
            # A local function would not reach loading processes that are spawned.
            fetch=partial(_fetch, pairs),
            loss_fn=lambda wrapped, batch: loss_of(wrapped, batch, config.label_smoothing),
            evaluate=lambda plain: _measured(plain, config, data, "dev", accelerator),
            metric=METRIC,
            highest=True,
            extras=lambda path: data.vocabulary.save(path / VOCABULARY),
            describe=_describe,
            data=data.facts(),
            started=began,
        )
        outcome = training.fit()
        metrics = _final_metrics(folder, config, data, accelerator)
        if not accelerator.is_main_process:
            return None
        _finish(folder, config, data, outcome, metrics, model, accelerator.device)
        return folder.path


def loss_of(
    model: nn.Module, batch: Mapping[str, Any], smoothing: float = 0.0
) -> tuple[Tensor, int, dict[str, Tensor]]:
    """Return the loss of a batch, as `shared.torch.loop` takes it.

    Parameters
    ----------
    model : Esim
        May be wrapped.
    batch : mapping
        Of `batch_of`, B pairs.
    smoothing : float
        Share of each label's weight that is spread over all labels.

    Returns
    -------
    loss : float32 tensor ()
        Cross entropy in nats, summed over the pairs.
    pairs : int
        B.
    sums : dict
        `accuracy`: how many were right, int64 tensor ().
    """
    inputs = dict(batch)
    labels = inputs.pop("labels")
    scores = model(**inputs).float()
    total = F.cross_entropy(scores, labels, reduction="sum", label_smoothing=smoothing)
    return total, len(labels), {"accuracy": (scores.detach().argmax(1) == labels).sum()}


def make_optimizers(config: TrainConfig, model: Esim) -> list[torch.optim.Optimizer]:
    """Return the optimizers of a model.

    Adam in torch updates every row of an embedding at every step. Word vectors are updated by `SparseAdam` instead:
    when their words occur, and without decay.
    """
    rate, betas = config.learning_rate, (0.9, config.beta2)
    words = model.encoding.embedding.weight
    others = [w for w in model.parameters() if w is not words and w.requires_grad]
    kind = torch.optim.AdamW if config.optimizer == "adamw" else torch.optim.Adam
    made: list[torch.optim.Optimizer] = [
        kind(others, lr=rate, betas=betas, weight_decay=config.weight_decay, fused=True)
    ]
    if words.requires_grad:
        made.append(torch.optim.SparseAdam([words], lr=rate, betas=betas))
    return made


def _fetch(pairs: Pairs, share: Share) -> dict[str, Any]:
    return batch_of(pairs, share.indices)


def _measured(
    model: nn.Module, config: TrainConfig, data: Data, split: str, accelerator: Any
) -> dict[str, float]:
    size = scoring_batch(config)
    found = shared_sums(model, data.splits[split], accelerator, batch_size=size)
    return {f"{split}_accuracy": found["accuracy"], f"{split}_loss": found["loss"]}


def _describe(figures: Mapping[str, Any]) -> str:
    if "train_accuracy" in figures:
        return f"accuracy {100 * figures['train_accuracy']:.1f} %"
    return ""


def _say_start(folder: RunDirectory, data: Data, model: nn.Module, coverage: Any) -> None:
    if data.is_sample:
        folder.say(NOTICE.format(command="esim"))
    counts = " / ".join(f"{len(pairs):,}" for pairs in data.splits.values())
    weights = sum(weight.numel() for weight in model.parameters())
    folder.say(
        f"{data.listing['name']}: {counts} pairs in {' / '.join(data.splits)}, "
        f"{len(data.vocabulary):,} words; {weights:,} weights"
    )
    for name, pairs in data.splits.items():
        if pairs.unlabeled or pairs.bad or pairs.cut:
            folder.say(
                f"{name}: left out {pairs.unlabeled:,} pairs without a label and {pairs.bad:,} bad lines; "
                f"{pairs.cut:,} sentences lost their ends"
            )
    if coverage is not None:
        folder.say(f"vectors: {coverage}")


def _final_metrics(
    folder: RunDirectory, config: TrainConfig, data: Data, accelerator: Any
) -> dict[str, Any]:
    """Measure the best weights, as `esim evaluate` would."""
    accelerator.wait_for_everyone()  # the first process has written them
    model = load_run(folder.path, device=accelerator.device).model
    metrics: dict[str, Any] = {}
    for name in ("dev", "test"):
        if name in data.splits:
            with torch.no_grad():
                metrics |= _measured(model, config, data, name, accelerator)
            metrics[f"{name}_pairs"] = len(data.splits[name])
    return metrics


def _finish(
    folder: RunDirectory,
    config: TrainConfig,
    data: Data,
    outcome: Outcome,
    metrics: Mapping[str, Any],
    model: nn.Module,
    device: torch.device,
) -> None:
    """Write summary and page."""
    write_summary(
        folder,
        config,
        outcome,
        task="esim",
        data=data.facts(),
        model=model,
        device=device,
        metrics=metrics,
        unit="pairs",
        highest=True,
    )
    shown = " ".join(
        f"{name} accuracy {100 * metrics[f'{name}_accuracy']:.2f} %"
        for name in ("dev", "test")
        if f"{name}_accuracy" in metrics
    )
    folder.say(f"{shown}; trained {outcome.seconds:.1f} s")
    write_page(folder, data)
