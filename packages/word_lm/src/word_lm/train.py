"""Training: text, model, optimizer and loss, handed to the loop in `shared.torch.loop`."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from shared.command import clock
from shared.command.options import RunOptions
from shared.data.samples import sample_notice
from shared.errors import UserError
from shared.runs.run_directory import RunDirectory
from shared.torch.device import make_accelerator, seed_everything
from shared.torch.loop import Training
from shared.torch.position import Outcome
from shared.torch.processes import TrialRun, start_run
from shared.torch.range_test import find_learning_rate
from shared.torch.summary import write_summary
from shared.torch.word_vectors import cooccurrence_vectors
from word_lm.config import MAY_CHANGE_ON_RESUME, TrainConfig
from word_lm.data.dataset import Text, load_text
from word_lm.data.segments import Segments
from word_lm.measures.protocols import finite, perplexity, unknown_warning
from word_lm.measures.training import evaluate
from word_lm.model.base import LanguageModel, State, detach, each_tensor
from word_lm.model.build import build_model
from word_lm.model.start import copy_vectors, copy_weights
from word_lm.model.trained import VOCABULARY, load_run

METRIC = "valid_loss"
"""Chooses the best checkpoint: mean negative log-likelihood of the validation text, in nats per token."""
PART = 1 / 8
"""Fraction of the validation text that `--minutes` times an evaluation with."""
WINDOW = 5
"""Words to each side that count as neighbors for the initial word vectors, weighted by 1 / distance."""
STANDARD_DEVIATION = 0.125
"""Standard deviation of the initial word vectors that are made of the training text."""


def train(config: TrainConfig, options: RunOptions) -> Path | None:
    """Train a language model; the run ends with `summary.json`.

    Returns
    -------
    Path or None
        The run folder; None in all processes but the first, and with --find-learning-rate.

    Raises
    ------
    UserError
        The data, the folder or a setting cannot be used; the loss is no longer finite.
    Interrupted
        After Ctrl-C or SIGTERM, once a checkpoint is saved.
    """
    started = clock.began()
    accelerator = make_accelerator(config)
    start = None if config.init is None else load_run(config.init)
    if start is not None:  # more words make no new cluster
        size = len(start.vocabulary)
        config = replace(config, cutoffs=tuple(cut for cut in config.cutoffs if cut < size))
    text = load_text(config, None if start is None else start.vocabulary)
    segments = Segments(
        text.splits["train"],
        config.batch_size,
        config.bptt,
        vary=config.vary_bptt,
        seed=config.seed,
    )
    with start_run(accelerator, "word_lm", config, options, MAY_CHANGE_ON_RESUME) as folder:
        if folder.has_ended():
            return folder.path if accelerator.is_main_process else None
        seed_everything(config.seed)  # the same initial weights in all processes
        model = build_model(config, len(text.vocabulary))
        if config.output_bias == "frequency":
            # Counts of the training text only; those of the vocabulary include valid and test.
            counts = np.bincount(text.splits["train"], minlength=len(text.vocabulary))
            model.head.start_from_counts(torch.from_numpy(counts))
        if config.vectors == "train" and start is None:
            _start_from_text(model, config, text)
        _log_start(folder, config, text, model)
        if start is not None:
            new = copy_weights(model, start)
            folder.say(f"starts from {start.path}; {new:,} words are new")
        carried = CarriedState()
        updates = max(1, segments.steps(0) // config.accumulation)  # in an epoch
        training = Training(
            accelerator=accelerator,
            run=folder,
            # A line an epoch at least, so that short runs have curves.
            config=replace(config, log_every=min(config.log_every, updates)),
            model=model,
            optimizers=make_optimizers(config, model),
            order=segments,
            fetch=segments.fetch,
            loss_fn=SegmentLoss(config, model, carried),
            evaluate=lambda plain: _valid(plain, config, text),
            evaluate_part=(lambda plain: _valid(plain, config, text, PART), PART),
            metric=METRIC,
            rate_factor=segments.rate_factor if config.vary_bptt else None,
            state=carried,
            extras=lambda path: text.vocabulary.save(path / VOCABULARY),
            describe=LogLine(),
            evaluations_after=1 + len(text.splits["test"]) / len(text.splits["valid"]),
            data=text.facts(),
            started=started,
        )
        if isinstance(folder, TrialRun):
            find_learning_rate(training, folder)
            return None
        outcome = training.fit()
        if not accelerator.is_main_process:
            return None
        _finish(folder, config, text, outcome, accelerator.device)
        return folder.path


def _start_from_text(model: LanguageModel, config: TrainConfig, text: Text) -> None:
    vectors = cooccurrence_vectors(
        [text.splits["train"].astype(np.int32)],
        len(text.vocabulary),
        config.embedding_size,
        config.seed,
        window=WINDOW,
        deviation=STANDARD_DEVIATION,
        iterations=1,  # more changed nothing in the perplexity
    )
    copy_vectors(model, torch.from_numpy(vectors))


class CarriedState:
    """The hidden state carried from one segment to the next, which the loop saves in checkpoints."""

    def __init__(self) -> None:
        self.state: State = None

    def state_dict(self) -> dict[str, Any]:
        """Return the state under a name."""
        return {"state": self.state}

    def load_state_dict(self, values: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self.state = _as_tuples(values["state"])


class SegmentLoss:
    """The loss of a batch; it carries the state on to the next one."""

    def __init__(self, config: TrainConfig, model: LanguageModel, carried: CarriedState) -> None:
        self.config, self.model, self.carried = config, model, carried

    def __call__(
        self, wrapped: nn.Module, batch: dict[str, Any]
    ) -> tuple[Tensor, int, dict[str, Any]]:
        """Return the loss summed over the batch, the number of words, and the sum without penalties."""
        inputs, targets = batch["inputs"], batch["targets"]  # (T, B)
        if batch["is_first"] or not self.config.carry:
            self.carried.state = self.model.init_state(inputs.shape[1])
        state = each_tensor(self.carried.state, lambda part: part.to(inputs.device))
        nll, penalty, state = wrapped(inputs, state, targets)
        # Truncated back-propagation through time: the next segment starts from this state as a constant.
        self.carried.state = detach(state) if self.config.carry else None
        # The loop divides the sum by the count, so the penalty, a mean, is multiplied by it here.
        return nll + penalty * targets.numel(), targets.numel(), {"nll": nll.detach()}


def make_optimizers(config: TrainConfig, model: LanguageModel) -> list[torch.optim.Optimizer]:
    """Return the optimizers of a model.

    AdamW in torch updates every row of an embedding at every step. Where the embedding has a sparse gradient, its rows
    are updated by `SparseAdam`, only when their words occur and without weight decay; all other weights by AdamW.
    """
    rate, decay = config.learning_rate, config.weight_decay
    if config.optimizer == "sgd":
        return [torch.optim.SGD(model.parameters(), lr=rate, weight_decay=decay)]
    is_sparse = isinstance(model.embedding, nn.Embedding) and model.embedding.sparse
    rows = list(model.embedding.parameters()) if is_sparse else []
    others = [weight for weight in model.parameters() if all(weight is not row for row in rows)]
    betas = (0.9, config.beta2)
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(others, lr=rate, betas=betas, weight_decay=decay, fused=True)
    ]
    if rows:
        optimizers.append(torch.optim.SparseAdam(rows, lr=rate, betas=betas))
    return optimizers


class LogLine:
    """What pytorch/examples adds to the lines of its log: the perplexity, and the time since the last evaluation."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def __call__(self, figures: Mapping[str, Any]) -> str:
        """Return the end of a line about these figures."""
        if METRIC in figures:
            seconds, self._last = time.monotonic() - self._last, time.monotonic()
            return f"valid ppl {perplexity(figures[METRIC], 1):.2f} time: {seconds:.2f} s"
        if "train_nll" in figures:
            return f"ppl {perplexity(figures['train_nll'], 1):.2f}"
        return ""


