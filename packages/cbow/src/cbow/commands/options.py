"""The options of every verb except `train`; their docstrings are what `--help` prints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from shared.command.config import Problems, positional


@dataclass(frozen=True)
class EvaluateOptions:
    """Tests to measure a model with; without one, the synonym list that the run was measured with."""

    run: str = positional()
    """Run folder, or a vector file (.npz, .safetensors, GloVe text, word2vec text or binary)."""
    synonyms: str | None = None
    """Synonym list: JSON [[word, [synonym, ...]], ...]."""
    analogies: str | None = None
    """Analogies in the format of questions-words.txt."""
    pairs: str | None = None
    """Word pairs with a human score, as WordSim-353 and SimLex-999 give them."""
    neighbors: int | None = None
    """The k of recall@k of synonyms, >= 2; the word itself counts as the first; default: 40."""
    json: bool = False
    """Print one JSON object instead of lines."""

    def __post_init__(self) -> None:
        """Check all values."""
        with Problems() as problem:
            k = self.neighbors
            problem(k is not None and k < 2, "neighbors", k, ">= 2")


@dataclass(frozen=True)
class NeighborsOptions:
    """Words to list the neighbors of."""

    run: str = positional()
    """Run folder or vector file."""
    words: tuple[str, ...] = positional()
    """One or more words."""
    count: int = 10
    """Number of neighbors of each word, the word itself not counted, >= 1."""
    json: bool = False
    """Print one JSON object instead of a table."""

    def __post_init__(self) -> None:
        """Check all values."""
        with Problems() as problem:
            problem(self.count < 1, "count", self.count, ">= 1")


@dataclass(frozen=True)
class SimilarityOptions:
    """Two words to compare."""

    run: str = positional()
    """Run folder or vector file."""
    first: str = positional()
    """A word."""
    second: str = positional()
    """Another word."""
    json: bool = False
    """Print one JSON object instead of a line."""


@dataclass(frozen=True)
class AnalogyOptions:
    """An analogy `a is to b as c is to ?`."""

    run: str = positional()
    """Run folder or vector file."""
    a: str = positional()
    """man, in man : king = woman : ?"""
    b: str = positional()
    """king"""
    c: str = positional()
    """woman"""
    count: int = 5
    """Number of answers, >= 1."""
    json: bool = False
    """Print one JSON object instead of a table."""

    def __post_init__(self) -> None:
        """Check all values."""
        with Problems() as problem:
            problem(self.count < 1, "count", self.count, ">= 1")


@dataclass(frozen=True)
class InspectOptions:
    """Parts of a run to show."""

    run: str = positional()
    """Run folder, or a folder of runs: its newest."""
    words: tuple[str, ...] = positional(default=())
    """Words whose index, count and vector are shown; default: the first of the vocabulary."""
    samples: int = 5
    """Training samples to show, from the start of the corpus, >= 0."""
    json: bool = False
    """Print one JSON object instead of lines."""

    def __post_init__(self) -> None:
        """Check all values."""
        with Problems() as problem:
            problem(self.samples < 0, "samples", self.samples, ">= 0")


@dataclass(frozen=True)
class ExportOptions:
    """Format and file to write."""

    run: str = positional()
    """Run folder or vector file."""
    format: Literal[
        "npz", "safetensors", "word2vec-text", "word2vec-binary", "projector", "numpy"
    ] = "word2vec-binary"
    """npz, safetensors; word2vec-text, word2vec-binary: as gensim reads them; projector: two .tsv files for the
    TensorBoard Embedding Projector; numpy: vectors.npy, token_to_idx.json, idx_to_token.json."""
    out: str | None = None
    """File to write (projector, numpy: folder); default: vectors.<ending>, or a folder of the format's name."""


@dataclass(frozen=True)
class SynonymsOptions:
    """Words to list WordNet's synonyms of."""

    run: str = positional()
    """Run folder, vector file, or a vocab.txt, whose words may be listed."""
    out: str = "synonyms.json"
    """File to write."""
    wordnet: str | None = None
    """Folder of WordNet's database files (data.noun, index.noun, ...); default: that of NLTK's downloader, else of
    Debian's wordnet-base."""
    words: str | None = None
    """File with one word a line to list synonyms of; default: every word of the vocabulary that has some."""


@dataclass(frozen=True)
class StudyOptions:
    """The assignment's study of learning rates and training times."""

    recipe: Literal["coursework", "baseline"] = "coursework"
    """Settings that the study varies: the coursework's own, or those with the true gradient."""
    data: str | None = None
    """Data as in `train`."""
    out: str | None = None
    """Folder for the runs, the two plots, the table and the page; default: runs/cbow/study-<date-time>."""
    resume: bool = False
    """Resume the study in --out: finished runs are kept, the others are resumed."""
    seed: int = 42
    """Seed of every run, >= 0."""
    epochs: int | None = None
    """Epochs of every run instead of the assignment's 10 and 30 (for a quick look), >= 1."""
    quiet: bool = False
    """No bar and no lines."""

    def __post_init__(self) -> None:
        """Check all values."""
        with Problems() as problem:
            problem(not 0 <= self.seed < 2**32, "seed", self.seed, "from 0 to 4294967295")
            problem(self.epochs is not None and self.epochs < 1, "epochs", self.epochs, ">= 1")


@dataclass(frozen=True)
class ExplainOptions:
    """The training step to show."""

    line: str = "she want to go home"
    """Line of text that gives the sample."""
    position: int = 2
    """Position of the target word in the line, from 0."""
    window: int = 2
    """Words of context on each side, >= 1."""
    dimension: int = 3
    """Size of a word vector, >= 1."""
    learning_rate: float = 0.5
    """Step size, > 0."""
    seed: int = 42
    """Seed of the first weights, >= 0."""

    def __post_init__(self) -> None:
        """Check all values."""
        with Problems() as problem:
            problem(self.window < 1, "window", self.window, ">= 1")
            problem(self.dimension < 1, "dimension", self.dimension, ">= 1")
            problem(self.learning_rate <= 0, "learning_rate", self.learning_rate, "> 0")
            problem(not 0 <= self.seed < 2**32, "seed", self.seed, "from 0 to 4294967295")


@dataclass(frozen=True)
class BenchOptions:
    """Comparisons to time."""

    data: str | None = None
    """Data as in `train`."""
    runs: int = 3
    """Timed rounds, >= 1; every engine runs once in each, and medians are printed."""
    threads: int = 1
    """Threads of ours and workers of gensim, >= 1."""
    large: int = 0
    """Also train on a made-up corpus of this many million tokens and print the memory used, >= 0; 0: skip."""
    json: bool = False
    """Print one JSON object instead of tables."""

    def __post_init__(self) -> None:
        """Check all values."""
        with Problems() as problem:
            problem(self.runs < 1, "runs", self.runs, ">= 1")
            problem(self.threads < 1, "threads", self.threads, ">= 1")
            problem(self.large < 0, "large", self.large, ">= 0")
