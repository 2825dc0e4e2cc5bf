"""The speed claims of the READMEs, each with the command that measures it; `bench.py` runs them.

Targets are those that the tasks set out with. A claim's figure stands in its package's README as it stands here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

SLACK = 0.8
"""A claim without a target is met by four fifths of it: repeats on a shared machine differ by as much."""


@dataclass(frozen=True)
class Claim:
    """One figure of a README.

    Parameters
    ----------
    what, peer : str
        What is timed, and against what.
    read : callable
        Takes what the command printed, parsed, and returns the figure. A KeyError: it was not measured.
    claimed : str
        The figure as the README has it; empty: none, only a target.
    target : float or None
        What was aimed at.
    unit : str
        x: so many times the peer's speed, the more the better; s, %: the less the better.
    """

    what: str
    peer: str
    read: Callable[[Any], float]
    claimed: str
    target: float | None = None
    unit: str = "x"

    @property
    def bound(self) -> float:
        """What has to be reached."""
        if self.target is not None:
            return self.target
        claimed = float(self.claimed.replace(",", ""))
        return claimed * SLACK if self.unit == "x" else claimed / SLACK

    def verdict(self, measured: float) -> str:
        """Return `met` or `missed`."""
        is_met = measured >= self.bound if self.unit == "x" else measured <= self.bound
        return "met" if is_met else "missed"


@dataclass(frozen=True)
class Bench:
    """One command and the claims that it measures.

    Parameters
    ----------
    task : str
        Folder under `packages/`.
    data : str
        Its folder in the data root.
    words : tuple of str
        After the command's name. Of a verb other than `bench` only the seconds are measured; `{out}` is a folder that
        is removed in the end.
    claims : tuple of Claim
    is_for_real_data : bool
        Left out where there is only the sample.
    """

    task: str
    data: str
    words: tuple[str, ...]
    claims: tuple[Claim, ...]
    is_for_real_data: bool = False


def seconds(printed: Any) -> float:
    """Return how long the command took."""
    return printed["seconds"]


CBOW_EXACT = (
    Claim(
        "exact engine",
        "numpy, a dense update per context word",
        lambda printed: printed["exact"]["ratio"]["numpy, dense update a word"],
        "105.8",
        60,
    ),
    Claim(
        "exact engine",
        "numpy, one dense update per sample",
        lambda printed: printed["exact"]["ratio"]["numpy, dense update a sample"],
        "26.8",
    ),
)
BENCHES = (
    Bench(
        "cbow",
        "cbow",
        ("bench", "--runs", "3"),
        (
            *CBOW_EXACT,
            Claim(
                "negative sampling",
                "gensim",
                lambda printed: printed["sampling"]["ratio"]["gensim"],
                "1.9",
                1.5,
            ),
            Claim(
                "cbow --help",
                "",
                lambda printed: printed["start_up"]["seconds"],
                "0.04",
                0.5,
                unit="s",
            ),
        ),
    ),
    Bench(
        "cbow",
        "cbow",
        ("bench", "--runs", "3", "--threads", "2"),
        (
            Claim(
                "negative sampling, 2 threads",
                "gensim, 2 workers",
                lambda printed: printed["sampling"]["ratio"]["gensim"],
                "1.9",
                1.5,
            ),
        ),
    ),
    Bench(
        "cbow",
        "cbow",
        ("train", "--recipe", "baseline", "--seed", "42", "--out", "{out}/cbow", "--quiet"),
        (Claim("baseline, 10 epochs, all in", "", seconds, "18", 30, unit="s"),),
        is_for_real_data=True,
    ),
    Bench(
        "esim",
        "snli",
        ("bench", "--threads", "1", "--clock", "cpu", "--rounds", "3", "--steps", "8"),
        tuple(
            Claim(
                f"training, {words:,} words",
                "coetaur0/ESIM's steps, written anew",
                lambda printed, words=words: {one["vocabulary"]: one["ratio"] for one in printed}[
                    words
                ],
                claimed,
                target,
            )
            for words, claimed, target in ((12_000, "3.4", 2.5), (42_000, "4.3", 4.0))
        ),
    ),
    Bench(
        "imdb_sentiment",
        "aclImdb",
        ("bench", "--batches", "2", "--rounds", "2", "--threads", "1"),
        (
            Claim(
                "LSTM training",
                "padded to 592, float32 (coursework)",
                lambda printed: printed["ratios"]["coursework"],
                "3.5",
                3,
            ),
            Claim(
                "LSTM training",
                "padded to 592, same precision",
                lambda printed: printed["ratios"]["padded"],
                "2.0",
            ),
            Claim(
                "LSTM training",
                "packed sequences",
                lambda printed: printed["ratios"]["packed"],
                "3.2",
            ),
            Claim(
                "LSTM written by hand",
                "torch's LSTM",
                lambda printed: 1 / printed["ratios"]["handwritten"],
                "0.62",
                1 / 3,
            ),
        ),
    ),
    Bench(
        "imdb_sentiment",
        "aclImdb",
        ("train", "--recipe", "nbsvm", "--seed", "1", "--out", "{out}/nbsvm", "--quiet"),
        (Claim("NB-SVM, files and test included", "", seconds, "80", 45, unit="s"),),
        is_for_real_data=True,
    ),
    Bench(
        "resnet_tiny",
        "tiny-imagenet-200",
        ("pack", "--cache", "{out}/packed", "--quiet"),
        (Claim("packing 105,000 images", "", seconds, "27", 60, unit="s"),),
        is_for_real_data=True,
    ),
    Bench(
        "resnet_tiny",
        "tiny-imagenet-200",
        (
            *("bench", "--cache", "{out}/packed", "--steps", "2", "--rounds", "2"),
            *("--threads", "[1]", "--peer-workers", "1", "--batch-size", "128"),
        ),
        (
            Claim(
                "training, data included",
                "pytorch/examples (float32)",
                lambda printed: printed["peer"]["ratio"],
                "2.19",
                2,
            ),
            Claim(
                "wait for data, fraction of a step",
                "",
                lambda printed: 100 * max(row["wait_fraction"] for row in printed["devices"]),
                "0.3",
                1,
                unit="%",
            ),
        ),
    ),
    Bench(
        "word_lm",
        "wikitext-2",
        (
            *("bench", "--recipe", "baseline", "--threads", "1"),
            *("--steps", "10", "--rounds", "2"),
        ),
        (
            Claim(
                "training, bf16 where the processor has it",
                "pytorch/examples (float32)",
                lambda printed: printed["ratio"],
                "2.4",
                2,
            ),
            Claim(
                "generating 1,000 words, float32",
                "pytorch/examples",
                lambda printed: printed["generation"]["ratio"],
                "70",
                50,
            ),
        ),
    ),
    Bench(
        "word_lm",
        "wikitext-2",
        (
            *("bench", "--recipe", "baseline", "--threads", "1", "--precision", "float32"),
            *("--steps", "10", "--rounds", "2", "--words", "0"),
        ),
        (
            Claim(
                "training, float32",
                "pytorch/examples (float32)",
                lambda printed: printed["ratio"],
                "1.2",
            ),
        ),
    ),
    Bench(
        "word_lm",
        "wikitext-2",
        (
            *("bench", "--recipe", "laptop", "--steps", "20", "--rounds", "3"),
            *("--words", "0", "--busy", "2"),
        ),
        tuple(
            Claim(
                f"training beside {number} busy process{'es' * (number > 1)}",
                "the idle machine",
                lambda printed, number=number: printed["busy"][number]["speed"],
                "",
                target,
            )
            for number, target in ((1, 0.8), (2, 0.6))
        ),
    ),
)
