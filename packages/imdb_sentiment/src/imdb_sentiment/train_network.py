"""Training of networks: what `shared.torch.loop` is given.

Shapes: B batch, T time in tokens, D dimension of a word vector, C classes, N reviews.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from imdb_sentiment.config import MAY_CHANGE_ON_RESUME, TrainConfig
from imdb_sentiment.data.cooccurrence import vectors_of
from imdb_sentiment.data.dataset import glove_file, load_data
from imdb_sentiment.data.reviews import RATINGS, Data, Reviews
from imdb_sentiment.data.splits import folds_of
from imdb_sentiment.data.text import PAD, SPECIALS, Codec, Ids, WordCodec
from imdb_sentiment.measure import figures_for_summary, measure
from imdb_sentiment.model.build import build_network
from imdb_sentiment.model.log_count_ratios import count_ratios
from imdb_sentiment.model.lstm import HandwrittenLSTM
from imdb_sentiment.model.network import TextNetwork, padded
from imdb_sentiment.model.trained import load, network_probabilities, save_classes
from imdb_sentiment.run_log import say_end, say_start
from shared.command import clock
from shared.command.options import RunOptions
from shared.text.batching import bucketed_batches, padding_fraction
from shared.text.vectors import load_pretrained
from shared.torch.device import make_accelerator, seed_everything
from shared.torch.loop import Training
from shared.torch.muon import make_muon
from shared.torch.processes import TrialRun, of_all, start_run
from shared.torch.range_test import find_learning_rate
from shared.torch.sampler import Batches, Order, Shard
from shared.torch.summary import write_summary

METRIC = "valid_accuracy"
POOL = 50
"""Batches that are sorted by length together: little padding, and still a different mixture in every epoch."""


def train_network(config: TrainConfig, options: RunOptions) -> Path | None:
    """Train a network into a run folder; see `train.train`."""
    began = clock.began()
    accelerator = make_accelerator(config)
    data = load_data(config)
    config, note = with_glove_file(config)
    lacks_ratings = config.rating_weight > 0 and not data.train.ratings.all()
    if lacks_ratings:
        config = replace(config, rating_weight=0.0)
    targets = {
        name: part.targets(config.task)
        for name, part in (("train", data.train), ("valid", data.valid), ("test", data.test))
    }
    with start_run(accelerator, "imdb_sentiment", config, options, MAY_CHANGE_ON_RESUME) as run:
        if run.has_ended():
            return run.path if accelerator.is_main_process else None
        if note:
            run.say(note)
        seed_everything(config.seed)  # the initial weights are the same in all processes
        classes = data.classes(config.task)
        network, codec = make_network(config, data, len(classes), run.say)
        examples = Examples(
            config, network.pad_id, codec.encode(data.train.texts), data.train, targets["train"]
        )
        valid_ids = codec.encode(data.valid.texts)
        weights = sum(weight.numel() for weight in network.parameters())
        details = f"with {weights:,} weights, {examples.padding():.1%} padding"
        say_start(run, config, data, details)
        if lacks_ratings:
            run.say(
                "The reviews have no star ratings: training without the loss on ratings (--rating-weight 0)."
            )
        planned = with_min_steps(config, examples.order().steps(0))
        if planned.epochs > config.epochs and not isinstance(run, TrialRun):
            run.say(
                f"Training takes {planned.epochs} epochs instead of {config.epochs}, "
                f"to reach {config.min_steps} updates (--min-steps)."
            )

        def evaluate(plain: nn.Module) -> dict[str, float]:
            assert isinstance(plain, TextNetwork)
            probabilities = distributed_probabilities(plain, valid_ids, accelerator)
            figures = measure(probabilities, data.valid, config)
            return {"valid_accuracy": figures["accuracy"], "valid_loss": figures["loss"]}

        training = Training(
            accelerator=accelerator,
            run=run,
            config=planned,
            model=network,
            optimizers=make_optimizers(config, network),
            order=examples.order(),
            fetch=examples.fetch,
            loss_fn=Loss(config, network, codec.unknown_id),
            evaluate=evaluate,
            metric=METRIC,
            highest=True,
            state=getattr(network, "carried", None),
            extras=lambda path: save_description(network, codec, classes, path),
            describe=describe,
            # Valid and test are measured after training; `--minutes` leaves time for both.
            evaluations_after=1 + len(data.test.texts) / max(1, len(data.valid.texts)),
            data=data.facts(),
            started=began,
        )
        if isinstance(run, TrialRun):
            find_learning_rate(training, run)
            return None
        outcome = training.fit()
        if not accelerator.is_main_process:
            return None
        trained = load(run.path, device=accelerator.device)
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
        return run.path


def distributed_probabilities(
    network: TextNetwork, sequences: list[Ids], accelerator: Any
) -> NDArray[np.float64]:
    """Return the probabilities (N, C) of encoded reviews (N,); each process computes its part of them."""
    world = accelerator.num_processes
    own = network_probabilities(network, sequences[accelerator.process_index :: world])
    probabilities = np.zeros((len(sequences), own.shape[1]))
    for rank, part in enumerate(of_all(accelerator, own)):
        probabilities[rank::world] = part
    return probabilities


def make_network(
    config: TrainConfig, data: Data, classes: int, say: Callable[[str], object] = print
) -> tuple[TextNetwork, Codec]:
    """Return an untrained network (or a pretrained encoder with an untrained head) and its codec."""
    if config.init is not None:
        from imdb_sentiment.model.initial import network_from_run

        return network_from_run(config, data.train, data.classes(config.task), say)
    if config.model == "encoder":
        from imdb_sentiment.model.encoder import pretrained_encoder

        return pretrained_encoder(config, classes)
    codec = WordCodec.build(config, data.train.texts)
    whole = codec.whole(data.train.texts)
    vectors = initial_vectors(config, codec, whole, say)
    ratios = count_ratios(config, codec.vocabulary, data.train, whole)
    network = build_network(
        config, codec.vocabulary, classes=classes, vectors=vectors, ratios=ratios
    )
    return network, codec


def save_description(
    network: TextNetwork, codec: Codec, classes: tuple[str, ...], folder: Path
) -> None:
    """Write what a checkpoint needs beside its weights."""
    codec.save(folder)
    save_classes(classes, folder)
    encoder: Any = getattr(network, "encoder", None)
    if encoder is not None:
        encoder.config.save_pretrained(folder)


def with_glove_file(config: TrainConfig) -> tuple[TrainConfig, str]:
    """Replace `vectors: glove` by the file, or by null, so that the saved configuration repeats the run.

    Returns
    -------
    config : TrainConfig
    note : str
        What it has become, for the log; empty where it was not asked for.
    """
    if config.vectors != "glove":
        return config, ""
    file = glove_file()
    if file is not None:
        return replace(config, vectors=str(file)), f"vectors: glove is {file}"
    note = "GloVe 6B 100d is not in the data root: random word vectors. `imdb-sentiment fetch --glove` gets it."
    return replace(config, vectors=None), note


def initial_vectors(
    config: TrainConfig,
    codec: WordCodec,
    whole: Callable[[], list[Ids]],
    say: Callable[[str], object],
) -> NDArray[np.float32] | None:
    """Return the pretrained vectors (V, D) of a configuration, or None for random ones.

    `whole` gives the ids of whole training reviews, for `vectors: reviews`.

    Raises
    ------
    UserError
        The file is missing or is no vector file.
    """
    path = config.vectors
    if path == "reviews":
        return vectors_of(
            whole(),
            codec.size,
            config.embedding_size,
            specials=len(SPECIALS),
            seed=config.seed,
        )
    if path is None:
        return None
    vectors, coverage = load_pretrained(path, codec.vocabulary, seed=config.seed, pad=PAD)
    say(f"{Path(path).name}: {coverage}")
    return vectors


def with_min_steps(config: TrainConfig, batches: int) -> TrainConfig:
    """Return the configuration with the epochs, of so many batches, that `min_steps` needs, if those are more."""
    if config.steps is not None or config.minutes is not None:
        return config
    epochs = math.ceil(config.min_steps / max(1, batches // config.accumulation))
    return replace(config, epochs=max(config.epochs, epochs))


class Examples:
    """The training reviews as token ids, in batches.

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
        # 5 and 6, which no review of the publisher has, count as 7.
        self.ratings = np.searchsorted(RATINGS, reviews.ratings)
        self.folds = folds_of(reviews) if config.log_count_ratios is not None else None
        longest = config.crop or config.max_tokens
        self.lengths = np.array([min(len(ids), longest) for ids in sequences])

    def order(self) -> Order:
        """Return which reviews make which batch."""
        return Batches(self._batches)

    def fetch(self, shard: Shard) -> dict[str, Any]:
        """Return a batch: ids (B, T), lengths, targets and ratings (B,); with log-count ratios also folds (B,)."""
        chosen = [self._cropped(self.sequences[i]) for i in shard.indices.tolist()]
        ids, lengths = padded(chosen, self.config, self.pad_id)
        folds = self.folds
        return {
            "ids": ids,
            "lengths": lengths,
            "targets": torch.from_numpy(self.targets[shard.indices]),
            "ratings": torch.from_numpy(self.ratings[shard.indices]),
            **({} if folds is None else {"folds": torch.from_numpy(folds[shard.indices])}),
        }

    def padding(self) -> float:
        """Return the fraction of the batches that is padding, 0 to 1."""
        if self.config.padding == "front":
            return float(1 - self.lengths.mean() / self.config.max_tokens)
        return padding_fraction(self._batches(0), self.lengths)

    def _batches(self, epoch: int) -> list[NDArray[np.int64]]:
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


