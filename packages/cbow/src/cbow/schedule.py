"""The learning rate at each position, and the number of epochs that fit into a time."""

from __future__ import annotations

import tempfile
import time
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path

from cbow.config import TrainConfig
from cbow.data.dataset import Corpus, EncodedCorpus, encode
from cbow.data.synonyms import Synonyms, load_synonyms
from cbow.kernels import NEXT, STOP
from cbow.kernels.build import build_engine, compile_engine
from cbow.measure import synonym_recall
from cbow.model.weights import final_vectors, first_weights, models_of, subwords_of
from cbow.processes.team import Team
from shared.command.clock import seconds_after
from shared.errors import UserError
from shared.text.vocabulary import Vocabulary

TIMING_SECONDS = 1.0
EPOCH_SECONDS = 0.003
"""Overhead of an epoch besides training and recall: progress bar and logging, most of the time of a tiny text."""


def learning_rate(config: TrainConfig, epoch: int, block: int, length: int) -> tuple[float, float]:
    """Return the learning rate at a block's start and its slope per position in the block.

    Parameters
    ----------
    config : TrainConfig
    epoch : int
        From 0.
    block : int
        Start of the block in the encoded corpus.
    length : int
        Entries of the encoded corpus.
    """
    first = config.learning_rate
    if config.schedule == "halve":
        # Before epochs 2, 4, 6, ... counted from 1, as in the coursework: its loss of 5.24 shows it.
        return first * 0.5 ** ((epoch + 1) // config.halve_every), 0.0
    if config.schedule == "constant":
        return first, 0.0
    slope = (config.min_learning_rate - first) / (config.epochs * length)
    return first + slope * (epoch * length + block), slope


def epochs_that_fit(
    config: TrainConfig, corpus: Corpus, vocabulary: Vocabulary, team: Team, began: float
) -> TrainConfig:
    """Time training for a second on weights that are discarded, and fix the number of epochs.

    The number goes into the saved configuration, so the run itself is as deterministic as any.

    Parameters
    ----------
    config : TrainConfig
    corpus : Corpus
    vocabulary : Vocabulary
    team : Team
    began : float
        `time.monotonic()` of when the minutes began.

    Raises
    ------
    UserError
        Not one epoch fits.
    """
    assert config.minutes is not None
    synonyms = load_synonyms(corpus.synonyms) if corpus.synonyms else {}
    with tempfile.TemporaryDirectory(prefix="cbow-timing-") as folder:
        before = time.monotonic()
        encoded = encode(corpus, vocabulary, Path(folder) / "corpus.ids", quiet=True)
        encoding = time.monotonic() - before  # the run does it once more
        seconds = sum(
            _epoch_seconds(model, encoded, vocabulary, team, synonyms)
            for model in models_of(config)
        )
    spent = time.monotonic() - began + encoding + seconds_after()
    epochs = int((60 * config.minutes - spent) / seconds)
    if epochs < 1:
        raise UserError(
            f"--minutes is {config.minutes:g}, but an epoch takes about {seconds / 60:.2g} minutes here, and start, "
            f"timing and page {spent / 60:.2g}. Give more time, a smaller model, or less text with --limit."
        )
    return replace(config, epochs=epochs, minutes=None)


def _epoch_seconds(
    config: TrainConfig,
    encoded: EncodedCorpus,
    vocabulary: Vocabulary,
    team: Team,
    synonyms: Synonyms,
) -> float:
    """Return about how long an epoch of one model takes, the recall after it included."""
    subwords = subwords_of(config, vocabulary)
    weights = first_weights(config, vocabulary, subwords)
    compile_engine(config)
    engine = team.replicate(
        build_engine(config, encoded.counts, *weights, subwords), config, vocabulary
    )
    _, ids = next(encoded.blocks())
    control, began = engine.new_control(ids), time.monotonic()
    start = control[:, NEXT].copy()
    with ThreadPoolExecutor(1) as pool:
        work = pool.submit(engine.run, ids, control, engine.new_stats(), config.learning_rate)
        wait([work], timeout=TIMING_SECONDS)
        control[:, STOP] = 1
        work.result()
    rate = float((control[:, NEXT] - start).sum()) / (time.monotonic() - began)
    began = time.monotonic()
    if any(synonyms.values()):
        synonym_recall(final_vectors(config, vocabulary, subwords, *weights), synonyms, resamples=1)
    return encoded.length / rate + time.monotonic() - began + EPOCH_SECONDS
