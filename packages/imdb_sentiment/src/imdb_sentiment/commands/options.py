"""The options of every verb but `train`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from shared.command import options as shared_options
from shared.command.config import OnlyWith, Problems, positional
from shared.command.options import Device

_LONGEST_NAME = 255


def is_file_name(text: str) -> bool:
    """Whether a text is the name of a file that is there."""
    return len(text) <= _LONGEST_NAME and "\0" not in text and Path(text).is_file()


Split = Literal["train", "valid", "test"]
RECIPES = ("nbsvm", "tfidf", "cnn", "bilstm", "handwritten", "baseline", "encoder")
"""In the order in which `compare-models` trains them: the quick ones first."""


@dataclass(frozen=True)
class MeasuredOptions:
    """Which labelled reviews to measure a model on."""

    run: str = positional()
    """Run folder, or a folder of runs: its newest."""
    data: str | None = None
    """Labelled data as in `train`, of which all is test if it has no test set, unless the run was trained on it;
    default: the data of the run."""
    split: Split = "test"
    """Which reviews; valid is taken out of train as in the run."""
    slice: tuple[str, ...] = ()
    """Part of each class, first:end, from 0: one for all classes, or one for each in their order. The coursework's
    2,000 of the test reviews: 2500:3500,5000:6000."""
    text_column: str | None = None
    """Column of the texts, if --data is a table; default: as in the run."""
    label_column: str | None = None
    """Column of the classes; default: as in the run."""
    separator: str | None = None
    """Separator of the columns; default: as in the run, or by the file's name."""
    encoding: str | None = None
    """Encoding of the table; default: as in the run."""
    device: Device = "auto"
    """Where a network computes; auto: a GPU if there is one."""

    def __post_init__(self) -> None:
        """Check all values."""
        with Problems() as problem:
            self.check(problem)

    def check(self, problem: Problems) -> None:
        """Note every setting that is out of range."""
        for text in self.slice:
            is_odd = re.fullmatch(r"\d*:\d*", text) is None
            problem(is_odd, "slice", text, "first:end, such as 5000:6000")


@dataclass(frozen=True)
class EvaluateOptions(MeasuredOptions):
    """What to measure."""

    json: bool = False
    """Print one JSON object instead of lines."""


@dataclass(frozen=True)
class PredictOptions:
    """Which reviews to classify."""

    run: str = positional()
    """Run folder, or a folder of runs: its newest."""
    texts: tuple[str, ...] = positional(default=())
    """Reviews, each in quotes; default: standard input, a review a line; an empty line is an empty review."""
    file: str | None = None
    """Text file with a review a line (an empty line is an empty review), or a table: CSV, TSV, JSONL (.gz, .bz2, .xz
    too)."""
    text_column: str | None = None
    """Column of a table that has the reviews, or its number where there is no header; default: as in the run. With
    it, standard input is CSV."""
    separator: str | None = None
    """Separator of the columns, `tab` for a tab; default: as in the run, else by the file's name; a comma on standard
    input."""
    encoding: str | None = None
    """Encoding of the file; default: a table's as in the run, else utf-8."""
    json: bool = False
    """Print a JSON object a line."""
    batch_size: int = 256
    """Reviews held in memory, >= 1."""
    device: Device = "auto"
    """Where a network computes; auto: a GPU if there is one."""

    def __post_init__(self) -> None:
        """Check all values."""
        with Problems() as problem:
            problem(self.batch_size < 1, "batch_size", self.batch_size, ">= 1")
            both = self.file is not None and bool(self.texts)
            problem(both, "file", self.file, "none where reviews are given")
            for text in self.texts:
                # The name of a file would be classified as if it were a review.
                problem(is_file_name(text), "texts", text, "a review; a file is named with --file")
            for name in ("text_column", "separator", "encoding"):
                value = getattr(self, name)
                odd = value is not None and bool(self.texts)
                expected = "none where reviews are given; a table is named with --file"
                problem(odd, name, value, expected)


@dataclass(frozen=True)
class ExplainOptions:
    """Which review to explain, and how."""

    run: str = positional()
    """Run folder, or a folder of runs: its newest."""
    text: str | None = positional(default=None)
    """The review; default: --file, or else some of the test reviews of the run's data."""
    file: str | None = None
    """Text file that is one review."""
    method: Literal["occlusion", "gradient"] = "occlusion"
    """Effect of each word at its position in the text; occlusion: change of the log-odds without the word, for every
    model; gradient: gradient times input, quicker, for networks."""
    reviews: int = 6
    """Test reviews where no text is given, evenly spaced, >= 1."""
    words: int = 400
    """Words of a review to explain, from its beginning, >= 1."""
    device: Device = "auto"
    """Where a network computes; auto: a GPU if there is one."""
    out: str | None = None
    """HTML file; default: explain.html in the run folder."""

    ONLY_WITH: ClassVar[OnlyWith] = {"reviews": {"text": (None,), "file": (None,)}}

    def __post_init__(self) -> None:
        """Check all values."""
        with Problems() as problem:
            for name in ("reviews", "words"):
                problem(getattr(self, name) < 1, name, getattr(self, name), ">= 1")
            both = self.text is not None and self.file is not None
            problem(both, "file", self.file, "not set where a text is given")


