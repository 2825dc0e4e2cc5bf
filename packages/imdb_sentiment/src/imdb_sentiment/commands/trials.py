"""Named variants of one configuration, each trained with several seeds, as one table: for `ablate` and `study`."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from imdb_sentiment.commands.options import TrialOptions
from imdb_sentiment.commands.recipe_runs import configuration_of, finished_run
from imdb_sentiment.config import TrainConfig
from imdb_sentiment.data.dataset import find
from shared.data.samples import sample_notice
from shared.files import write_json
from shared.pages.report import Report, percent
from shared.runs.run_directory import RunDirectory

HEADER = ("variant", "test accuracy", "valid accuracy", "best epoch", "seconds", "seeds")


@dataclass(frozen=True)
class Trial:
    """One variant's row of the table.

    Parameters
    ----------
    name : str
    test_accuracies, valid_accuracies : list of float
        One per seed, 0 to 1.
    best_epochs : list of float
        Epoch whose weights valid chose, one per seed.
    seconds : float
        Mean time of training.
    """

    name: str
    test_accuracies: list[float]
    valid_accuracies: list[float]
    best_epochs: list[float]
    seconds: float

    @property
    def mean(self) -> float:
        """Mean test accuracy over the seeds."""
        return statistics.mean(self.test_accuracies)

    @property
    def deviation(self) -> float | None:
        """Standard deviation of the test accuracy over the seeds; None for a single seed."""
        own = self.test_accuracies
        return statistics.stdev(own) if len(own) > 1 else None

    def cells(self) -> list[str]:
        """Return the row as texts, in the order of `HEADER`."""
        spread = "" if self.deviation is None else f" ± {100 * self.deviation:.2f}"
        return [
            self.name,
            f"{100 * self.mean:.2f}{spread} %",
            percent(statistics.mean(self.valid_accuracies)) or "",
            f"{statistics.mean(self.best_epochs):.1f}",
            f"{self.seconds:.0f}",
            str(len(self.test_accuracies)),
        ]


def run_trials(
    recipe: str,
    variants: Mapping[str, Mapping[str, Any]],
    options: TrialOptions,
    out: Path,
) -> list[Trial]:
    """Train every variant of a recipe that is not trained yet; print a line for each.

    Parameters
    ----------
    recipe : str
    variants : mapping of name to changed settings
    options : TrialOptions
    out : Path
        Folder of the runs; their page is `<out>/<verb>.html`.
    """
    folder, is_sample = find(options.data)
    if is_sample and not options.json:
        print(sample_notice("imdb-sentiment", options.data))
    base = configuration_of(recipe, options, folder, **options.changes())
    width = max(map(len, variants))
    trials = []
    for name, changes in variants.items():
        config = replace(base, **changes)
        runs = [
            RunDirectory.read(
                finished_run(replace(config, seed=seed), out / f"{_slug(name)}-seed{seed}"),
                task="imdb-sentiment",
            )
            for seed in options.seeds
        ]
        trials.append(_trial(name, config, runs))
        if not options.json:
            cells = trials[-1].cells()
            print(f"{cells[0]:<{width}}  {cells[1]:>16}  {cells[4]:>6} s", flush=True)
    return trials


def finish(
    title: str, intro: str, trials: Sequence[Trial], options: TrialOptions, path: Path
) -> int:
    """Write the page and the JSON file of trials, and say where they are."""
    page = Report(title, intro)
    page.table(HEADER, [trial.cells() for trial in trials])
    has_spread = all(trial.deviation is not None for trial in trials)
    page.bars(
        "Test accuracy",
        {trial.name: 100 * trial.mean for trial in trials},
        "%",
        "Whiskers: standard deviation over the seeds." if has_spread else "",
        errors={t.name: 100 * (t.deviation or 0.0) for t in trials} if has_spread else None,
    )
    first = trials[0]
    page.table(
        ["variant", f"points against {first.name}"],
        [[t.name, f"{100 * (t.mean - first.mean):+.2f}"] for t in trials[1:]],
    )
    page.text(
        "Valid chooses the epoch; test is measured once, with its weights. Each run has a page of its own in the "
        "folder beside this one."
    )
    page.save(path)
    table = {"trials": [{**asdict(t), "test_accuracy": t.mean} for t in trials]}
    write_json(path.with_suffix(".json"), table)
    print(json.dumps({**table, "page": str(path)}) if options.json else f"The page is {path}.")
    return 0


def _trial(name: str, config: TrainConfig, runs: Sequence[RunDirectory]) -> Trial:
    summaries = [run.summary() for run in runs]
    metrics = [summary["metrics"] for summary in summaries]
    best = [
        summary["epochs"] * summary["best_step"] / max(1, summary["steps"]) for summary in summaries
    ]
    return Trial(
        name,
        [own["test_accuracy"] for own in metrics],
        [own["valid_accuracy"] for own in metrics],
        best,
        statistics.mean(summary["seconds"] for summary in summaries),
    )


def _slug(name: str) -> str:
    """Return a name as a folder's name: letters, digits and hyphens."""
    kept = "".join(char if char.isalnum() or char in ".-" else " " for char in name)
    return "-".join(kept.split())
