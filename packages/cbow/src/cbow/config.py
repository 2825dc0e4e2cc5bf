"""The settings of a training run; their docstrings are what `cbow train --help` prints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from shared.command.config import OnlyWith, Problems

Schedule = Literal["constant", "linear", "halve"]
Vectors = Literal["input", "input+output", "joined"]


@dataclass(frozen=True)
class TrainConfig:
    """Settings of a training run; the defaults are the assignment's treebank test (`baseline`)."""

    recipe: str | None = None
    """Settings by name, overridden by --config and by flags."""
    data: str | None = None
    """A text file, a folder of them with its subfolders (.txt, .gz, .bz2, .xz), or a folder in the publisher's layout
    (treebank.txt, synonyms.json); default: $DLTASKS_DATA/cbow, else the user's cache, else a small made-up sample."""
    corpus: str = "treebank.txt"
    """File to train on inside the data folder; where it is missing, all text files there."""
    synonyms: str | None = None
    """Synonym list that recall is measured by after each epoch; default: synonyms.json of the data folder."""
    encoding: str = "utf-8"
    """Text encoding of the corpus."""
    limit: int | None = None
    """Train on the first so many lines of the corpus only, >= 1; null: all."""
    init: str | None = None
    """Start from trained weights: a run, whose words stay in the vocabulary beside those of the corpus; or from the
    vectors of a file (.npz, .safetensors, word2vec, GloVe text)."""
    tokenizer: Literal["word", "coursework", "unicode", "space", "nltk", "review"] = "word"
    """word: letters, digits and underscores, lower case; coursework: the same by Python's `\\W`, which splits words at
    combining marks; unicode: words by Unicode's rules (don't is one); space: split at white space; nltk: Penn Treebank
    tokens; review: letters and digits, without HTML breaks."""
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
    cbow_gradient: Literal["true", "word2vec", "coursework"] = "true"
    """Gradient of a context word. true: divided by the number of context words, as the mean demands; word2vec: not
    divided, as in its C code; coursework: divided, but a word that occurs twice in the context gets it once, as with
    numpy's `U[context] -= g` (objective softmax)."""
    dimension: int = 20
    """Size of a word vector, >= 1."""
    window: int = 4
    """Words of context on each side, >= 1."""
    shrink_window: bool = False
    """Draw each window's size from 1 to `window`, as word2vec does."""
    subsample: float = 0.0
    """Words that make up more than this fraction of the corpus are dropped at random, from 0 to 1; 0: none; word2vec's
    default is 1e-3."""
    negatives: int = 5
    """Negative samples for each word (objective negative), >= 1."""
    negative_power: float = 0.75
    """Negatives are drawn by count to this power, from 0 to 1."""
    batch_size: int = 1
    """Neighboring words of a line that are trained in one step, four of them with the same negatives, >= 1. 1: word by
    word, as word2vec does; 32 is faster (objective negative, architecture cbow, no positions, no n-grams)."""
    positions: bool = False
    """A separate input table for each position in the window (architecture cbow; not objective softmax)."""
    subword_min: int = 3
    """Characters of the shortest n-gram, the boundary marks `<` and `>` included, >= 1."""
    subword_max: int = 0
    """Characters of the longest n-gram. A word's input is its own row plus the rows of those of its n-grams that occur
    in another word too; 0: no n-grams (not objective softmax)."""
    twin: bool = False
    """Train a second model, the twin, without n-grams after the first, all else equal, and concatenate the vectors of
    both. Lines of the twin's epochs begin with `twin`."""
    twin_weight: float = 0.6
    """Length of the twin's part of a concatenated vector, where the first model's part has length 1, > 0."""
    initial: Literal["uniform", "word2vec"] = "uniform"
    """uniform: all weights from -1 to 1; word2vec: inputs from -0.5/D to 0.5/D, outputs 0."""

    epochs: int = 10
    """Passes over the corpus, >= 1."""
    learning_rate: float = 0.1
    """Step size of SGD, > 0."""
    schedule: Schedule = "constant"
    """constant; linear: falls to `min_learning_rate` by the last word; halve: halved every `halve_every` epochs."""
    min_learning_rate: float = 1e-4
    """Final learning rate of the linear schedule, >= 0."""
    halve_every: int = 2
    """With `halve`, the rate is halved before each epoch whose number, counted from 1, is a multiple of this, >= 1."""
    seed: int = 42
    """Seed of all random numbers, >= 0."""
    threads: int = 1
    """Threads that train on the same weights, >= 1; with more than one, results differ a little from run to run."""
    merge_every: int | None = None
    """With several processes (`mpirun -n 2 cbow train ...`): words that each trains on before their models are merged,
    >= 1; null: a quarter of its part of the corpus, at least 30,000. They are also merged after about a million words
    of all together; one process has nothing to merge."""
    minutes: float | None = None
    """Train as many epochs as fit into this time, start and page included, instead of `epochs`, > 0. The number is
    planned once, from a second of training at the start, and is not changed while the run trains, so a machine that
    slows down takes longer."""
    vectors: Vectors = "input"
    """How the final word vector is made. input: the input row (with positions: the rows of all tables concatenated);
    input+output: the sum of input row and output column; joined: both concatenated, each centered and scaled to one
    length."""
    output_weight: float = 0.5
    """Length of the output part of joined vectors, where the input part has length 1, >= 0."""
    checkpoint_seconds: float = 5.0
    """Seconds between checkpoints, > 0; longer if writing one takes more than a twentieth of that."""

    COMMON: ClassVar[tuple[str, ...]] = (
        *("recipe", "data", "init", "limit", "max_vocab_size", "architecture", "objective"),
        *(
            "dimension",
            "window",
            "epochs",
            "minutes",
            "learning_rate",
            "schedule",
            "threads",
            "seed",
        ),
    )
    GROUPS: ClassVar[dict[str, tuple[str, ...]]] = {
        "data": (
            *("recipe", "data", "corpus", "synonyms", "encoding", "limit", "tokenizer"),
            *("max_vocab_size", "min_count", "prune_above"),
        ),
        "model": (
            *("init", "architecture", "objective", "cbow_gradient", "dimension", "window"),
            *("shrink_window", "subsample", "negatives", "negative_power", "batch_size"),
            "initial",
        ),
        "n-grams and positions": (
            *("positions", "subword_min", "subword_max", "twin", "twin_weight"),
        ),
        "training": (
            *("epochs", "minutes", "learning_rate", "schedule", "min_learning_rate", "halve_every"),
            *("seed", "threads", "merge_every", "checkpoint_seconds"),
        ),
        "word vectors": ("vectors", "output_weight"),
    }
    ONLY_WITH: ClassVar[OnlyWith] = {
        "cbow_gradient": {"architecture": ("cbow",)},
        "negatives": {"objective": ("negative",)},
        "negative_power": {"objective": ("negative",)},
        "batch_size": {"objective": ("negative",), "architecture": ("cbow",)},
        "subword_min": {"subword_max": ...},
        "twin_weight": {"twin": ...},
        "min_learning_rate": {"schedule": ("linear",)},
        "halve_every": {"schedule": ("halve",)},
        "output_weight": {"vectors": ("joined",)},
        "epochs": {"minutes": (None,)},
    }

    def __post_init__(self) -> None:
        """Check all values.

        Raises
        ------
        UserError
            Naming every value that is out of range.
        """
        with Problems() as problem:
            size = self.max_vocab_size
            problem(size is not None and size < 2, "max_vocab_size", size, ">= 2, or null for all")
            problem(self.min_count < 1, "min_count", self.min_count, ">= 1")
            limit = self.limit
            problem(limit is not None and limit < 1, "limit", limit, ">= 1, or null for all")
            prune = self.prune_above
            problem(
                prune is not None and prune < 4, "prune_above", prune, ">= 4, or null for no bound"
            )
            for name in (
                "dimension",
                "window",
                "negatives",
                "batch_size",
                "epochs",
                "halve_every",
                "threads",
            ):
                problem(getattr(self, name) < 1, name, getattr(self, name), ">= 1")
            every = self.merge_every
            problem(
                every is not None and every < 1,
                "merge_every",
                every,
                ">= 1, or null for the default",
            )
            for name in ("learning_rate", "checkpoint_seconds", "twin_weight"):
                value = getattr(self, name)
                problem(not 0 < value < float("inf"), name, value, "a number > 0")
            problem(not 0 <= self.subsample <= 1, "subsample", self.subsample, "from 0 to 1")
            power = self.negative_power
            problem(not 0 <= power <= 1, "negative_power", power, "from 0 to 1")
            lowest = self.min_learning_rate
            highest = self.learning_rate if self.schedule == "linear" else float("inf")
            problem(
                not 0 <= lowest <= highest,
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
        """Check positions, n-grams, the twin, and the vectors that can be made of them."""
        shortest, longest = self.subword_min, self.subword_max
        problem(shortest < 1, "subword_min", shortest, ">= 1")
        is_length = longest == 0 or longest >= max(shortest, 1)
        problem(not is_length, "subword_max", longest, "0 or at least --subword-min")
        if self.objective == "softmax":
            others = "with --objective softmax; negative and hierarchical have them"
            problem(self.positions, "positions", True, f"False {others}")
            problem(longest > 0, "subword_max", longest, f"0 {others}")
        else:
            problem(
                self.cbow_gradient == "coursework",
                "cbow_gradient",
                "coursework",
                f"true or word2vec with --objective {self.objective}",
            )
        if self.architecture == "skipgram":
            problem(
                self.positions,
                "positions",
                True,
                "False with --architecture skipgram, whose input is one word",
            )
        is_plain = self.objective == "negative" and self.architecture == "cbow"
        problem(
            self.batch_size > 1 and (not is_plain or self.positions or longest > 0),
            "batch_size",
            self.batch_size,
            "1, except with --objective negative, --architecture cbow, no positions and no n-grams",
        )
        problem(self.twin and longest == 0, "twin", True, "False without --subword-max")
        problem(self.twin and self.init is not None, "twin", True, "False with --init")
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
"""Settings that do not change the result: the data may have moved, its content is compared by checksum."""
