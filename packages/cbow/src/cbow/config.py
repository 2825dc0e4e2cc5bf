"""Options of every verb. What stands here in docstrings is what `--help` prints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from shared.config import Problems, positional

Schedule = Literal["constant", "linear", "halve"]
Vectors = Literal["input", "input+output", "joined"]


@dataclass(frozen=True)
class TrainConfig:
    """Settings of a training run; the defaults are the assignment's treebank test (`baseline`)."""

    recipe: str | None = None
    """Settings by name, overridden by --config and by flags."""
    data: str | None = None
    """Folder in the publisher's layout (treebank.txt, synonyms.json), or a text file, or a folder of .txt/.gz files;
    default: $DLTASKS_DATA/cbow, else a small made-up sample."""
    corpus: str = "treebank.txt"
    """File to train on inside the data folder; where it is missing, all .txt and .gz files there."""
    synonyms: str | None = None
    """Synonym list that recall is measured by after each epoch; default: synonyms.json of the data folder."""
    encoding: str = "utf-8"
    """Text encoding of the corpus."""
    tokenizer: Literal["word", "space", "nltk", "review"] = "word"
    """How lines become tokens; word: lower case, split at everything that is no letter, digit or underscore."""
    max_vocab_size: int | None = 4000
    """Words kept, `<unk>` included, >= 2; null: all."""
    min_count: int = 1
    """Rarer words become `<unk>`, >= 1."""
    prune_above: int | None = None
    """Bound on the distinct words held while counting (rare ones are dropped), >= 4; null: none."""

    architecture: Literal["cbow", "skipgram"] = "cbow"
    """cbow: the mean of the context predicts the word; skipgram: the word predicts each word of its context."""
    objective: Literal["softmax", "negative", "hierarchical"] = "softmax"
    """softmax over all words; negative: negative sampling; hierarchical: softmax along a Huffman tree."""
    cbow_gradient: Literal["true", "word2vec"] = "true"
    """true: divided by the number of context words, as the mean demands; word2vec: not divided, as its C code does."""
    dimension: int = 20
    """Size of a word vector, >= 1."""
    window: int = 4
    """Words of context on each side, >= 1."""
    shrink_window: bool = False
    """Draw each window's size from 1 to `window`, as word2vec does."""
    subsample: float = 0.0
    """Words above this share of the corpus are left out at random, >= 0; 0: never; word2vec's default is 1e-3."""
    negatives: int = 5
    """Negative samples for each word (objective negative), >= 1."""
    negative_power: float = 0.75
    """Negatives are drawn by count to this power, from 0 to 1."""
    positions: bool = False
    """An input table for each place in the window instead of one for all (cbow; not objective softmax)."""
    subword_min: int = 3
    """Characters of the shortest n-gram, marks of a word's two ends included, >= 1."""
    subword_max: int = 0
    """Characters of the longest n-gram. A word's input is its own row plus those of its n-grams that another word has
    too; 0: no n-grams (not objective softmax)."""
    twin: bool = False
    """Train a second model without n-grams after the first, all else equal, and join the vectors of both."""
    twin_weight: float = 0.6
    """Length of the twin's vectors in the joined ones, where the first model's are 1 long, > 0."""
    initial: Literal["uniform", "word2vec"] = "uniform"
    """uniform: all weights from -1 to 1; word2vec: inputs from -0.5/D to 0.5/D, outputs 0."""

    epochs: int = 10
    """Passes over the corpus, >= 1."""
    learning_rate: float = 0.1
    """Step size of SGD, > 0."""
    schedule: Schedule = "constant"
    """constant; linear: falls to `min_learning_rate` by the last word; halve: halved every `halve_every` epochs."""
    min_learning_rate: float = 1e-4
    """Where the linear schedule ends, >= 0."""
    halve_every: int = 2
    """Halved before each epoch whose number, counted from 1, is a multiple of this, >= 1."""
    seed: int = 42
    """Seed of all random numbers, >= 0."""
    threads: int = 1
    """Threads that train on the same weights, >= 1; with more than one, results differ a little from run to run."""
    merge_every: int | None = None
    """Of several processes (`mpirun -n 2 cbow train ...`): words that each trains on before their models are merged,
    >= 1; null: a quarter of its share of the corpus, at least 30,000. After about a million words of all together they
    are in any case; one process has nothing to merge."""
    minutes: float | None = None
    """Train as many epochs as fit into this time (timed at the start, then fixed) instead of `epochs`, > 0."""
    vectors: Vectors = "input"
    """What a word's vector is in the end. input: its input row (with positions: its rows of all tables side by side);
    input+output: the sum of input row and output column; joined: both side by side, centered, each scaled to one
    length."""
    output_weight: float = 0.5
    """Length of the output part of joined vectors, where the input part is 1 long, >= 0."""
    checkpoint_seconds: float = 5.0
    """Seconds between checkpoints, > 0; more where writing one takes over a twentieth of that."""

    def __post_init__(self) -> None:
        """Check all values.

        Raises
        ------
        UserError
            Naming every value that is out of range.
        """
        with Problems() as problem:
            size = self.max_vocab_size
            problem(size is not None and size < 2, "max_vocab_size", size, ">= 2 or null")
            problem(self.min_count < 1, "min_count", self.min_count, ">= 1")
            prune = self.prune_above
            problem(prune is not None and prune < 4, "prune_above", prune, ">= 4 or null")
            for name in (
                "dimension",
                "window",
                "negatives",
                "epochs",
                "halve_every",
                "threads",
            ):
                problem(getattr(self, name) < 1, name, getattr(self, name), ">= 1")
            every = self.merge_every
            problem(every is not None and every < 1, "merge_every", every, ">= 1 or null")
            for name in ("learning_rate", "checkpoint_seconds", "twin_weight"):
                value = getattr(self, name)
                problem(not 0 < value < float("inf"), name, value, "a number > 0")
            problem(not 0 <= self.subsample <= 1, "subsample", self.subsample, "from 0 to 1")
            power = self.negative_power
            problem(not 0 <= power <= 1, "negative_power", power, "from 0 to 1")
            lowest = self.min_learning_rate
            problem(
                not 0 <= lowest <= self.learning_rate,
                "min_learning_rate",
                lowest,
                "from 0 to --learning-rate",
            )
            problem(not 0 <= self.seed < 2**32, "seed", self.seed, "from 0 to 4294967295")
            minutes = self.minutes
            problem(minutes is not None and not 0 < minutes < 1e6, "minutes", minutes, "> 0")
            weight = self.output_weight
            problem(not 0 <= weight < float("inf"), "output_weight", weight, "a number >= 0")
            self._check_inputs(problem)

    def _check_inputs(self, problem: Problems) -> None:
        """Check positions, n-grams, the twin, and what vectors can be made of them."""
        shortest, longest = self.subword_min, self.subword_max
        problem(shortest < 1, "subword_min", shortest, ">= 1")
        is_length = longest == 0 or longest >= max(shortest, 1)
        problem(not is_length, "subword_max", longest, "0 or at least --subword-min")
        if self.objective == "softmax":
            others = "with --objective softmax; negative and hierarchical have them"
            problem(self.positions, "positions", True, f"False {others}")
            problem(longest > 0, "subword_max", longest, f"0 {others}")
        if self.architecture == "skipgram":
            problem(
                self.positions,
                "positions",
                True,
                "False with --architecture skipgram, whose input is one word",
            )
        problem(self.twin and longest == 0, "twin", True, "False without --subword-max")
        if self.objective == "hierarchical":
            problem(
                self.vectors != "input",
                "vectors",
                self.vectors,
                "input with --objective hierarchical, whose outputs are nodes of a tree",
            )
        if self.positions:
            problem(
                self.vectors == "input+output",
                "vectors",
                self.vectors,
                "input or joined with --positions, which makes the input longer than the output",
            )