@dataclass(frozen=True)
class MistakesOptions(MeasuredOptions):
    """Which mistakes to show."""

    count: int = 20
    """Mistakes to show, the most confident first, >= 1."""
    out: str | None = None
    """HTML file; default: mistakes.html in the run folder."""

    def check(self, problem: Problems) -> None:
        """Note every setting that is out of range."""
        super().check(problem)
        problem(self.count < 1, "count", self.count, ">= 1")


@dataclass(frozen=True)
class AuditOptions:
    """Which data to check."""

    data: str | None = None
    """Data as in `train`."""
    text_column: str = "text"
    """Column of the texts, if --data is a table."""
    label_column: str = "label"
    """Column of the classes."""
    separator: str | None = None
    """Separator of the columns, `tab` for a tab; null: by the file's name."""
    encoding: str = "utf-8"
    """Encoding of the table."""
    out: str | None = None
    """HTML file; default: none."""
    show: int = 10
    """Findings of each kind to name, >= 1."""
    json: bool = False
    """Print one JSON object instead of lines."""

    def __post_init__(self) -> None:
        """Check all values."""
        with Problems() as problem:
            problem(self.show < 1, "show", self.show, ">= 1")


@dataclass(frozen=True)
class SeveralRunsOptions:
    """Options of the verbs that train several models."""

    data: str | None = None
    """Data as in `train`."""
    minutes: float | None = None
    """Most minutes for each network, whose training is then planned to end in them, > 0; null: as the recipes say."""
    epochs: int | None = None
    """Passes of each network over its reviews, >= 1; null: as the recipes say."""
    threads: int = 0
    """CPU threads, >= 0; 0: as torch chooses."""
    out: str | None = None
    """Folder for the runs and the page; finished runs in it are not trained again; default:
    runs/imdb_sentiment/<verb>."""
    json: bool = False
    """Print one JSON object instead of lines."""

    def __post_init__(self) -> None:
        """Check all values."""
        with Problems() as problem:
            self.check(problem)

    def check(self, problem: Problems) -> None:
        """Note every setting that is out of range; a verb adds its own after `super().check(problem)`."""
        minutes, epochs = self.minutes, self.epochs
        problem(minutes is not None and not minutes > 0, "minutes", minutes, "> 0")
        problem(epochs is not None and epochs < 1, "epochs", epochs, ">= 1")
        problem(self.threads < 0, "threads", self.threads, ">= 0")


@dataclass(frozen=True)
class RecipesOptions(SeveralRunsOptions):
    """Options of the verbs that train given recipes."""

    recipes: tuple[str, ...] = RECIPES
    """Recipes to train, in this order."""
    encoder: str | None = None
    """Folder or hub name of the pretrained encoder; default: the recipe's."""

    def check(self, problem: Problems) -> None:
        """Note every setting that is out of range."""
        super().check(problem)
        problem(not self.recipes, "recipes", list(self.recipes), "one or more")
        has_encoder = any("encoder" in name for name in self.recipes)
        is_odd = self.encoder is not None and not has_encoder
        problem(is_odd, "encoder", self.encoder, "none, unless --recipes has an encoder")


@dataclass(frozen=True)
class CompareOptions(RecipesOptions):
    """Which models to compare, on what."""

    recipes: tuple[str, ...] = RECIPES
    """Recipes to train, in this order; an encoder that is not available is left out."""
    limit: int | None = None
    """Training reviews for every model, >= 2; null: as the recipes say."""
    seed: int = 1
    """Seed of every run, >= 0."""

    def check(self, problem: Problems) -> None:
        """Note every setting that is out of range."""
        super().check(problem)
        problem(self.limit is not None and self.limit < 2, "limit", self.limit, ">= 2")
        problem(self.seed < 0, "seed", self.seed, ">= 0")


