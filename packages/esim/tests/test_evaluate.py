from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from esim import measure
from esim.commands.report import other_seeds
from esim.config import TrainConfig
from esim.data.dataset import Pairs
from esim.data.labels import CONTRADICTION, ENTAILMENT, NEUTRAL
from esim.measure import checks, confusion_lines, figures, scoring_batch
from esim.model.hypothesis_only import HypothesisOnly
from esim.model.trained import TrainedModel
from shared.command import config as configuration


def pairs_of(premises: list[list[int]], hypotheses: list[list[int]], labels: list[int]) -> Pairs:
    sides = [[np.array(s, np.int32) for s in side] for side in (premises, hypotheses)]
    return Pairs(sides[0], sides[1], np.array(labels, dtype=np.int64))


def test_figures_of_known_scores() -> None:
    chances = np.array([[0.7, 0.2, 0.1], [0.6, 0.3, 0.1], [0.1, 0.1, 0.8], [0.8, 0.1, 0.1]])
    pairs = pairs_of([[2]] * 4, [[3]] * 4, [ENTAILMENT, NEUTRAL, CONTRADICTION, ENTAILMENT])
    found = figures(np.log(chances) + 5, pairs)
    assert found["accuracy"] == 0.75
    assert found["loss"] == pytest.approx(-np.log([0.7, 0.3, 0.8, 0.8]).mean())
    assert found["confusion"] == [[2, 0, 0], [1, 0, 0], [0, 0, 1]]  # rows: labels
    assert found["recall"] == {"entailment": 1.0, "neutral": 0.0, "contradiction": 1.0}
    # 0.6 is wrong; 0.7 and twice 0.8 are right, each a bin of its own.
    assert found["calibration_error"] == pytest.approx((0.6 + 0.3 + 0.2 + 0.2) / 4)
    assert confusion_lines(np.array(found["confusion"]))[2].split() == ["neutral", "1", "0", "0"]


