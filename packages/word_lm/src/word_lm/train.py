"""Training: the text, the model, the optimizer and the figures; the loop itself is `shared.torch.loop`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from shared.command.options import RunOptions
from shared.data.samples import NOTICE
from shared.runs.run_directory import RunDirectory
from shared.torch.device import make_accelerator, seed_everything
from shared.torch.loop import Training
from shared.torch.position import Outcome
from shared.torch.processes import start_run
from shared.torch.summary import write_summary
from word_lm.commands.report import write_page
from word_lm.config import MAY_CHANGE_ON_RESUME, TrainConfig
from word_lm.data.dataset import Text, load_text
from word_lm.data.segments import Segments
from word_lm.measures.protocols import Evaluation, examples_perplexity, perplexity
from word_lm.model.base import LanguageModel, State, state_to
from word_lm.model.trained import VOCABULARY, build_model, load_run

METRIC = "valid_loss"


class Carried:
    """The state handed on from one segment to the next: what `shared.torch.loop` saves for each process."""

    def __init__(self) -> None:
        self.state: State = None

    def state_dict(self) -> dict[str, Any]:
        """Return the state by a name."""
        return {"state": self.state}

    def load_state_dict(self, values: Mapping[str, Any]) -> None:
        """Put back what `state_dict` returned."""
        self.state = _as_tuples(values["state"])


def train(config: TrainConfig, options: RunOptions) -> Path | None:
    """Train a language model into a run folder.

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
    text = load_text(config)
    segments = Segments(
        text.splits["train"],
        config.batch_size,
        config.bptt,
        vary=config.vary_bptt,
        seed=config.seed,
    )
    with start_run(accelerator, "word_lm", config, options, MAY_CHANGE_ON_RESUME) as folder:
        if folder.has_ended(write_page):
            return folder.path if accelerator.is_main_process else None
        seed_everything(config.seed)  # the first weights are the same in all processes
        model = build_model(config, len(text.vocabulary))
        if config.output_bias == "frequency":
            # Of the training text alone; the vocabulary counts all three.
            counts = np.bincount(text.splits["train"], minlength=len(text.vocabulary))
            model.head.start_from_counts(torch.from_numpy(counts))
        _say_start(folder, config, text, model)
        carried = Carried()
        training = Training(
            accelerator=accelerator,
            run=folder,
            config=config,
            model=model,
            optimizers=make_optimizers(config, model),
            order=segments,
            fetch=segments.fetch,
            loss_fn=LossOf(config, model, carried),
            evaluate=lambda plain: _valid(plain, config, text),
            metric=METRIC,
            rate_factor=segments.rate_factor if config.vary_bptt else None,
            state=carried,
            extras=lambda path: text.vocabulary.save(path / VOCABULARY),
            describe=describe,
            data=text.facts(),
            started=began,
        )
        outcome = training.fit()
        if not accelerator.is_main_process:
            return None
        _finish(folder, config, text, outcome, accelerator.device)
        return folder.path


class LossOf:
    """The loss of a batch, with the state carried to the next one."""

    def __init__(self, config: TrainConfig, model: LanguageModel, carried: Carried) -> None:
        self.config, self.model, self.carried = config, model, carried

    def __call__(
        self, wrapped: nn.Module, batch: dict[str, Any]
    ) -> tuple[Tensor, int, dict[str, Any]]:
        """Return the loss' sum over the batch, the number of words, and the sum without penalties."""
        inputs, targets = batch["inputs"], batch["targets"]
        if batch["is_first"] or not self.config.carry:
            self.carried.state = self.model.init_state(inputs.shape[1])
        state = state_to(self.carried.state, inputs.device)
        nll, penalty, state = wrapped(inputs, state, targets)
        self.carried.state = self.model.detach(state) if self.config.carry else None
        # The loop divides by the count, so a mean such as the penalty comes in times the count.
        return nll + penalty * targets.numel(), targets.numel(), {"nll": nll.detach()}


