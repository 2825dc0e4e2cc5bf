"""The settings of a training run; `esim train --help` prints what is written here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from shared.command.config import OnlyWith, Problems
from shared.torch.config import MAY_CHANGE, LoopConfig

Split = Literal["train", "dev", "dev_mismatched", "test"]
BadLine = Literal["error", "skip"]

LABELS = ("entailment", "neutral", "contradiction")
"""The labels, in the order of a model's scores (that of the Hugging Face copies of SNLI)."""

MAY_CHANGE_ON_RESUME = ("data", "cache", *MAY_CHANGE)
"""Settings that do not change what is trained: data may have moved, and its content is compared by checksum."""


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Which columns of a CSV, TSV or JSONL file hold a pair, where it is not SNLI's or MultiNLI's."""

    premise_column: str | None = None
    """Column of the premise, by name, or by number from 1 in a file without a header; default: sentence1 or premise."""
    hypothesis_column: str | None = None
    """Column of the hypothesis; default: sentence2 or hypothesis."""
    label_column: str | None = None
    """Column of the label; default: gold_label or label."""
    label_values: tuple[str, ...] = ()
    """The data's own words for entailment, neutral and contradiction, in this order, which answers have too; default:
    these, or 0, 1, 2."""
    separator: str | None = None
    """Separator of the columns, one character or tab; default: by the file's name (.csv, .tsv, SNLI's .txt); JSON lines
    have none."""
    encoding: str = "utf-8"
    """Encoding of the files."""

    @property
    def label_names(self) -> tuple[str, ...]:
        """Names of the labels for readers, in the order of `LABELS`."""
        return self.label_values or LABELS

    def check_columns(self, problem: Problems) -> None:
        """Note label values that do not name each label once."""
        values = self.label_values
        is_whole = not values or len(values) == len(set(values)) == 3
        problem(not is_whole, "label_values", list(values), "three different ones, or none")


@dataclass(frozen=True)
class TrainConfig(Columns, LoopConfig):
    """Settings of a training run; the defaults are the paper's model."""

    data: str | None = None
    """Folder or zip with train, dev and perhaps test pairs (SNLI, MultiNLI, JSONL, CSV, TSV), or one file; without
    dev pairs a tenth of the premises becomes dev; default: $DLTASKS_DATA/snli, else a small made-up sample."""
    tokenizer: Literal["nltk_lower", "nltk", "unicode", "space", "parse", "parse_lower"] = (
        "nltk_lower"
    )
    """How sentences are tokenized; nltk: English; unicode: words of any language; space: the text is tokenized already;
    parse: the leaves of the data's own parses."""
    on_bad_line: BadLine = "error"
    """What to do with a line that cannot be read: stop and name it, or count and skip it."""
    cache: bool = True
    """Keep the tokens of large files in $DLTASKS_DATA/tokens, else in the user's cache folder, for the next run."""
    max_length: int = 200
    """Longest sentence in words, >= 1; longer ones are truncated, and counted."""
    hold_out: int = 0
    """Pairs at the end of train that replace dev, >= 0: to choose settings without looking at dev."""

    vocabulary: Literal["train", "all"] = "all"
    """Build the vocabulary from train, or from train, dev and test as in the coursework."""
    min_count: int = 1
    """Words that are rarer in these texts become `<unk>`, >= 1."""
    max_vocab_size: int | None = None
    """Most frequent words kept, `<unk>` and `<pad>` included, >= 3; null: all."""
    vectors: str | None = None
    """Initial word vectors: a file (GloVe or word2vec, plain, .gz or inside .zip); auto: the GloVe file in the data
    folder if there is one; train: PPMI vectors of the training sentences; null: random."""
    on_bad_vector: BadLine = "skip"
    """What to do with a line of the vector file that cannot be read."""
    frozen: bool = False
    """Keep the word vectors fixed."""

    embedding_size: int = 300
    """Size of a word vector, >= 1; a vector file brings its own."""
    hidden_size: int = 300
    """Size of each LSTM state and of the hidden layers, >= 1."""
    dropout: float = 0.5
    """Dropout probability in the classifier, 0 to below 1."""
    input_dropout: float = 0.5
    """Dropout probability on the input of each LSTM, 0 to below 1."""
    projection_dropout: float | None = None
    """Dropout probability after the projection, 0 to below 1; null: that of input_dropout."""
    variational: bool = True
    """Variational dropout: drop the same features at all words of a sentence."""
    matches: bool = False
    """Two more input features of each word: whether it, and whether its stem, occurs in the other sentence; not in the
    paper."""
    relations: bool = False
    """Lexical relations (same word, same stem, cosine of the word vectors) in the attention scores and comparisons; not
    in the paper."""
    stem_backoff: bool = False
    """Give an unknown word the vector of the most frequent known word with its stem, and match it by its stem; not in
    the paper."""
    relu: bool = True
    """ReLU after the projection, as in the paper."""
    classifier: Literal["paper", "coursework"] = "paper"
    """paper: dropout, linear, tanh, dropout, linear; coursework: dropout, linear, ReLU, linear."""
    mask: bool = True
    """Exclude padding; without, LSTMs, attention and pooling read it as if it were words."""
    batch_axis: bool = False
    """DEFECT of the coursework: the LSTMs read across the batch instead of along the sentence."""
    orthogonal: bool = True
    """Orthogonal initial recurrent weights, and forget-gate biases of 1."""

    optimizer: Literal["adam", "adamw", "muon"] = "adam"
    """Optimizer; adamw: with decoupled weight decay; muon: orthogonalized momentum for the matrices of all layers but
    the last (each gate of an LSTM is one), AdamW for all else."""
    learning_rate: float = 4e-4
    """Step size, > 0; with muon that of AdamW's part."""
    muon_learning_rate: float = 0.006
    """Step size of muon, > 0; its steps are as long as Adam's of the same rate."""
    beta2: float = 0.999
    """Decay rate of the optimizer's second moment, 0 to below 1."""
    weight_decay: float = 0.0
    """Weight decay, word vectors excepted, >= 0."""
    label_smoothing: float = 0.0
    """Probability mass of the target that is spread over all labels, 0 to below 1."""
    batch_size: int = 32
    """Pairs in a batch, over all processes, >= 1."""
    pool: int = 100
    """Batches that are sorted by length together, >= 1; 1: no sorting."""

    COMMON: ClassVar[tuple[str, ...]] = (
        *("recipe", "data", "premise_column", "hypothesis_column", "label_column", "vectors", "hidden_size"),
        *("epochs", "minutes", "batch_size", "learning_rate", "hold_out", "seed"),
    )  # fmt: skip
    GROUPS: ClassVar[dict[str, tuple[str, ...]]] = {
        "data": (
            *("data", "tokenizer", "on_bad_line", "cache", "max_length", "hold_out", "vocabulary", "min_count"),
            "max_vocab_size",
        ),
        "word vectors": ("vectors", "on_bad_vector", "frozen", "embedding_size"),
        "model": (
            *("hidden_size", "dropout", "input_dropout", "projection_dropout", "variational", "matches"),
            *("relations", "stem_backoff", "relu"),
            *("classifier", "mask", "batch_axis", "orthogonal"),
        ),
        "optimization": (
            *("optimizer", "learning_rate", "muon_learning_rate", "beta2", "weight_decay", "label_smoothing"),
            *("batch_size", "pool"),
        ),
    }  # fmt: skip
    ONLY_WITH: ClassVar[OnlyWith] = {
        "on_bad_vector": {"vectors": ...},
        "embedding_size": {"vectors": (None, "train", "auto")},
        "muon_learning_rate": {"optimizer": ("muon",)},
    }

    def check(self, problem: Problems) -> None:
        """Note every setting that is out of range."""
        super().check(problem)
        for name in (
            "max_length", "min_count", "embedding_size", "hidden_size", "batch_size", "pool",
        ):  # fmt: skip
            problem(getattr(self, name) < 1, name, getattr(self, name), ">= 1")
        problem(self.hold_out < 0, "hold_out", self.hold_out, ">= 0")
        self.check_columns(problem)
        size = self.max_vocab_size
        problem(size is not None and size < 3, "max_vocab_size", size, ">= 3, or null for all")
        for name in ("dropout", "input_dropout", "projection_dropout", "beta2", "label_smoothing"):
            value = getattr(self, name)
            problem(value is not None and not 0 <= value < 1, name, value, "0 to below 1")
        decay = self.weight_decay
        problem(not 0 <= decay < float("inf"), "weight_decay", decay, ">= 0")
        for name in ("learning_rate", "muon_learning_rate"):
            rate = getattr(self, name)
            problem(not 0 < rate < float("inf"), name, rate, "a number > 0")