class Loss:
    """The loss of a batch: cross entropy, and what the configuration adds to it.

    Parameters
    ----------
    config : TrainConfig
    network : TextNetwork
        The unwrapped network.
    unknown_id : int
        What a dropped word is replaced by.
    """

    def __init__(self, config: TrainConfig, network: TextNetwork, unknown_id: int) -> None:
        self.config, self.network, self.unknown_id = config, network, unknown_id

    def __call__(
        self, wrapped: nn.Module, batch: Mapping[str, Tensor]
    ) -> tuple[Tensor, int, dict[str, Any]]:
        """Return the loss summed over the batch, the number of reviews, and sums of correct ones and of plain loss."""
        ids = self._with_dropped_words(batch["ids"])  # (B, T)
        targets = batch["targets"]  # (B,)
        shift = self._adversarial_shift(ids, batch) if self.config.adversarial else None
        # (B, C), and (B, 8) or None
        logits, ratings = wrapped(ids, batch["lengths"], shift, batch.get("folds"))
        loss = self._loss(logits, ratings, batch)
        with torch.no_grad():
            plain = F.cross_entropy(logits.float(), targets, reduction="sum")
            correct = (logits.argmax(-1) == targets).sum()
        return loss, len(targets), {"accuracy": correct, "nll": plain}

    def _loss(self, logits: Tensor, ratings: Tensor | None, batch: Mapping[str, Tensor]) -> Tensor:
        scores, smoothing = logits.float(), self.config.label_smoothing
        if self.config.softmax_first:
            # DEFECT: cross_entropy takes -log softmax of its input. Of probabilities, in [0, 1], the softmax of the
            # target is at most e / (e + C - 1): the loss has a floor (0.3133 for C = 2), and gradients are small.
            scores = scores.softmax(-1)
        # L = -sum_c q_c log p_c; label smoothing (Szegedy et al. 2016, arXiv 1512.00567, section 7) spreads q.
        loss = F.cross_entropy(scores, batch["targets"], reduction="sum", label_smoothing=smoothing)
        if ratings is not None:
            auxiliary = F.cross_entropy(ratings.float(), batch["ratings"], reduction="sum")
            loss = loss + self.config.rating_weight * auxiliary
        return loss

    def _adversarial_shift(self, ids: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """Return the small change of the word vectors (B, T, D) that raises the loss most.

        References
        ----------
        Miyato et al. 2017, arXiv 1605.07725, equations 3 to 5; epsilon is relative to the norm of the vectors here, so
        that larger vectors gain nothing.
        """
        vectors = self.network.vectors(ids, batch.get("folds")).detach()
        shift = torch.zeros_like(vectors, requires_grad=True)
        logits, ratings = self.network.from_vectors(vectors + shift, batch["lengths"])
        (gradient,) = torch.autograd.grad(self._loss(logits, ratings, batch), shift)  # g, eq. 5
        # Word vectors alone: no change of a text is so small that it changes what was counted a little.
        gradient[..., gradient.shape[-1] - self.network.counted :] = 0
        norms = gradient.flatten(1).norm(dim=1).clamp(min=1e-12)  # ||g||, (B,)
        sizes = vectors.flatten(1).norm(dim=1) / norms
        return self.config.adversarial * sizes[:, None, None] * gradient  # epsilon g / ||g||

    def _with_dropped_words(self, ids: Tensor) -> Tensor:
        p = self.config.word_dropout
        if not p:
            return ids
        is_dropped = torch.rand(ids.shape, device=ids.device) < p
        if self.config.model == "encoder":
            is_dropped[:, 0] = False  # its special token
        is_dropped &= ids != self.network.pad_id  # no mask is made of this: lengths are
        return ids.masked_fill(is_dropped, self.unknown_id)


def make_optimizers(config: TrainConfig, network: TextNetwork) -> list[torch.optim.Optimizer]:
    """Return the optimizers; word vectors and an encoder's head have learning rates of their own, biases no decay.

    With Muon, the matrices of the LSTM are its own.
    """
    matrices: list[nn.Parameter] = []
    if config.optimizer == "muon":
        layers = [m for m in network.modules() if isinstance(m, HandwrittenLSTM | nn.LSTM)]
        matrices = [weight for layer in layers for weight in layer.parameters() if weight.ndim == 2]
    taken = {id(weight) for weight in matrices}
    groups = []
    for name, weight in network.named_parameters():
        if not weight.requires_grad or id(weight) in taken:
            continue
        factor = 1.0
        if name.startswith(("embedding.", "prefixes.")):
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
    optimizers: list[torch.optim.Optimizer] = [kind(named, lr=config.learning_rate, fused=True)]
    if matrices:
        # Each gate of an LSTM is a matrix.
        muon = make_muon(
            config, matrices, weight_decay=config.weight_decay, rows=config.hidden_size
        )
        optimizers.append(muon)
    return optimizers


def describe(figures: Mapping[str, Any]) -> str:
    """Return what a line of the log says beside the loss."""
    if "train_accuracy" in figures:
        return f"accuracy {100 * figures['train_accuracy']:.2f} %"
    return ""