def make_optimizers(config: TrainConfig, model: LanguageModel) -> list[torch.optim.Optimizer]:
    """Return the optimizers of a model.

    AdamW in torch updates every row of an embedding at every step. Where the embedding has a sparse gradient, its rows
    are updated by `SparseAdam`, when their words occur and without decay; all other weights by AdamW.
    """
    rate, decay = config.learning_rate, config.weight_decay
    if config.optimizer == "sgd":
        return [torch.optim.SGD(model.parameters(), lr=rate, weight_decay=decay)]
    is_sparse = isinstance(model.embedding, nn.Embedding) and model.embedding.sparse
    rows = list(model.embedding.parameters()) if is_sparse else []
    others = [w for w in model.parameters() if all(w is not row for row in rows)]
    betas = (0.9, config.beta2)
    made: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(others, lr=rate, betas=betas, weight_decay=decay, fused=True)
    ]
    if rows:
        made.append(torch.optim.SparseAdam(rows, lr=rate, betas=betas))
    return made


def measure(model: LanguageModel, config: TrainConfig, ids: Any) -> Evaluation:
    """Measure a text by the protocol of training: that of pytorch/examples.

    Parameters
    ----------
    model : LanguageModel
    config : TrainConfig
    ids : int array (N,)
        A text with fewer than two words for each column gets fewer columns.
    """
    columns = min(config.evaluation_batch, len(ids) // 2)
    return examples_perplexity(
        model, ids, batch=columns, segment=config.bptt, is_state_carried=config.carry
    )


def describe(figures: Mapping[str, Any]) -> str:
    """Say the perplexity of a line of the log."""
    if METRIC in figures:
        return f"valid ppl {perplexity(figures[METRIC], 1):.2f}"
    if "train_nll" in figures:
        return f"ppl {perplexity(figures['train_nll'], 1):.2f}"
    return ""


def _valid(model: nn.Module, config: TrainConfig, text: Text) -> dict[str, float]:
    assert isinstance(model, LanguageModel)
    found = measure(model, config, text.splits["valid"])
    return {METRIC: found.nll / found.predicted}


def _say_start(folder: RunDirectory, config: TrainConfig, text: Text, model: nn.Module) -> None:
    if text.is_sample:
        folder.say(NOTICE.format(command="word-lm"))
    facts, weights = text.facts(), sum(weight.numel() for weight in model.parameters())
    counts = " / ".join(f"{count:,}" for count in facts["tokens"].values())
    folder.say(
        f"{facts['name']}: {counts} tokens in train / valid / test, {facts['vocabulary']:,} types; "
        f"{config.model} with {weights:,} weights"
    )


def _finish(
    folder: RunDirectory, config: TrainConfig, text: Text, outcome: Outcome, device: torch.device
) -> None:
    """Measure the best weights on both texts, as `word-lm evaluate` would; write summary and page."""
    model = load_run(folder.path, device=device).model
    found = {name: measure(model, config, text.splits[name]) for name in ("valid", "test")}
    metrics: dict[str, Any] = {}
    for name, result in found.items():
        metrics |= {
            f"{name}_ppl": result.perplexity,
            f"{name}_loss": result.nll / result.predicted,
            f"{name}_predicted": result.predicted,
        }
    metrics["protocol"] = found["test"].protocol
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
    folder.say(
        f"test loss {metrics['test_loss']:.4f} test ppl {metrics['test_ppl']:.2f} "
        f"valid ppl {metrics['valid_ppl']:.2f} ({metrics['protocol']}); trained {outcome.seconds:.1f} s"
    )
    write_page(folder)


def _as_tuples(value: Any) -> State:
    """Return a state as nested tuples, whatever sequences a checkpoint made of them."""
    return tuple(_as_tuples(part) for part in value) if isinstance(value, list | tuple) else value
