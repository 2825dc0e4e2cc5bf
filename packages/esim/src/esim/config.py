"""Options of every verb. What stands here in docstrings is what `--help` prints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from shared.command.config import Problems
from shared.torch.config import MAY_CHANGE, LoopConfig

Split = Literal["train", "dev", "dev_mismatched", "test"]
BadLine = Literal["error", "skip"]

MAY_CHANGE_ON_RESUME = ("data", "cache", *MAY_CHANGE)
"""Settings that do not change what is trained: the data may have moved, its content is compared by itself."""


@dataclass(frozen=True)
class TrainConfig(LoopConfig):
    """Settings of a training run; the defaults are the paper's model."""

    data: str | None = None
    """Folder or zip with train, dev and perhaps test pairs (SNLI, MultiNLI, JSONL, TSV); default: $DLTASKS_DATA/snli,
    else a small made-up sample."""
    tokenizer: Literal["nltk_lower", "nltk", "space", "parse", "parse_lower"] = "nltk_lower"
    """How sentences become words; parse: the words of the data's own parses; space: the text is tokenized already."""
    on_bad_line: BadLine = "error"
    """What to do with a line that cannot be read: stop and name it, or count it and go on."""
    cache: bool = True
    """Keep the tokens of each file in $DLTASKS_DATA/tokens, else in the user's cache folder, so that the next run need
    not split them again."""
    max_length: int = 200
    """Words of a sentence that are read, >= 1; what is behind them is cut off, and counted."""
    hold_out: int = 0
    """Pairs at the end of train that take the place of dev, >= 0: to choose settings without looking at dev."""

    vocabulary: Literal["train", "all"] = "all"
    """Whose words have a vector: those of train, or those of train, dev and test as in the coursework."""
    min_count: int = 1
    """Words that these texts have less often become `<unk>`, >= 1."""
    max_vocab_size: int | None = None
    """Words kept, `<unk>` and `<pad>` included, >= 3; null: all."""
    vectors: str | None = None
    """File with pretrained vectors (GloVe or word2vec, plain, .gz or inside .zip); auto: the data root's GloVe if it is
    there; train: made from the training sentences; null: drawn."""
    on_bad_vector: BadLine = "skip"
    """What to do with a torn line of the vector file."""
    frozen: bool = False
    """Leave word vectors as they begin."""

    embedding_size: int = 300
    """Size of a word vector, >= 1; that of the vector file where one is given."""
    hidden_size: int = 300
    """Size of each LSTM state and of the inner layers, >= 1."""
    dropout: float = 0.5
    """Share of features dropped before each layer of the classifier, 0 to below 1."""
    input_dropout: float = 0.5
    """Share of features dropped before each LSTM, 0 to below 1."""
    variational: bool = True
    """Drop the same features of all words of a sentence before an LSTM."""
    matches: bool = False
    """Tell the model of each word whether it, and whether its stem, is in the other sentence too; not in the paper."""
    relu: bool = True
    """ReLU after the projection, as in the paper."""
    mask: bool = True
    """Padding takes no part; without, LSTMs, attention and pooling read it as if it were words."""
    batch_axis: bool = False
    """DEFECT of the coursework: the LSTMs read across the batch instead of along the sentence."""
    orthogonal: bool = True
    """Recurrent weights begin orthogonal, and forget gates open."""

    optimizer: Literal["adam", "adamw"] = "adam"
    """How weights follow gradients; adamw: with decoupled weight decay."""
    learning_rate: float = 4e-4
    """Step size, > 0."""
    beta2: float = 0.999
    """The optimizer's memory of squared gradients, 0 to below 1."""
    weight_decay: float = 0.0
    """Pull of weights towards zero, word vectors excepted, >= 0."""
    label_smoothing: float = 0.0
    """Share of each label's weight that is spread over all labels, 0 to below 1."""
    batch_size: int = 32
    """Pairs in a batch, over all processes, >= 1."""
    pool: int = 100
    """Batches that are sorted by length together, >= 1; 1: none are."""

    def check(self, problem: Problems) -> None:
        """Note every setting that is out of range."""
        super().check(problem)
        for name in (
            "max_length", "min_count", "embedding_size", "hidden_size", "batch_size", "pool",
        ):  # fmt: skip
            problem(getattr(self, name) < 1, name, getattr(self, name), ">= 1")
        problem(self.hold_out < 0, "hold_out", self.hold_out, ">= 0")
        size = self.max_vocab_size
        problem(size is not None and size < 3, "max_vocab_size", size, ">= 3 or null")
        for name in ("dropout", "input_dropout", "beta2", "label_smoothing"):
            value = getattr(self, name)
            problem(not 0 <= value < 1, name, value, "0 to below 1")
        decay = self.weight_decay
        problem(not 0 <= decay < float("inf"), "weight_decay", decay, ">= 0")
        rate = self.learning_rate
        problem(not 0 < rate < float("inf"), "learning_rate", rate, "a number > 0")
