"""Training of networks: what `shared.torch.loop` is given."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from imdb_sentiment.commands.report import write_page
from imdb_sentiment.config import MAY_CHANGE_ON_RESUME, TrainConfig
from imdb_sentiment.data.cooccurrence import vectors_of
from imdb_sentiment.data.dataset import RATINGS, Data, Reviews, glove_file
from imdb_sentiment.data.text import PAD, SPECIALS, Codec, Ids, WordCodec
from imdb_sentiment.measure import figures_for_summary, measure
from imdb_sentiment.model.network import TextNetwork, build_network, padded
from imdb_sentiment.model.trained import load_run, network_probabilities
from imdb_sentiment.train import load_data, say_end, say_start
from shared.command.options import RunOptions
from shared.runs.run_directory import RunDirectory
from shared.text.batching import bucketed_batches, padding_fraction
from shared.text.vectors import load_pretrained
from shared.torch.device import make_accelerator, seed_everything
from shared.torch.loop import Training
from shared.torch.processes import of_all, start_run
from shared.torch.sampler import Batches, Order, Share
from shared.torch.summary import write_summary

METRIC = "valid_accuracy"
POOL = 50
"""Batches that are sorted by length together: little padding, and still a different mixture in every epoch."""


def train_network(config: TrainConfig, options: RunOptions, began: float) -> Path | None:
    """Train a network into a run folder; see `train.train`."""
    accelerator = make_accelerator(config)
    data = load_data(config)
    targets = {
        name: part.targets(config.task)
        for name, part in (("train", data.train), ("valid", data.valid), ("test", data.test))
    }
    with start_run(accelerator, "imdb_sentiment", config, options, MAY_CHANGE_ON_RESUME) as run:
        if run.has_ended(write_page):
            return run.path if accelerator.is_main_process else None
        seed_everything(config.seed)  # the first weights are the same in all processes
        network, codec = make_network(config, data, run)
        examples = Examples(
            config, network.pad_id, codec.encode(data.train.texts), data.train, targets["train"]
        )
        valid_ids = codec.encode(data.valid.texts)
        weights = sum(weight.numel() for weight in network.parameters())
        say_start(run, config, data, f" with {weights:,} weights, {examples.padding():.1%} padding")

        def evaluate(plain: nn.Module) -> dict[str, float]:
            assert isinstance(plain, TextNetwork)
            chances = shared_probabilities(plain, valid_ids, accelerator)
            figures = measure(chances, data.valid, config)
            return {"valid_accuracy": figures["accuracy"], "valid_loss": figures["loss"]}

        training = Training(
            accelerator=accelerator,
            run=run,
            config=with_least_steps(config, examples.order().steps(0)),
            model=network,
            optimizers=make_optimizers(config, network),
            order=examples.order(),
            fetch=examples.fetch,
            loss_fn=LossOf(config, network, codec.unknown_id),
            evaluate=evaluate,
            metric=METRIC,
            highest=True,
            extras=lambda path: save_description(network, codec, path),
            describe=describe,
            data=data.facts(),
            started=began,
        )
        outcome = training.fit()
        if not accelerator.is_main_process:
            return None
        trained = load_run(run.path, device=accelerator.device).classifier
        metrics: dict[str, Any] = {"padding": round(examples.padding(), 4)}
        for name, part in (("valid", data.valid), ("test", data.test)):
            figures = measure(trained.probabilities(part.texts), part, config)
            metrics |= figures_for_summary(name, figures)
        write_summary(
            run,
            config,
            outcome,
            task="imdb_sentiment",
            data=data.facts(),
            model=network,
            device=accelerator.device,
            metrics=metrics,
            unit="reviews",
            highest=True,
            packages=("transformers",) if config.model == "encoder" else (),
        )
        say_end(run, metrics, outcome.seconds)
        write_page(run)
        return run.path


def shared_probabilities(
    network: TextNetwork, sequences: list[Ids], accelerator: Any
) -> NDArray[np.float64]:
    """Return the probabilities (N, C) of encoded reviews (N,), each process having judged its part of them."""
    world = accelerator.num_processes
    own = network_probabilities(network, sequences[accelerator.process_index :: world])
    found = np.zeros((len(sequences), own.shape[1]))
    for rank, part in enumerate(of_all(accelerator, own)):
        found[rank::world] = part
    return found


def make_network(config: TrainConfig, data: Data, run: RunDirectory) -> tuple[TextNetwork, Codec]:
    """Return an untrained network (or a pretrained encoder with an untrained head) and its codec."""
    if config.model == "encoder":
        from imdb_sentiment.model.encoder import pretrained_encoder

        return pretrained_encoder(config)
    codec = WordCodec.build(config, data.train.texts)
    vectors = given_vectors(config, codec, data, run)
    return build_network(config, codec.vocabulary, vectors=vectors), codec


def save_description(network: TextNetwork, codec: Codec, folder: Path) -> None:
    """Write what a checkpoint needs beside its weights."""
    codec.save(folder)
    if network.config.model == "encoder":
        network.encoder.config.save_pretrained(folder)  # type: ignore[union-attr]


def given_vectors(
    config: TrainConfig, codec: WordCodec, data: Data, run: RunDirectory
) -> NDArray[np.float32] | None:
    """Return the vectors (V, D) that a configuration begins with, or None for random ones.

    Raises
    ------
    UserError
        The file is missing or is no vector file.
    """
    path: str | Path | None = config.vectors
    if path == "reviews":
        # All of each review, not only what the network will read of it.
        whole = WordCodec(replace(config, max_tokens=1 << 30), codec.vocabulary)
        return vectors_of(
            whole.encode(data.train.texts), codec.size, config.embedding_size, specials=len(SPECIALS),
            seed=config.seed,
        )  # fmt: skip
    if path == "glove":
        path = glove_file()
        if path is None:
            run.say(
                "GloVe 6B 100d is not in the data root: random word vectors. `imdb-sentiment fetch --glove` gets it."
            )
    if path is None:
        return None
    vectors, coverage = load_pretrained(path, codec.vocabulary, seed=config.seed, pad=PAD)
    run.say(f"{Path(path).name}: {coverage}")
    return vectors


def with_least_steps(config: TrainConfig, batches: int) -> TrainConfig:
    """Return the configuration with as many epochs, of so many batches, as `least_steps` needs, if that is more."""
    if config.steps is not None or config.minutes is not None:
        return config
    epochs = math.ceil(config.least_steps / max(1, batches // config.accumulation))
    return replace(config, epochs=max(config.epochs, epochs))


class Examples:
    """The training reviews as ids, and how they are dealt out.

    Parameters
    ----------
    config : TrainConfig
    pad_id : int
    sequences : list of int arrays (N,)
    reviews : Reviews
    targets : int64 array (N,)
    """

    def __init__(
        self,
        config: TrainConfig,
        pad_id: int,
        sequences: list[Ids],
        reviews: Reviews,
        targets: NDArray[np.int64],
    ) -> None:
        self.config, self.pad_id = config, pad_id
        self.sequences, self.targets = sequences, targets
        # 5 and 6, of which the publisher's reviews have none, are taken for 7.
        self.ratings = np.searchsorted(RATINGS, reviews.ratings)
        longest = config.crop or config.max_tokens
        self.lengths = np.array([min(len(ids), longest) for ids in sequences])

    def order(self) -> Order:
        """Return the course of the training reviews."""
        return Batches(self._deal)

    def fetch(self, share: Share) -> dict[str, Any]:
        """Return a batch: ids (B, T), lengths, targets and ratings (B,)."""
        chosen = [self._cropped(self.sequences[i]) for i in share.indices.tolist()]
        ids, lengths = padded(chosen, self.config, self.pad_id)
        return {
            "ids": ids,
            "lengths": lengths,
            "targets": torch.from_numpy(self.targets[share.indices]),
            "ratings": torch.from_numpy(self.ratings[share.indices]),
        }

    def padding(self) -> float:
        """Return the part of the batches that is padding, 0 to 1."""
        if self.config.padding == "front":
            return float(1 - self.lengths.mean() / self.config.max_tokens)
        return padding_fraction(self._deal(0), self.lengths)

    def _deal(self, epoch: int) -> list[NDArray[np.int64]]:
        pool = POOL if self.config.bucket else 1
        lengths = self.lengths if self.config.bucket else np.zeros_like(self.lengths)
        size, seed = self.config.batch_size, self.config.seed
        return bucketed_batches(lengths, batch_size=size, seed=seed, epoch=epoch, pool=pool)

    def _cropped(self, ids: Ids) -> Ids:
        size = self.config.crop
        if size is None or len(ids) <= size:
            return ids
        first = np.random.randint(len(ids) - size + 1)  # the loader has seeded it for this batch
        return ids[first : first + size]


class LossOf:
    """The loss of a batch: cross-entropy, with what the configuration adds to it."""

    def __init__(self, config: TrainConfig, network: TextNetwork, unknown_id: int) -> None:
        self.config, self.network, self.unknown_id = config, network, unknown_id

    def __call__(
        self, wrapped: nn.Module, batch: Mapping[str, Tensor]
    ) -> tuple[Tensor, int, dict[str, Any]]:
        """Return the loss' sum over the batch, the number of reviews, and sums of right answers and of plain loss."""
        ids, lengths, targets = (
            self._with_dropped_words(batch["ids"]),
            batch["lengths"],
            batch["targets"],
        )
        shift = self._shift(ids, batch) if self.config.adversarial else None
        logits, ratings = wrapped(ids, lengths, shift)
        loss = self._loss(logits, ratings, batch)
        with torch.no_grad():
            plain = F.cross_entropy(logits.float(), targets, reduction="sum")
            right = (logits.argmax(-1) == targets).sum()
        return loss, len(targets), {"accuracy": right, "nll": plain}

    def _loss(self, logits: Tensor, ratings: Tensor | None, batch: Mapping[str, Tensor]) -> Tensor:
        smooth = self.config.label_smoothing
        loss = F.cross_entropy(
            logits.float(), batch["targets"], reduction="sum", label_smoothing=smooth
        )
        if ratings is not None:
            second = F.cross_entropy(ratings.float(), batch["ratings"], reduction="sum")
            loss = loss + self.config.rating_weight * second
        return loss

    def _shift(self, ids: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """Return the small change of the word vectors (B, T, D) that raises the loss most.

        References
        ----------
        Miyato et al. 2017, arXiv 1605.07725, equations 3 and 4; its length is relative to the vectors' own here, so
        that larger vectors gain nothing.
        """
        vectors = self.network.vectors(ids).detach()
        shift = torch.zeros_like(vectors, requires_grad=True)
        logits, ratings = self.network(ids, batch["lengths"], shift)
        loss = self._loss(logits, ratings, batch)
        (gradient,) = torch.autograd.grad(loss, shift)
        sizes = vectors.flatten(1).norm(dim=1) / gradient.flatten(1).norm(dim=1).clamp(min=1e-12)
        return self.config.adversarial * sizes[:, None, None] * gradient

    def _with_dropped_words(self, ids: Tensor) -> Tensor:
        share = self.config.word_dropout
        if not share:
            return ids
        is_dropped = torch.rand(ids.shape, device=ids.device) < share
        if self.config.model == "encoder":
            is_dropped[:, 0] = False  # its own mark
        is_dropped &= ids != self.network.pad_id  # no mask is made of this: lengths are
        return ids.masked_fill(is_dropped, self.unknown_id)


def make_optimizers(config: TrainConfig, network: TextNetwork) -> list[torch.optim.Optimizer]:
    """Return the optimizer; word vectors and an encoder's head have rates of their own, and biases no decay."""
    groups = []
    for name, weight in network.named_parameters():
        if not weight.requires_grad:
            continue
        factor = 1.0
        if name.startswith(("embedding.", "stems.")):
            factor = config.vector_rate
        elif config.model == "encoder" and ("low_rank" in name or name.startswith("head.")):
            factor = config.head_rate
        decay = config.weight_decay if weight.ndim > 1 else 0.0
        groups.append(((config.learning_rate * factor, decay), weight))
    named = [
        {
            "params": [w for key, w in groups if key == chosen],
            "lr": chosen[0],
            "weight_decay": chosen[1],
        }
        for chosen in dict.fromkeys(key for key, _ in groups)
    ]
    if config.optimizer == "sgd":
        return [torch.optim.SGD(named, lr=config.learning_rate, momentum=config.momentum)]
    kind = torch.optim.Adam if config.optimizer == "adam" else torch.optim.AdamW
    return [kind(named, lr=config.learning_rate, fused=True)]


def describe(figures: Mapping[str, Any]) -> str:
    """Say the accuracy of a line of the log."""
    if "train_accuracy" in figures:
        return f"accuracy {figures['train_accuracy']:.4f}"
    return ""