def test_checks_shuffle_words_swap_sentences_and_exchange_premises(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A made-up model says contradiction where premise and hypothesis begin with the same word, else neutral."""
    shown: list[Pairs] = []

    def score(model: Any, pairs: Pairs, **settings: Any) -> np.ndarray:
        shown.append(pairs)
        same = [a[0] == b[0] for a, b in zip(pairs.premises, pairs.hypotheses, strict=True)]
        return np.eye(3)[np.where(same, CONTRADICTION, NEUTRAL)]

    monkeypatch.setattr(measure, "score_pairs", score)
    words = [list(range(10 * n, 10 * n + 6)) for n in range(1, 41)]
    pairs = pairs_of(words, words, [CONTRADICTION] * 40)
    trained: Any = TrainedModel(None, None, TrainConfig(), Path("run"))  # type: ignore[arg-type]
    found = checks(trained, pairs, score(None, pairs))
    _, shuffled, swapped, alone = shown
    assert found["contradictions kept, sentences swapped"] == 1  # the same word either way
    assert found["same prediction, words shuffled"] < 0.5 > found["accuracy, words shuffled"]
    assert found["accuracy, premise of another pair"] < 0.2
    for before, after in (
        (pairs.premises, shuffled.premises),
        (pairs.hypotheses, shuffled.hypotheses),
    ):
        assert [sorted(s.tolist()) for s in after] == [s.tolist() for s in before]
    assert swapped.premises is pairs.hypotheses and swapped.hypotheses is pairs.premises
    assert sorted(s.tolist() for s in alone.premises) == words  # each premise once, elsewhere
    assert alone.hypotheses is pairs.hypotheses


def test_swap_check_catches_a_model_that_treats_the_sentences_differently(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It says contradiction where the premise begins with the lower word, else neutral."""

    def score(model: Any, pairs: Pairs, **settings: Any) -> np.ndarray:
        sides = zip(pairs.premises, pairs.hypotheses, strict=True)
        return np.eye(3)[np.where([a[0] < b[0] for a, b in sides], CONTRADICTION, NEUTRAL)]

    monkeypatch.setattr(measure, "score_pairs", score)
    trained: Any = TrainedModel(None, None, TrainConfig(), Path("run"))  # type: ignore[arg-type]
    pairs = pairs_of([[2], [3], [9]], [[5], [6], [4]], [CONTRADICTION] * 3)
    found = checks(trained, pairs, score(None, pairs))
    assert found["contradictions kept, sentences swapped"] == 0
    none = pairs_of([[9]], [[4]], [CONTRADICTION])
    assert (
        checks(trained, none, score(None, none))["contradictions kept, sentences swapped"] is None
    )


@pytest.mark.parametrize("count", [1, 2, 3, 10])
def test_no_pair_keeps_its_premise_where_that_of_another_pair_is_shown(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A made-up model is right where premise and hypothesis are the same, which is so in each pair as it is."""

    def score(model: Any, pairs: Pairs, **settings: Any) -> np.ndarray:
        same = [a[0] == b[0] for a, b in zip(pairs.premises, pairs.hypotheses, strict=True)]
        return np.eye(3)[np.where(same, CONTRADICTION, NEUTRAL)]

    monkeypatch.setattr(measure, "score_pairs", score)
    trained: Any = TrainedModel(None, None, TrainConfig(), Path("run"))  # type: ignore[arg-type]
    pairs = pairs_of(
        [[n] for n in range(count)], [[n] for n in range(count)], [CONTRADICTION] * count
    )
    found = checks(trained, pairs, score(None, pairs))["accuracy, premise of another pair"]
    assert found == (0 if count > 1 else None)


def test_hypothesis_alone_tells_labels_that_its_words_give_away() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, 120).tolist()
    # Words 10 to 29 say nothing; bigrams do: 2 before 3, 3 before 2, or neither.
    tells = ([2, 3], [3, 2], [2, 9, 3])
    hypotheses = [[*random.integers(10, 30, 3).tolist(), *tells[label]] for label in labels]
    pairs = pairs_of([[5]] * 120, hypotheses, labels)
    assert HypothesisOnly(pairs).accuracy(pairs) > 0.95
    other = replace(pairs, labels=(pairs.labels + 1) % 3)
    assert HypothesisOnly(pairs).accuracy(other) < 0.05
    unseen = pairs_of([[5]], [[77, 78]], [int(np.bincount(labels).argmax())])
    assert HypothesisOnly(pairs).accuracy(unseen) == 1  # without a known word, the commonest label


def test_models_that_see_their_batch_are_scored_as_they_were_trained() -> None:
    config = TrainConfig(batch_size=7)
    assert scoring_batch(config) != 7
    assert scoring_batch(replace(config, mask=False)) == 7
    assert scoring_batch(replace(config, batch_axis=True)) == 7


def test_page_has_mean_and_deviation_over_runs_that_differ_in_the_seed_only(
    small_run: Path, tmp_path: Path
) -> None:
    from esim.commands.report import write_page
    from shared.runs.run_directory import RunDirectory

    def copied(name: str, valid_accuracy: float, **changes: Any) -> Path:
        shutil.copytree(small_run, tmp_path / name)
        config = configuration.load(TrainConfig, tmp_path / name / "config.yaml")
        (tmp_path / name / "config.yaml").write_text(configuration.dump(replace(config, **changes)))
        summary = json.loads((tmp_path / name / "summary.json").read_text())
        summary["metrics"] |= {"valid_accuracy": valid_accuracy, "test_accuracy": 0.5}
        (tmp_path / name / "summary.json").write_text(json.dumps(summary))
        return tmp_path / name

    first = copied("one", 0.70)
    copied("two", 0.80, seed=2)
    copied("three", 0.10, seed=3, dropout=0.1)  # another setting: no part of the mean
    other_data = copied("four", 0.20, seed=4) / "summary.json"  # nor is a run on other pairs
    summary = json.loads(other_data.read_text())
    summary["data"]["sha256"] = "0" * 64
    del summary["metrics"]["test_accuracy"]
    other_data.write_text(json.dumps(summary))
    config = configuration.load(TrainConfig, first / "config.yaml")
    assert sorted(other_seeds(first, config)) == [1, 2]
    page = write_page(RunDirectory.read(first, task="esim"), out=tmp_path / "page.html").read_text()
    assert "75.00 ± 7.07" in page and "50.00 ± 0.00" in page