def _valid(
    model: nn.Module, config: TrainConfig, text: Text, fraction: float = 1.0
) -> dict[str, float]:
    assert isinstance(model, LanguageModel)
    ids = text.splits["valid"]
    result = evaluate(model, config, ids[: max(2, int(fraction * len(ids)))])
    loss = result.nll / result.predicted
    if not math.isfinite(result.perplexity):
        raise UserError(
            f"The model has diverged: its valid loss is {loss:.4g} nats per token, and equal probabilities for all "
            f"{len(text.vocabulary):,} words have {math.log(len(text.vocabulary)):.1f}. Training stops here; "
            "earlier checkpoints are kept. Lower --learning-rate or set --clip-norm, and train into another --out."
        )
    return {METRIC: loss}


def _log_start(folder: RunDirectory, config: TrainConfig, text: Text, model: nn.Module) -> None:
    if text.is_sample:
        folder.say(sample_notice("word-lm", config.data))
    facts, weights = text.facts(), sum(weight.numel() for weight in model.parameters())
    counts = " / ".join(f"{count:,}" for count in facts["tokens"].values())
    for note in text.notes:
        folder.say(f"{facts['name']}: {note}")
    folder.say(
        f"{facts['name']}: {counts} tokens in train / valid / test, vocabulary of {facts['vocabulary']:,}; "
        f"{config.model} with {weights:,} parameters"
    )


def _finish(
    folder: RunDirectory, config: TrainConfig, text: Text, outcome: Outcome, device: torch.device
) -> None:
    """Evaluate the best weights on valid and test, as `word-lm evaluate` does, and write the summary."""
    model = load_run(folder.path, device=device).model
    results = {
        name: evaluate(model, config, text.splits[name], text.vocabulary)
        for name in ("valid", "test")
    }
    metrics: dict[str, Any] = {}
    for name, result in results.items():
        metrics |= {
            f"{name}_ppl": finite(result.perplexity),
            f"{name}_loss": result.nll / result.predicted,
            f"{name}_predicted": result.predicted,
            f"{name}_unknown": result.unknown,
        }
    metrics["protocol"] = results["test"].protocol
    write_summary(
        folder,
        config,
        outcome,
        task="word_lm",
        data=text.facts(),
        model=model,
        device=device,
        metrics=metrics,
        unit="tokens",
    )
    valid, test = results["valid"], results["test"]
    folder.say(
        f"test loss {metrics['test_loss']:.4f} test ppl {test.perplexity:.2f} valid ppl {valid.perplexity:.2f} "
        f"({test.protocol}; {100 * metrics['test_unknown']:.1f} % <unk>); trained {outcome.seconds:.1f} s"
    )
    warning = unknown_warning(metrics["test_unknown"])
    if warning:
        folder.say(warning)


def _as_tuples(value: Any) -> State:
    """Return a state as nested tuples, whatever sequences it was saved as."""
    return tuple(_as_tuples(part) for part in value) if isinstance(value, list | tuple) else value
