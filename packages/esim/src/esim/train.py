"""Training: data, model, optimizers and loss, handed to the loop in `shared.torch.loop`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from esim.config import MAY_CHANGE_ON_RESUME, TrainConfig
from esim.data.dataset import Data, Pairs, batch_of, load_data
from esim.data.vectors import load_vectors, resolve
from esim.measure import accuracy_and_loss, scoring_batch
from esim.model.esim import VOCABULARY, Esim
from esim.model.trained import load_run
from shared.calibration import caution
from shared.command import clock
from shared.command.options import RunOptions
from shared.data.samples import sample_notice
from shared.runs.run_directory import RunDirectory
from shared.text.batching import bucketed_batches
from shared.text.tokenizers import has_phrases
from shared.torch.device import make_accelerator, seed_everything
from shared.torch.loop import Training
from shared.torch.muon import hidden_matrices, make_muon
from shared.torch.position import Outcome
from shared.torch.processes import TrialRun, start_run
from shared.torch.range_test import find_learning_rate
from shared.torch.sampler import Batches, Shard
from shared.torch.summary import write_summary

METRIC = "valid_accuracy"
KEYS = {"dev": "valid", "test": "test"}
"""What a split's figures are called in metrics.jsonl and summary.json."""


def train(config: TrainConfig, options: RunOptions) -> Path | None:
    """Train a model into a run folder; dev chooses the weights, test is measured once, at the end.

    Returns
    -------
    Path or None
        The folder; None in all processes but the first, and with --find-learning-rate.

    Raises
    ------
    UserError
        The data, the folder or a setting is of no use; the loss is no longer finite.
    Interrupted
        After Ctrl-C or SIGTERM, when all is saved.
    """
    began = clock.began()
    accelerator = make_accelerator(config)
    data = load_data(config)
    pairs = data.splits["train"]
    config, note = resolve(config)
    vectors = load_vectors(config, data)
    if vectors.matrix is not None:  # a file decides; what is saved must be what was built
        config = replace(config, embedding_size=vectors.matrix.shape[1])
    facts = data.facts() | {"vectors": vectors.source}
    lengths = pairs.lengths

    def batches_of(epoch: int) -> list[Any]:
        return bucketed_batches(
            lengths, batch_size=config.batch_size, seed=config.seed, epoch=epoch, pool=config.pool
        )

    with start_run(accelerator, "esim", config, options, MAY_CHANGE_ON_RESUME) as folder:
        if folder.has_ended():
            return folder.path if accelerator.is_main_process else None
        seed_everything(config.seed)  # the initial weights are the same in all processes
        model = Esim(config, len(data.vocabulary), vectors.matrix)
        model.encoding.set_stems(data.vocabulary)
        if note:
            folder.say(note)
        _say_start(folder, config, data, model, vectors.source)
        training = Training(
            accelerator=accelerator,
            run=folder,
            config=config,
            model=model,
            optimizers=make_optimizers(config, model),
            order=Batches(batches_of),
            # A local function would not reach loading processes that are spawned.
            fetch=partial(_fetch, pairs),
            loss_fn=lambda wrapped, batch: loss_of(wrapped, batch, config.label_smoothing),
            evaluate=lambda plain: _evaluate(plain, config, data, "dev", accelerator),
            metric=METRIC,
            highest=True,
            extras=lambda path: data.vocabulary.save(path / VOCABULARY),
            describe=_describe,
            # What is measured after training; `--minutes` leaves time for it.
            evaluations_after=sum(len(data.splits[name]) for name in KEYS if name in data.splits)
            / len(data.splits["dev"]),
            data=facts,
            started=began,
        )
        if isinstance(folder, TrialRun):
            find_learning_rate(training, folder)
            return None
        outcome = training.fit()
        metrics = _final_metrics(folder, config, data, accelerator)
        if not accelerator.is_main_process:
            return None
        _finish(folder, config, facts, outcome, metrics, model, accelerator.device)
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
        Made by `batch_of`, B pairs.
    smoothing : float
        Probability mass of the target that is spread over all labels.

    Returns
    -------
    loss : float32 tensor ()
        Cross entropy in nats, summed over the pairs.
    pairs : int
        B.
    sums : dict
        `accuracy`: number of correct predictions, int64 tensor ().
    """
    inputs = dict(batch)
    labels = inputs.pop("labels")
    scores = model(**inputs).float()  # (B, C)
    # Cross entropy of the softmax over labels: the paper's training objective (section 3.3).
    total = F.cross_entropy(scores, labels, reduction="sum", label_smoothing=smoothing)
    return total, len(labels), {"accuracy": (scores.detach().argmax(1) == labels).sum()}


def make_optimizers(config: TrainConfig, model: Esim) -> list[torch.optim.Optimizer]:
    """Return the optimizers of a model.

    Adam in torch updates every row of an embedding at every step. Word vectors are updated by `SparseAdam` instead:
    when their words occur, and without weight decay. With Muon, the matrices of all layers but the last are its own.
    """
    rate, betas = config.learning_rate, (0.9, config.beta2)
    words = model.encoding.embedding.weight
    matrices: list[nn.Parameter] = []
    if config.optimizer == "muon":
        matrices = hidden_matrices(model, but=[model.classifier.layers[-1]])
    taken = {id(weight) for weight in (words, *matrices)}
    others = [w for w in model.parameters() if id(w) not in taken and w.requires_grad]
    dense = torch.optim.Adam if config.optimizer == "adam" else torch.optim.AdamW
    optimizers: list[torch.optim.Optimizer] = [
        dense(others, lr=rate, betas=betas, weight_decay=config.weight_decay, fused=True)
    ]
    if matrices:
        # Each gate of an LSTM is a matrix.
        muon = make_muon(
            config, matrices, weight_decay=config.weight_decay, rows=config.hidden_size
        )
        optimizers.append(muon)
    if words.requires_grad:
        optimizers.append(torch.optim.SparseAdam([words], lr=rate, betas=betas))
    return optimizers


def _fetch(pairs: Pairs, shard: Shard) -> dict[str, Any]:
    return batch_of(pairs, shard.indices)


def _evaluate(
    model: nn.Module, config: TrainConfig, data: Data, split: str, accelerator: Any
) -> dict[str, float]:
    size = scoring_batch(config)
    values = accuracy_and_loss(model, data.splits[split], accelerator, batch_size=size)
    return {f"{KEYS[split]}_{name}": value for name, value in values.items()}


def _describe(figures: Mapping[str, Any]) -> str:
    if "train_accuracy" in figures:
        return f"accuracy {100 * figures['train_accuracy']:.1f} %"
    return ""


def _say_start(
    folder: RunDirectory, config: TrainConfig, data: Data, model: nn.Module, vectors: str
) -> None:
    if data.is_sample:
        folder.say(sample_notice("esim", config.data))
    counts = ", ".join(f"{name} {len(pairs):,}" for name, pairs in data.splits.items())
    weights = sum(weight.numel() for weight in model.parameters())
    folder.say(
        f"{data.listing['name']}: pairs: {counts}; vocabulary {len(data.vocabulary):,} words; "
        f"model {weights:,} weights"
    )
    for note in data.notes:
        folder.say(note)
    for name, pairs in data.splits.items():
        if name in KEYS and (text := caution(name, len(pairs), "pair")):
            folder.say(text)
    if has_phrases(data.vocabulary.tokens):
        folder.say(
            "Words are whole phrases: the text has no spaces between words, as in Chinese, Japanese or Thai. "
            "--tokenizer unicode splits it into characters; --tokenizer space takes text with spaces put in."
        )
    for name, pairs in data.splits.items():
        if text := pairs.left_out():
            folder.say(f"{name}: {text}")
    _say_labels(folder, config, data.splits["train"])
    folder.say(f"vectors: {vectors}")


def _say_labels(folder: RunDirectory, config: TrainConfig, pairs: Pairs) -> None:
    names = config.label_names
    folder.say(f"training pairs by label: {pairs.by_label(names)}")
    if absent := [name for name, count in zip(names, pairs.counts, strict=True) if not count]:
        folder.say(
            f"No training pair is {' or '.join(absent)}, so the model cannot learn that label."
        )
        if not config.label_values:
            folder.say(
                "Labels 0, 1 and 2 are read as entailment, neutral and contradiction. If the data means something else "
                "by its labels, --label-values names its own words for these three, in this order."
            )


def _final_metrics(
    folder: RunDirectory, config: TrainConfig, data: Data, accelerator: Any
) -> dict[str, Any]:
    """Measure the best weights, as `esim evaluate` would."""
    accelerator.wait_for_everyone()  # the first process has written them
    model = load_run(folder.path, device=accelerator.device).model
    metrics: dict[str, Any] = {}
    for name, key in KEYS.items():
        if name in data.splits:
            with torch.no_grad():
                metrics |= _evaluate(model, config, data, name, accelerator)
            metrics[f"{key}_pairs"] = len(data.splits[name])
    return metrics


def _finish(
    folder: RunDirectory,
    config: TrainConfig,
    facts: Mapping[str, Any],
    outcome: Outcome,
    metrics: Mapping[str, Any],
    model: nn.Module,
    device: torch.device,
) -> None:
    write_summary(
        folder,
        config,
        outcome,
        task="esim",
        data=facts,
        model=model,
        device=device,
        metrics=metrics,
        unit="pairs",
        highest=True,
    )
    shown = ", ".join(
        f"{name} accuracy {100 * metrics[f'{key}_accuracy']:.2f} %"
        for name, key in KEYS.items()
        if f"{key}_accuracy" in metrics
    )
    folder.say(f"{shown}; trained {outcome.seconds:.1f} s")
