"""The training loop: epochs over blocks of the corpus, with a bar, checkpoints, and an exact resume.

What a run does next follows from its configuration and its place (epoch, block, position in it); random draws are
a pure function of seed and place. So weights and place (`place.py`) are the whole state. Of several processes
(`team.py`) the first one runs all this.

With `twin` a run trains two models, its members, one after the other. They share nothing but the corpus, so a member is
what a run of its own with its settings would be. The first one's vectors lie in the run folder until they are joined.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cbow.commands.report import write_page
from cbow.config import MAY_CHANGE_ON_RESUME, TrainConfig
from cbow.data.dataset import Corpus, EncodedCorpus, count_words, encode, find_corpus
from cbow.data.synonyms import load_synonyms
from cbow.kernels import LOSS, NEXT, SAMPLES, STOP, WORDS, stream_key
from cbow.kernels.build import build_engine, compile_engine
from cbow.measure import recall_lines, synonym_recall
from cbow.model.trained import SYNONYMS, VECTORS
from cbow.model.vectors import WordVectors, joined
from cbow.model.weights import final_vectors, first_weights, members, subwords_of
from cbow.place import Place, command, restore, save
from cbow.processes.team import Team
from cbow.schedule import epochs_that_fit, learning_rate
from shared.command.options import RunOptions
from shared.data.samples import NOTICE
from shared.errors import UserError
from shared.files import whole_file
from shared.interrupt import Interrupted, StopRequest
from shared.progress import progress_bar
from shared.runs.run_directory import RunDirectory, versions
from shared.text.vocabulary import Vocabulary

VOCABULARY = "vocab.txt"
IDS = "corpus.ids"
FIRST_MEMBER = "first-member.safetensors"
NEIGHBORS = 40


def train(config: TrainConfig, options: RunOptions, team: Team | None = None) -> Path:
    """Train word vectors into a run folder.

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
        The data, the folder or a setting is of no use; the loss is no longer finite.
    Interrupted
        After Ctrl-C or SIGTERM, when all is saved.
    """
    if options.resume and options.out and (Path(options.out) / "config.yaml").is_file():
        # The run's own number of epochs was fixed when it started.
        config = replace(config, minutes=None)
    team = team or Team()
    corpus = find_corpus(config)
    saved = Path(options.out or "") / VOCABULARY
    if options.resume and options.out and saved.is_file():
        vocabulary = Vocabulary.load(saved)
    else:
        vocabulary = count_words(corpus, config, quiet=options.quiet)
    if config.minutes is not None:
        config = epochs_that_fit(config, corpus, vocabulary, team)
    with RunDirectory.start(
        "cbow",
        config,
        out=options.out,
        resume=options.resume,
        quiet=options.quiet,
        may_change=MAY_CHANGE_ON_RESUME,
    ) as run:
        if run.has_ended(write_page):
            _remove_scratch(run.path)
            return run.path
        _Training(run, config, corpus, vocabulary, team).go()
        return run.path


def _remove_scratch(folder: Path) -> None:
    """Remove what a run needs until its end only."""
    for name in (IDS, FIRST_MEMBER):
        (folder / name).unlink(missing_ok=True)


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
        U, V, self.place = (
            restore(run, checkpoint, corpus.listing, team.size)
            if checkpoint
            else (None, None, Place(team.size))
        )
        self._start_member(U, V)
        self.saved_at = time.monotonic()
        self.save_cost = 0.0

    def go(self) -> None:
        """Train to the end, then write vectors, summary and page."""
        with StopRequest() as stop:
            self._say_start()
            if self.place.all_samples == 0:
                self._save()  # so that even a first epoch that diverges leaves a good state
            self._epochs(stop)
            if self.config.twin and self.place.member == 0:
                self._vectors().save(self.run.path / FIRST_MEMBER)
                self.place.member, self.place.epoch = 1, 0
                self._start_member()
                self._epochs(stop)
            self._finish()  # takes a second; a signal does not tear it

    def _start_member(self, U: NDArray[Any] | None = None, V: NDArray[Any] | None = None) -> None:
        """Make the engine of the member that the place names, with its first or given weights."""
        self.member = members(self.config)[self.place.member]
        self.subwords = subwords_of(self.member, self.vocabulary)
        first = first_weights(self.member, self.vocabulary, self.subwords)
        if U is None or V is None:
            U, V = first
        elif (U.shape, V.shape) != (first[0].shape, first[1].shape):
            raise UserError(
                f"{self.run.path}: its checkpoint holds weights of another size, {U.shape} and {V.shape}, than its "
                f"settings make, {first[0].shape} and {first[1].shape}. Restore the checkpoint or train again."
            )
        engine = build_engine(self.member, self.encoded.counts, U, V, self.subwords)
        began = time.monotonic()
        compile_engine(self.member)  # before the clock of training starts
        if time.monotonic() - began > 1:
            self.run.say(f"compiled in {time.monotonic() - began:.1f} s; kept for later runs")
        self.engine = self.team.replicate(engine, self.member, self.vocabulary)

    def _epochs(self, stop: StopRequest) -> None:
        """Train the member to its end."""
        while self.place.epoch < self.config.epochs:
            self._epoch(stop)

    def _epoch(self, stop: StopRequest) -> None:
        """Train one epoch, or what is left of it."""
        place = self.place
        label = f"{self._who()}epoch {place.epoch + 1}/{self.config.epochs}"
        began, before = time.monotonic(), place.samples
        with progress_bar(
            self.encoded.length, label=label, unit="token", quiet=self.run.quiet
        ) as bar:
            bar.update(place.block)
            for block, ids in self.encoded.blocks(place.block):
                place.block = block
                self._block(ids, stop, bar)
                place.control = None
            place.block = 0
        rate = (place.samples - before) / max(time.monotonic() - began, 1e-9)
        self._end_epoch(rate)

    def _block(self, ids: NDArray[np.int32], stop: StopRequest, bar: Any) -> None:
        """Train on one block in a thread of its own; this one minds the bar, the clock and signals."""
        place, engine = self.place, self.engine
        control = engine.new_control(ids) if place.control is None else place.control
        first = engine.new_control(ids)[:, NEXT]
        rate, slope = learning_rate(self.config, place.epoch, place.block, self.encoded.length)
        key = stream_key(self.config.seed, place.epoch, place.block)
        outcome = "stopped"
        with ThreadPoolExecutor(1) as pool:
            while outcome != "done":
                began, stats = time.monotonic(), engine.new_stats()
                control[:, STOP] = 0
                work = pool.submit(engine.run, ids, control, stats, rate, rate_slope=slope, key=key)
                while not wait([work], timeout=0.1).done:
                    done = place.block + int((control[:, NEXT] - first).sum())
                    bar.update(done - bar.n)
                    if stop.signal_number is not None or self._is_save_due():
                        control[:, STOP] = 1
                outcome = work.result()
                if outcome == "diverged":
                    raise self._diverged()
                place.loss += float(stats[:, LOSS].sum())
                place.samples += int(stats[:, SAMPLES].sum())
                place.words += int(stats[:, WORDS].sum())
                place.all_samples += int(stats[:, SAMPLES].sum())
                place.seconds += time.monotonic() - began
                place.control = control
                if place.samples:
                    bar.set_postfix(loss=f"{place.loss / place.samples:.3f}", refresh=False)
                if stop.signal_number is not None:
                    self._save()
                    raise self._interrupted(stop.signal_number)
                if outcome == "stopped" and self._is_save_due():
                    self._save()
        bar.update(place.block + len(ids) - bar.n)

    def _end_epoch(self, samples_per_second: float) -> None:
        """Log the epoch and go on to the next."""
        place = self.place
        if place.samples == 0:
            raise UserError(
                f"{self.corpus.listing['name']}: --subsample {self.config.subsample} leaves no two words in any "
                "line. Raise it, or set it to 0."
            )
        loss = place.loss / place.samples
        place.epoch += 1
        found: dict[str, Any] = {}
        line = f"{self._who()}epoch {place.epoch:>3}  loss {loss:.4f}"
        if self.synonyms:
            recall = synonym_recall(self._vectors(), self.synonyms, k=NEIGHBORS, resamples=1)
            found = {f"recall_at_{NEIGHBORS}": recall.recall}
            line += f"  recall@{NEIGHBORS} {100 * recall.recall:.2f} %"
        self.run.metrics.add(
            place.all_samples,
            member=place.member,
            epoch=place.epoch,
            train_loss=loss,
            **found,
            samples=place.samples,
            words=place.words,
            seconds=round(place.seconds, 3),
            samples_per_second=round(samples_per_second),
        )
        self.run.say(f"{line}  {samples_per_second:,.0f} samples/s")
        place.loss, place.samples, place.words = 0.0, 0, 0
        if self._is_save_due():
            self._save()

    def _finish(self) -> None:
        """Write what a finished run holds; the encoded corpus and the checkpoints have served."""
        self._save()
        vectors = self._vectors()
        if self.config.twin:
            first = WordVectors.load(self.run.path / FIRST_MEMBER)
            matrix = joined([first.matrix, vectors.matrix], [1.0, self.config.twin_weight])
            vectors = WordVectors(vectors.tokens, matrix, vectors.counts)
        vectors.save(self.run.path / VECTORS)
        last = [record for record in self.run.metrics.records() if record["member"] == 0][-1]
        metrics: dict[str, Any] = {"train_loss": last["train_loss"]}
        if self.synonyms:
            recall = synonym_recall(vectors, self.synonyms, k=NEIGHBORS)
            metrics[f"recall_at_{NEIGHBORS}"] = recall.recall
            metrics["recall_interval"] = list(recall.interval)
            metrics["recall_ceiling"] = recall.ceiling
            for line in recall_lines(recall, SYNONYMS):
                self.run.say(line)
        place = self.place
        self.run.write_summary(
            {
                "task": "cbow",
                "recipe": self.config.recipe,
                "seed": self.config.seed,
                "data": self._data(),
                "device": self._device(),
                "processes": self.team.size,
                "epochs": place.epoch,
                "seconds": round(place.seconds, 3),
                "samples_per_second": round(place.all_samples / max(place.seconds, 1e-9)),
                "metrics": metrics,
                "versions": versions(("numpy", "numba")),
            }
        )
        self.run.say(f"trained {place.all_samples:,} samples in {place.seconds:.1f} s")
        write_page(self.run)
        _remove_scratch(self.run.path)

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
        data, place = self._data(), self.place
        if data["is_sample"]:
            self.run.say(NOTICE.format(command="cbow"))
        self.run.say(f"{data['name']}: {data['tokens']:,} tokens, {data['vocabulary']:,} words")
        if self.run.is_resumed:
            where = f"{self._who()}epoch {place.epoch + 1}"
            self.run.say(f"goes on after {place.all_samples:,} samples, in {where}")

    def _synonyms(self) -> dict[str, list[str]]:
        """Load the synonym list, kept in the run so that it can be evaluated without the data.

        A list that shares no pair with the vocabulary (another corpus') measures nothing and is left out.
        """
        if self.corpus.synonyms is None:
            return {}
        synonyms = load_synonyms(self.corpus.synonyms)
        known = self.vocabulary
        if not any(
            word in known and any(s in known for s in others) for word, others in synonyms.items()
        ):
            self.run.say(
                f"{self.corpus.synonyms.name}: none of its pairs are in the vocabulary; left out"
            )
            return {}
        kept = self.run.path / SYNONYMS
        if not kept.exists():
            with whole_file(kept, "wb") as file:
                file.write(self.corpus.synonyms.read_bytes())
        return synonyms

    def _encoded(self) -> EncodedCorpus:
        path = self.run.path / IDS
        if not (self.run.path / VOCABULARY).exists():
            self.vocabulary.save(self.run.path / VOCABULARY)
        return encode(self.corpus, self.vocabulary, path, quiet=self.run.quiet)

    def _who(self) -> str:
        return "twin, " if self.place.member else ""

    def _vectors(self) -> WordVectors:
        """Return the vectors of the member in training."""
        weights = self.engine.weights()
        return final_vectors(self.member, self.vocabulary, self.subwords, *weights)

    def _is_save_due(self) -> bool:
        pause = max(self.config.checkpoint_seconds, 20 * self.save_cost)
        return time.monotonic() - self.saved_at >= pause

    def _save(self) -> None:
        began = time.monotonic()
        save(self.run, self.place, *self.engine.weights(), self.corpus.listing)
        self.saved_at = time.monotonic()
        self.save_cost = self.saved_at - began

    def _diverged(self) -> UserError:
        last = self.run.checkpoints.last()
        kept = f"The state after {last.step:,} samples is kept in {last.folder}." if last else ""
        return UserError(
            f"the loss is no longer a finite number ({self._who()}epoch {self.place.epoch + 1}, learning rate "
            f"{self.config.learning_rate}). {kept} Train with a lower --learning-rate into another --out."
        )

    def _interrupted(self, signal_number: int) -> Interrupted:
        return Interrupted(
            signal_number,
            f"stopped and saved after {self.place.all_samples:,} samples. "
            f"Go on with: {command(self.team.size)} --out {self.run.path} --resume",
        )