MAY_CHANGE_ON_RESUME = ("data", "synonyms", "checkpoint_seconds")
"""Settings that do not change what is trained: the data may have moved, its content is compared by itself."""


@dataclass(frozen=True)
class EvaluateOptions:
    """What to measure a model by; without a list, the synonyms the run was measured by."""

    model: str = positional()
    """Run folder, or a vector file (.npz, .safetensors, word2vec .txt or .bin)."""
    synonyms: str | None = None
    """Synonym list: JSON [[word, [synonym, ...]], ...]."""
    analogies: str | None = None
    """Analogies in the format of questions-words.txt."""
    pairs: str | None = None
    """Word pairs with a human score, as WordSim-353 and SimLex-999 give them."""
    neighbors: int = 40
    """The k of recall@k, >= 2; the word itself counts as the first."""
    json: bool = False
    """Print one JSON object instead of lines."""

    def __post_init__(self) -> None:
        """Check all values."""
        with Problems() as problem:
            problem(self.neighbors < 2, "neighbors", self.neighbors, ">= 2")


@dataclass(frozen=True)
class NeighborsOptions:
    """Whose neighbors to list."""

    model: str = positional()
    """Run folder or vector file."""
    words: tuple[str, ...] = positional()
    """One or more words."""
    count: int = 10
    """Neighbors of each word, the word itself not counted, >= 1."""
    json: bool = False
    """Print one JSON object instead of a table."""

    def __post_init__(self) -> None:
        """Check all values."""
        with Problems() as problem:
            problem(self.count < 1, "count", self.count, ">= 1")


