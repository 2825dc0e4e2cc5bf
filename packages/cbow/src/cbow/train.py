"""The training loop: epochs over blocks of the corpus, with a bar, checkpoints, and an exact resume.

Random draws are a pure function of seed, epoch and position in the corpus, so configuration, weights and
`TrainingState` (`checkpoint.py`) are all that a resume needs. With several processes (`processes/`) the first one
runs this file. One step of SGD is in `model/reference.py`, to be read, and in `kernels/`, compiled.

With `twin` a run trains two models one after the other. They have nothing in common but the corpus, so each is what a
run of its own with its settings would be. The vectors of the first lie in the run folder until both are joined.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cbow.checkpoint import TrainingState, command, model_of, restore, save
from cbow.config import MAY_CHANGE_ON_RESUME, TrainConfig
from cbow.data.dataset import Corpus, EncodedCorpus, count_words, encode, find_corpus
from cbow.data.synonyms import load_synonyms
from cbow.kernels import LOSS, NEXT, SAMPLES, STOP, WORDS, stream_key
from cbow.kernels.arithmetic import is_cached
from cbow.kernels.build import build_engine, compile_engine
from cbow.measure import NEIGHBORS, recall_lines, synonym_recall
from cbow.model.trained import SYNONYMS, VECTORS, VOCABULARY
from cbow.model.vectors import WordVectors, joined
from cbow.model.warm_start import check_source, set_trained_weights
from cbow.model.weights import final_vectors, first_weights, models_of, subwords_of
from cbow.processes.team import Team
from cbow.schedule import epochs_that_fit, learning_rate
from shared.command import clock
from shared.command import config as configuration
from shared.command.options import RunOptions
from shared.data.samples import sample_notice
from shared.errors import UserError
from shared.files import shell_quoted, whole_file
from shared.interrupt import Interrupted, StopRequest
from shared.progress import progress_bar
from shared.runs.run_directory import RunDirectory, versions
from shared.text.vocabulary import Vocabulary

IDS = "corpus.ids"
FIRST_MODEL = "first-model.safetensors"


def train(config: TrainConfig, options: RunOptions, team: Team | None = None) -> Path:
    """Train word vectors into a run folder, up to `summary.json`.

    Parameters
    ----------
    config : TrainConfig
    options : RunOptions
    team : Team, optional
        The processes that train, of which this is the first; default: this one alone.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    UserError
        The data, the folder or a setting cannot be used; the loss is no longer finite.
    Interrupted
        After Ctrl-C or SIGTERM, when all is saved.
    """
    began = clock.began()
    resumed = Path(options.out) if options.resume and options.out else None
    if resumed and config.minutes is not None and (resumed / "config.yaml").is_file():
        # The run's own number of epochs was fixed when it started; a recipe may have another.
        epochs = configuration.load(TrainConfig, resumed / "config.yaml").epochs
        config = replace(config, minutes=None, epochs=epochs)
    team = team or Team()
    corpus = find_corpus(config)
    has_trained = resumed is not None and any((resumed / "checkpoints").glob("step-*"))
    if resumed and has_trained and (resumed / VOCABULARY).is_file():
        vocabulary = Vocabulary.load(resumed / VOCABULARY)
    else:
        known = check_source(config) if config.init is not None else None
        say = None if options.quiet else print
        vocabulary = count_words(corpus, config, known, say=say, quiet=options.quiet)
    minutes = config.minutes
    if minutes is not None:
        config = epochs_that_fit(config, corpus, vocabulary, team, began)
    with RunDirectory.start(
        "cbow",
        config,
        out=options.out,
        resume=options.resume,
        quiet=options.quiet,
        may_change=MAY_CHANGE_ON_RESUME,
    ) as run:
        if minutes is not None:
            run.say(f"{minutes:g} minutes are time for {config.epochs:,} epochs")
        if not run.has_ended():
            _Training(run, config, corpus, vocabulary, team).run_to_end()
        for name in (IDS, FIRST_MODEL):  # needed until the end only
            (run.path / name).unlink(missing_ok=True)
        return run.path


class _Training:
    """One run from its first or last checkpoint to its summary."""

    def __init__(
        self,
        run: RunDirectory,
        config: TrainConfig,
        corpus: Corpus,
        vocabulary: Vocabulary,
        team: Team,
    ) -> None:
        self.run = run
        self.config = config
        self.corpus = corpus
        self.vocabulary = vocabulary
        self.team = team
        self.synonyms = self._synonyms()
        self.encoded = self._encoded()
        checkpoint = run.checkpoints.last()
        U, V, self.state = (
            restore(run, checkpoint, corpus.listing, team.size)
            if checkpoint
            else (None, None, TrainingState(team.size))
        )
        self._start_model(U, V)
        self.saved_at = time.monotonic()
        self.save_cost = 0.0

    def run_to_end(self) -> None:
        """Train, then write vectors and summary."""
        with StopRequest() as stop:
            self._say_start()
            if self.state.all_samples == 0:
                self._save()  # so that even a first epoch that diverges leaves a good state
            self._epochs(stop)
            if self.config.twin and self.state.model == 0:
                self._vectors().save(self.run.path / FIRST_MODEL)
                self.state.model, self.state.epoch = 1, 0
                self._start_model()
                self._epochs(stop)
            self._finish()  # takes a second; a signal does not interrupt it

    def _start_model(self, U: NDArray[Any] | None = None, V: NDArray[Any] | None = None) -> None:
        """Make the engine of the model that the state names, with its first or given weights."""
        self.settings = models_of(self.config)[self.state.model]
        self.subwords = subwords_of(self.settings, self.vocabulary)
        first = first_weights(self.settings, self.vocabulary, self.subwords)
        if U is None or V is None:
            U, V = first
            if self.config.init is not None:
                self.run.say(
                    set_trained_weights(self.settings, self.vocabulary, self.subwords, U, V)
                )
        elif (U.shape, V.shape) != (first[0].shape, first[1].shape):
            raise UserError(
                f"{self.run.path}: its checkpoint holds weights of another size, {U.shape} and {V.shape}, than its "
                f"settings make, {first[0].shape} and {first[1].shape}. Restore the checkpoint or train again."
            )
        engine = build_engine(self.settings, self.encoded.counts, U, V, self.subwords)
        began = time.monotonic()
        if compile_engine(self.settings):  # before the clock of training starts
            kept = (
                "kept for later runs" if is_cached(engine.kernel) else "not kept: no folder for it"
            )
            self.run.say(f"machine code compiled in {time.monotonic() - began:.1f} s ({kept})")
        self.engine = self.team.replicate(engine, self.settings, self.vocabulary)

    def _epochs(self, stop: StopRequest) -> None:
        """Train the model to its end."""
        while self.state.epoch < self.config.epochs:
            self._epoch(stop)

    def _epoch(self, stop: StopRequest) -> None:
        """Train one epoch, or what is left of it."""
        state = self.state
        label = f"{self._who()}epoch {state.epoch + 1}/{self.config.epochs}"
        began, before = time.monotonic(), state.samples
        with progress_bar(
            self.encoded.length, label=label, unit="token", quiet=self.run.quiet
        ) as bar:
            bar.update(state.block)
            for block, ids in self.encoded.blocks(state.block):
                state.block = block
                self._block(ids, stop, bar)
                state.control = None
            state.block = 0
        trained, seconds = state.samples - before, time.monotonic() - began
        if trained == 0:  # stopped at the very end of this epoch: the mean of all so far
            trained, seconds = state.all_samples, state.seconds
        self._end_epoch(trained / max(seconds, 1e-9))

    def _block(self, ids: NDArray[np.int32], stop: StopRequest, bar: Any) -> None:
        """Train on one block in a second thread, while this one attends to the bar, the clock and signals."""
        state, engine = self.state, self.engine
        control = engine.new_control(ids) if state.control is None else state.control
        first = engine.new_control(ids)[:, NEXT]
        rate, slope = learning_rate(self.config, state.epoch, state.block, self.encoded.length)
        key = stream_key(self.config.seed, state.epoch, state.block)
        outcome = "stopped"
        with ThreadPoolExecutor(1) as pool:
            while outcome != "done":
                began, stats = time.monotonic(), engine.new_stats()
                control[:, STOP] = 0
                work = pool.submit(engine.run, ids, control, stats, rate, rate_slope=slope, key=key)
                while not wait([work], timeout=0.1).done:
                    done = state.block + int((control[:, NEXT] - first).sum())
                    bar.update(done - bar.n)
                    if stop.signal_number is not None or self._is_save_due():
                        control[:, STOP] = 1
                outcome = work.result()
                if outcome == "diverged":
                    raise self._diverged()
                state.loss += float(stats[:, LOSS].sum())
                state.samples += int(stats[:, SAMPLES].sum())
                state.words += int(stats[:, WORDS].sum())
                state.all_samples += int(stats[:, SAMPLES].sum())
                state.seconds += time.monotonic() - began
                state.control = control
                if state.samples:
                    bar.set_postfix(loss=f"{state.loss / state.samples:.3f}", refresh=False)
                if stop.signal_number is not None:
                    self._save()
                    raise self._interrupted(stop.signal_number)
                if outcome == "stopped" and self._is_save_due():
                    self._save()
        bar.update(state.block + len(ids) - bar.n)

    def _end_epoch(self, samples_per_second: float) -> None:
        """Measure and log the epoch."""
        state = self.state
        if state.samples == 0:
            raise UserError(
                f"{self.corpus.listing['name']}: --subsample {self.config.subsample} leaves no two words in any "
                "line. Raise it, or set it to 0."
            )
        loss = state.loss / state.samples
        state.epoch += 1
        scores: dict[str, Any] = {}
        line = f"{self._who()}epoch {state.epoch:>3}  loss {loss:.4f}"
        if self.synonyms:
            recall = synonym_recall(self._vectors(), self.synonyms, k=NEIGHBORS, resamples=1)
            scores = {f"recall_at_{NEIGHBORS}": recall.recall}
            line += f"  recall@{NEIGHBORS} {100 * (recall.recall or 0):.2f} %"
        self.run.metrics.add(
            state.all_samples,
            model=state.model,
            epoch=state.epoch,
            train_loss=loss,
            **scores,
            samples=state.samples,
            words=state.words,
            seconds=round(state.seconds, 3),
            samples_per_second=round(samples_per_second),
        )
        self.run.say(f"{line}  {samples_per_second:,.0f} samples/s")
        state.loss, state.samples, state.words = 0.0, 0, 0
        if self._is_save_due():
            self._save()

    def _finish(self) -> None:
        """Save a last checkpoint, then write the vectors and the summary."""
        self._save()
        vectors = self._vectors()
        if self.config.twin:
            first = WordVectors.load(self.run.path / FIRST_MODEL)
            matrix = joined([first.matrix, vectors.matrix], [1.0, self.config.twin_weight])
            vectors = WordVectors(vectors.tokens, matrix, vectors.counts)
        vectors.save(self.run.path / VECTORS)
        own = [record for record in self.run.metrics.records() if model_of(record) == 0]
        if not own or own[-1]["epoch"] != self.state.epoch:
            raise UserError(
                f"{self.run.metrics.path}: lacks the records of training. Restore it or train again."
            )
        metrics: dict[str, Any] = {"train_loss": own[-1]["train_loss"]}
        if self.synonyms:
            recall = synonym_recall(vectors, self.synonyms, k=NEIGHBORS)
            metrics[f"recall_at_{NEIGHBORS}"] = recall.recall
            metrics["recall_interval"] = recall.interval
            metrics["recall_ceiling"] = recall.ceiling
            for line in recall_lines(recall, SYNONYMS):
                self.run.say(line)
        state = self.state
        self.run.write_summary(
            {
                "task": "cbow",
                "recipe": self.config.recipe,
                "seed": self.config.seed,
                "data": self._data(),
                "device": self._device(),
                "processes": self.team.size,
                "epochs": state.epoch,
                "seconds": round(state.seconds, 3),
                "samples_per_second": round(state.all_samples / max(state.seconds, 1e-9)),
                "metrics": metrics,
                "versions": versions(("numpy", "numba")),
            }
        )
        self.run.say(f"trained {state.all_samples:,} samples in {state.seconds:.1f} s")

    def _device(self) -> str:
        threads, processes = self.config.threads, self.team.size
        of_processes = f"{processes} processes of " if processes > 1 else ""
        return f"CPU, {of_processes}{threads} thread{'s' * (threads > 1)}"

    def _data(self) -> dict[str, Any]:
        return {
            **self.corpus.listing,
            "is_sample": self.corpus.is_sample,
            "tokens": self.encoded.tokens,
            "vocabulary": len(self.vocabulary),
        }

    def _say_start(self) -> None:
        data, state = self._data(), self.state
        if data["is_sample"]:
            self.run.say(sample_notice("cbow", self.config.data))
        self.run.say(f"{data['name']}: {data['tokens']:,} tokens, {data['vocabulary']:,} words")
        named = self.config.corpus
        if named != TrainConfig.corpus and Path(named).name not in {
            p.name for p in self.corpus.files
        }:
            self.run.say(f"there is no {named} (--corpus): all text that was given is trained on")
        if self.corpus.ignored:
            count = len(self.corpus.ignored)
            names = ", ".join(path.name for path in self.corpus.ignored[:3])
            what = "file that is no text is" if count == 1 else "files that are no text are"
            self.run.say(f"{count} {what} ignored: {names}{', ...' if count > 3 else ''}")
        if self.run.is_resumed:
            where = f"{self._who()}epoch {state.epoch + 1}"
            self.run.say(f"resumed after {state.all_samples:,} samples, in {where}")

    def _synonyms(self) -> dict[str, list[str]]:
        """Load the synonym list, kept in the run so that it can be evaluated without the data.

        A resumed run is measured by the list it has kept. A list of which no pair is in the vocabulary (another
        corpus') measures nothing and is left out.
        """
        given, kept = self.corpus.synonyms, self.run.path / SYNONYMS
        if kept.exists():
            if given is not None and given.read_bytes() != kept.read_bytes():
                self.run.say(f"{given}: is another list; recall is still measured by {kept}")
            return load_synonyms(kept)
        if given is None:
            return {}
        synonyms = load_synonyms(given)
        known = self.vocabulary
        if not any(
            word in known and any(s in known for s in others) for word, others in synonyms.items()
        ):
            self.run.say(f"{given.name}: none of its pairs are in the vocabulary; left out")
            return {}
        with whole_file(kept, "wb") as file:
            file.write(given.read_bytes())
        return synonyms

    def _encoded(self) -> EncodedCorpus:
        path = self.run.path / IDS
        self.vocabulary.save(self.run.path / VOCABULARY)
        return encode(self.corpus, self.vocabulary, path, quiet=self.run.quiet)

    def _who(self) -> str:
        return "twin, " if self.state.model else ""

    def _vectors(self) -> WordVectors:
        """Return the vectors of the model in training."""
        weights = self.engine.weights()
        return final_vectors(self.settings, self.vocabulary, self.subwords, *weights)

    def _is_save_due(self) -> bool:
        pause = max(self.config.checkpoint_seconds, 20 * self.save_cost)
        return time.monotonic() - self.saved_at >= pause

    def _save(self) -> None:
        began = time.monotonic()
        save(self.run, self.state, *self.engine.weights(), self.corpus.listing)
        self.saved_at = time.monotonic()
        self.save_cost = self.saved_at - began

    def _diverged(self) -> UserError:
        last = self.run.checkpoints.last()
        kept = f"The state after {last.step:,} samples is kept in {last.folder}." if last else ""
        return UserError(
            f"the loss is no longer a finite number ({self._who()}epoch {self.state.epoch + 1}, learning rate "
            f"{self.config.learning_rate}). {kept} Train with a lower --learning-rate into another --out."
        )

    def _interrupted(self, signal_number: int) -> Interrupted:
        return Interrupted(
            signal_number,
            f"stopped and saved after {self.state.all_samples:,} samples. "
            f"Resume with: {command(self.team.size)} --out {shell_quoted(self.run.path)} --resume",
        )