@dataclass(frozen=True)
class CurveOptions(RecipesOptions):
    """Which learning curves to draw."""

    recipes: tuple[str, ...] = ("nbsvm", "tfidf")
    """Recipes to train, in this order."""
    sizes: tuple[int, ...] = (100, 250, 500, 1000, 2000, 5000, 10000, 22500)
    """Numbers of training reviews, each >= 2; those above what is there become all there are."""
    seeds: tuple[int, ...] = (1,)
    """Seeds; another one chooses other reviews."""

    def check(self, problem: Problems) -> None:
        """Note every setting that is out of range."""
        super().check(problem)
        problem(not self.seeds, "seeds", list(self.seeds), "one or more")
        problem(min(self.sizes, default=0) < 2, "sizes", list(self.sizes), "numbers >= 2")


@dataclass(frozen=True)
class TrialOptions(SeveralRunsOptions):
    """Options of `ablate` and `study`."""

    vectors: str | None = None
    """Word vectors of the BiLSTM instead of the recipe's, as in `train`."""
    seeds: tuple[int, ...] = (1, 2, 3)
    """Seeds of each variant, each >= 0."""
    limit: int | None = None
    """Training reviews instead of the recipe's, >= 2."""
    test_limit: int | None = None
    """Test reviews instead of the recipe's, >= 2."""
    valid_fraction: float | None = None
    """Fraction of the training reviews for validation instead of the recipe's, above 0 and below 1."""
    max_tokens: int | None = None
    """Tokens of a review instead of the recipe's, >= 1."""

    def check(self, problem: Problems) -> None:
        """Note every setting that is out of range."""
        super().check(problem)
        problem(not self.seeds, "seeds", list(self.seeds), "one or more")
        problem(min(self.seeds, default=0) < 0, "seeds", list(self.seeds), "numbers >= 0")

    def changes(self) -> dict[str, Any]:
        """Return the settings of the recipe that these options replace."""
        names = ("vectors", "limit", "test_limit", "valid_fraction", "max_tokens")
        return {n: value for n in names if (value := getattr(self, n)) is not None}


@dataclass(frozen=True)
class AblateOptions(TrialOptions):
    """Which data to train the variants on, and how long."""


@dataclass(frozen=True)
class StudyOptions(TrialOptions):
    """Which part of the tuning to repeat, on which data, and how long."""

    part: Literal["lstm", "encoder"] = "lstm"
    """lstm: optimizer, halving, dropout and L2; encoder: learning rates of the pretrained encoder."""
    encoder: str | None = None
    """Folder or hub name of the pretrained encoder; default: the recipe's."""
    seeds: tuple[int, ...] = (1,)
    """Seeds of each variant, each >= 0."""

    ONLY_WITH: ClassVar[OnlyWith] = {
        "encoder": {"part": ("encoder",)},
        "vectors": {"part": ("lstm",)},
    }

    def changes(self) -> dict[str, Any]:
        """Return the settings of the recipe that these options replace."""
        return {**super().changes(), "encoder": self.encoder}


@dataclass(frozen=True)
class ExportOptions:
    """What to write, and where."""

    run: str = positional()
    """Run folder of a network or an encoder."""
    format: Literal["onnx", "pretrained"] = "onnx"
    """onnx: any network; pretrained: an encoder for `transformers.AutoModelForSequenceClassification`."""
    out: str | None = None
    """Folder to write, new or empty; default: onnx or pretrained in the run folder."""


@dataclass(frozen=True)
class BenchOptions:
    """What to time."""

    data: str | None = None
    """Data as in `train`."""
    recipe: str = "bilstm"
    """Recipe of an LSTM whose model is timed."""
    batches: int = 6
    """Batches in a round, >= 1."""
    rounds: int = 3
    """Timed rounds; all engines run once a round, in turn, and medians are printed, >= 1."""
    threads: int = 0
    """CPU threads, >= 0; 0: as torch chooses."""
    json: bool = False
    """Print one JSON object instead of a table."""

    def __post_init__(self) -> None:
        """Check all values."""
        with Problems() as problem:
            for name in ("batches", "rounds"):
                problem(getattr(self, name) < 1, name, getattr(self, name), ">= 1")
            problem(self.threads < 0, "threads", self.threads, ">= 0")


@dataclass(frozen=True)
class InspectOptions:
    """What to show of the data."""

    word: str | None = None
    """Word whose vector is shown; default: the most frequent one."""
    out: str | None = None
    """Folder to write, new or empty, for stoi.json, itos.txt and vectors.txt (word2vec text); default: none."""
    json: bool = False
    """Print one JSON object instead of lines."""


@dataclass(frozen=True)
class FetchOptions(shared_options.FetchOptions):
    """What to download, and where to."""

    glove: bool = False
    """GloVe 6B (862 MB), the coursework's word vectors, instead of the reviews."""