@dataclass(frozen=True)
class SimilarityOptions:
    """Which two words to compare."""

    model: str = positional()
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

    model: str = positional()
    """Run folder or vector file."""
    a: str = positional()
    """man, in man : king = woman : ?"""
    b: str = positional()
    """king"""
    c: str = positional()
    """woman"""
    count: int = 5
    """Answers, >= 1."""
    json: bool = False
    """Print one JSON object instead of a table."""

    def __post_init__(self) -> None:
        """Check all values."""
        with Problems() as problem:
            problem(self.count < 1, "count", self.count, ">= 1")


@dataclass(frozen=True)
class ExportOptions:
    """Which format to write."""

    model: str = positional()
    """Run folder or vector file."""
    format: Literal["npz", "safetensors", "word2vec-text", "word2vec-binary", "projector"] = (
        "word2vec-binary"
    )
    """npz, safetensors; word2vec-text, word2vec-binary: as gensim reads them; projector: two .tsv files for the
    TensorBoard Embedding Projector."""
    out: str | None = None
    """File to write (projector: folder); default: vectors.<ending> in the working folder."""


@dataclass(frozen=True)
class SynonymsOptions:
    """Which words get a list of WordNet synonyms."""

    model: str = positional()
    """Run folder, vector file, or a vocab.txt: its words are the ones listed."""
    out: str = "synonyms.json"
    """File to write."""
    wordnet: str | None = None
    """Folder of WordNet's database files (data.noun, index.noun, ...); default: where Debian's wordnet-base or NLTK's
    downloader puts them."""
    words: str | None = None
    """File with one word a line to list synonyms of; default: every word of the vocabulary that has some."""


@dataclass(frozen=True)
class StudyOptions:
    """The assignment's study of learning rates and training times."""

    data: str | None = None
    """Data as in `train`."""
    out: str | None = None
    """Folder for the runs, the two plots, the table and the page; default: runs/cbow/study-<date-time>."""
    resume: bool = False
    """Go on with the study in --out: finished runs are kept, the others go on."""
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
    """Which step to show."""

    line: str = "she want to go home"
    """The line that the step is taken from."""
    position: int = 2
    """Place of the target in the line, from 0."""
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
    """What to time."""

    data: str | None = None
    """Data as in `train`."""
    runs: int = 3
    """Timed rounds; every engine runs once a round and medians are printed, >= 1."""
    threads: int = 1
    """Threads of ours and workers of gensim, >= 1."""
    large: int = 0
    """Also train on a made-up corpus of this many million tokens and print how memory grows, >= 0; 0: do not."""
    json: bool = False
    """Print one JSON object instead of tables."""

    def __post_init__(self) -> None:
        """Check all values."""
        with Problems() as problem:
            problem(self.runs < 1, "runs", self.runs, ">= 1")
            problem(self.threads < 1, "threads", self.threads, ">= 1")
            problem(self.large < 0, "large", self.large, ">= 0")
