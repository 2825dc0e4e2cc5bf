"""The options of every verb but `train`, whose are in `config.py`."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import ClassVar, Literal

from esim.config import BadLine, Columns, Split, TrainConfig
from shared.command import options as shared_options
from shared.command.config import OnlyWith, Problems, positional


@dataclass(frozen=True, kw_only=True)
class GivenColumns(Columns):
    """Columns of CSV, TSV and JSONL files; those that are not given are as in training."""

    encoding: str | None = None  # type: ignore[assignment]
    """Encoding of the file; default: as in training."""

    def __post_init__(self) -> None:
        """Check all values."""
        with Problems() as problem:
            self.check_columns(problem)

    def columns(self, trained: Columns) -> Columns:
        """Return the columns of the file, those of the training data where none are given."""
        names = [item.name for item in fields(Columns)]
        return Columns(**{name: getattr(self, name) or getattr(trained, name) for name in names})


@dataclass(frozen=True)
class EvaluateOptions(GivenColumns):
    """What `evaluate` measures."""

    run: str = positional()
    """Run folder, or a folder of runs: its newest."""
    data: str | None = None
    """File (JSONL, CSV, TSV, SNLI's .txt; raw or tokenized), folder or zip; default: as in training. All pairs of a
    file are measured, unless training drew its dev pairs from it: then those."""
    split: Split | None = None
    """Which pairs of a folder (MultiNLI has dev_mismatched too); default: test if it has labels, else dev."""
    on_bad_line: BadLine = "error"
    """What to do with a line that cannot be read."""
    checks: bool = False
    """Also check how much word order, the order of the sentences and the premise matter (three more passes)."""
    json: bool = False
    """Print one JSON object instead of lines."""


@dataclass(frozen=True)
class PredictOptions(GivenColumns):
    """What `predict` labels."""

    run: str = positional()
    """Run folder, or a folder of runs: its newest."""
    premise: str | None = positional(default=None)
    """First sentence; default: pairs from --file, else from standard input, a tab between the sentences."""
    hypothesis: str | None = positional(default=None)
    """Second sentence."""
    file: str | None = None
    """File with pairs; labels are not needed and not read. Each pair is one line of output, as with standard input:
    label, probabilities of entailment, neutral and contradiction, premise, hypothesis, with tabs between them."""
    on_bad_line: BadLine = "error"
    """What to do with a line of --file that cannot be read: stop and name it, or skip it and say so."""
    attention: str | None = None
    """HTML page to write with the attention of a single pair in both directions, and a PNG beside it."""
    json: bool = False
    """Print one JSON object a line."""

    ONLY_WITH: ClassVar[OnlyWith] = {
        name: {"file": ...} for name in (*(item.name for item in fields(Columns)), "on_bad_line")
    }

    def __post_init__(self) -> None:
        """Check all values."""
        super().__post_init__()
        with Problems() as problem:
            is_half = (self.premise is None) != (self.hypothesis is None)
            problem(is_half, "hypothesis", self.hypothesis, "a second sentence after the premise")
            both = self.premise is not None and self.file is not None
            problem(both, "file", self.file, "nothing where sentences are given")
            alone = self.attention is not None and self.premise is None
            problem(alone, "attention", self.attention, "two sentences before it")
            _check_page(problem, "attention", self.attention)
            values = list(self.label_values)
            problem(
                bool(values),
                "label_values",
                values,
                "none: labels are not read, answers have training's",
            )


@dataclass(frozen=True)
class AttendOptions:
    """What `attend` shows."""

    run: str = positional()
    """Run folder, or a folder of runs: its newest."""
    premise: str | None = positional(default=None)
    """First sentence; default: the first pairs of the run's dev data."""
    hypothesis: str | None = positional(default=None)
    """Second sentence."""
    pairs: int = 6
    """Pairs of the dev data to show where no sentences are given, >= 1."""
    out: str | None = None
    """HTML page; default: attention.html in the run folder. A PNG of the first pair goes beside it."""

    ONLY_WITH: ClassVar[OnlyWith] = {"pairs": {"premise": (None,)}}

    def __post_init__(self) -> None:
        """Check all values."""
        with Problems() as problem:
            is_half = (self.premise is None) != (self.hypothesis is None)
            problem(is_half, "hypothesis", self.hypothesis, "a second sentence after the premise")
            problem(self.pairs < 1, "pairs", self.pairs, ">= 1")
            _check_page(problem, "out", self.out)


Variant = Literal[
    "full", "mask", "relu", "orthogonal", "variational", "dropout", "vectors", "matches", "relations", "stems", "axis",
    "relu_axis", "coursework",
]  # fmt: skip


@dataclass(frozen=True)
class AblateOptions:
    """What `ablate` leaves out."""

    out: str | None = None
    """Folder for the runs; existing ones in it are resumed; default: runs/esim/ablation."""
    without: tuple[Variant, ...] = ("full", "mask", "relu", "orthogonal", "vectors", "axis", "coursework")  # fmt: skip
    """Variants. full: nothing left out; vectors: random instead of --vectors; axis: LSTMs read across the batch;
    relu_axis: the same without ReLU; coursework: relu_axis with its dropout, classifier and initialization; the others
    are named after their option. Those that change nothing are passed over."""
    seeds: tuple[int, ...] | None = None
    """Seeds of each variant; default: that of --seed."""
    quiet: bool = False
    """No output while training."""
    json: bool = False
    """Print one JSON object instead of a table."""

    COMMON: ClassVar[tuple[str, ...]] = ("without", "seeds", "out", "quiet", "json")

    def __post_init__(self) -> None:
        """Check all values."""
        with Problems() as problem:
            problem(not self.without, "without", list(self.without), "one or more")
            seeds = (0,) if self.seeds is None else self.seeds
            is_bad = not seeds or min(seeds) < 0 or len(set(seeds)) < len(seeds)
            problem(is_bad, "seeds", list(seeds), "different numbers >= 0")

    def seeds_of(self, config: TrainConfig) -> tuple[int, ...]:
        """Return the seeds of each variant."""
        return (config.seed,) if self.seeds is None else self.seeds


@dataclass(frozen=True)
class StudyOptions(AblateOptions):
    """What `study` trains: one run whose epochs are measured, and the variants of `ablate`."""

    out: str | None = None
    """Folder for the runs; existing ones in it are resumed; default: runs/esim/study."""

    COMMON: ClassVar[tuple[str, ...]] = AblateOptions.COMMON


@dataclass(frozen=True)
class InspectOptions:
    """What `inspect` shows."""

    word: str | None = None
    """Word whose id and vector are shown; default: the most frequent one."""
    pairs: int = 2
    """Pairs of the first batch to show, >= 0."""
    out: str | None = None
    """Folder to write stoi.json, itos.txt and vectors.txt (word2vec text) into, new or empty."""
    json: bool = False
    """Print one JSON object instead of lines."""

    COMMON: ClassVar[tuple[str, ...]] = ("word", "pairs", "out", "json")
    ONLY_WITH: ClassVar[OnlyWith] = {"pairs": {"json": (False,)}}

    def __post_init__(self) -> None:
        """Check all values."""
        with Problems() as problem:
            problem(self.pairs < 0, "pairs", self.pairs, ">= 0")


@dataclass(frozen=True)
class FetchOptions(shared_options.FetchOptions):
    """What to download, and where to."""

    glove: bool = False
    """GloVe 840B 300d (2.2 GB), the coursework's word vectors, instead of SNLI."""


@dataclass(frozen=True)
class ExportOptions:
    """Where `export` writes."""

    run: str = positional()
    """Run folder, or a folder of runs: its newest."""
    out: str | None = None
    """Folder to write, new or empty; default: onnx in the run folder."""


@dataclass(frozen=True)
class BenchOptions:
    """What `bench` times."""

    data: str | None = None
    """Data as in `train`, for the lengths of its sentences."""
    peer: str | None = None
    """Checkout of github.com/coetaur0/ESIM to time; default: an equivalent written here."""
    vocabulary: tuple[int, ...] = (12000, 42000)
    """Sizes of the vocabulary, each >= 100."""
    hidden_size: int = 300
    """Size of states and word vectors, >= 1."""
    batch_size: int = 32
    """Pairs in a batch of both, >= 1."""
    precision: Literal["auto", "float32", "bf16"] = "auto"
    """Number format of ours; theirs is float32."""
    steps: int = 10
    """Updates in a round, >= 1."""
    rounds: int = 3
    """Timed rounds, >= 1; both models run once in each, in turn, and medians are printed."""
    threads: int = 0
    """CPU threads, >= 0; 0: as torch chooses."""
    clock: Literal["wall", "cpu"] = "wall"
    """cpu: processor time of the process, for a machine that others use too."""
    profile: bool = False
    """Also print the longest operations of a step, for both."""
    json: bool = False
    """Print one JSON object instead of a table."""

    def __post_init__(self) -> None:
        """Check all values."""
        with Problems() as problem:
            for name in ("hidden_size", "batch_size", "steps", "rounds"):
                problem(getattr(self, name) < 1, name, getattr(self, name), ">= 1")
            problem(self.threads < 0, "threads", self.threads, ">= 0")
            sizes = self.vocabulary
            problem(not sizes or min(sizes) < 100, "vocabulary", list(sizes), "each >= 100")


def _check_page(problem: Problems, name: str, path: str | None) -> None:
    """Note a page whose name is no HTML file's: an image of the same name is written beside it."""
    is_other = path is not None and not path.lower().endswith((".html", ".htm"))
    problem(is_other, name, path, "a file name that ends in .html; the PNG goes beside it")
