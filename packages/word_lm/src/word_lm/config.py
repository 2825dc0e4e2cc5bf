"""Options of every verb. What stands here in docstrings is what `--help` prints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from shared.config import Problems, positional
from shared.torch.config import MAY_CHANGE, LoopConfig

Family = Literal[
    "rnn_tanh",
    "rnn_relu",
    "gru",
    "lstm",
    "awd_lstm",
    "transformer",
    "modern_transformer",
    "gated_cnn",
]
Split = Literal["train", "valid", "test"]

MAY_CHANGE_ON_RESUME = ("data", *MAY_CHANGE)
"""Settings that do not change what is trained: the data may have moved, its content is compared by itself."""


@dataclass(frozen=True)
class TrainConfig(LoopConfig):
    """Settings of a training run; the defaults are a small LSTM for a laptop."""

    data: str | None = None
    """Folder with train.txt, valid.txt and test.txt, or one text file, which is split; default:
    $DLTASKS_DATA/wikitext-2, else a small made-up sample."""
    tokenizer: Literal["space", "word", "nltk"] = "space"
    """How lines become words; space: the text is tokenized already (WikiText); word, nltk: plain prose."""
    min_count: int = 1
    """Rarer words become `<unk>`, >= 1."""
    max_vocab_size: int | None = None
    """Words kept, `<unk>` and `<eos>` included, >= 2; null: all of train, valid and test."""

    model: Family = "lstm"
    """Kind of model; transformer is the coursework's, modern_transformer has RMSNorm and rotary positions."""
    embedding_size: int = 256
    """Size of a word vector, >= 1."""
    embedding_range: float = 0.1
    """Word vectors begin at random numbers up to this, > 0; a rare word's few updates must outweigh them."""
    hidden_size: int = 256
    """Size of the hidden state, or of the Transformer's inner layer, >= 1."""
    layers: int = 1
    """Layers, >= 1."""
    heads: int = 2
    """Attention heads; must divide `embedding_size`."""
    kernel: int = 4
    """Words that a convolution sees (gated_cnn), >= 2."""
    memory: int = 256
    """Past words that a Transformer's state holds at most, >= 1."""
    carry: bool = True
    """Hand the state on from one segment to the next; the coursework's Transformer forgets instead."""

    tied: bool = False
    """Output rows are the input embedding's; needs hidden_size = embedding_size, or projects to it."""
    softmax: Literal["full", "adaptive"] = "full"
    """full: over all words at once; adaptive: rare words in clusters, exact too, much cheaper."""
    cutoffs: tuple[int, ...] = (1000, 4000, 12000)
    """Ranks of words at which the adaptive softmax starts a cluster, rising."""
    tail_divisor: float = 2.0
    """Each cluster's vectors are smaller than those of the one before by this factor, >= 1."""

    output_bias: Literal["zero", "frequency"] = "zero"
    """Where the output's biases begin; frequency: at the logarithm of each word's share of the training text, so that
    the first steps need not find out which words are frequent."""

    dropout: float = 0.2
    """Share of features dropped: of embeddings, between layers, of the output; 0 to below 1."""
    embedding_dropout: float = 0.0
    """Share of words whose vector is dropped throughout a batch (awd_lstm), 0 to below 1."""
    input_dropout: float = 0.0
    """Share of embedding features dropped, the same at every time step (awd_lstm), 0 to below 1."""
    layer_dropout: float = 0.0
    """Share of features dropped between layers, the same at every time step (awd_lstm), 0 to below 1."""
    weight_dropout: float = 0.0
    """Share of recurrent weights dropped throughout a batch (awd_lstm), 0 to below 1."""
    activation_penalty: float = 0.0
    """Weight of the mean square of the dropped-out output (AR), >= 0."""
    change_penalty: float = 0.0
    """Weight of the mean square of the output's change from word to word (TAR), >= 0."""

    optimizer: Literal["sgd", "adamw"] = "adamw"
    """How weights follow gradients."""
    learning_rate: float = 4e-3
    """Step size, > 0."""
    beta2: float = 0.999
    """AdamW's memory of squared gradients, 0 to below 1."""
    weight_decay: float = 0.0
    """Pull towards zero, >= 0 (adamw: decoupled)."""
    batch_size: int = 32
    """Columns of text read side by side, over all processes, >= 1."""
    bptt: int = 35
    """Words of a segment, the reach of the gradient, >= 1."""
    vary_bptt: bool = False
    """Draw each segment's length around `bptt` (AWD-LSTM), so that cuts fall elsewhere in every epoch."""
    evaluation_batch: int = 10
    """Columns when measuring valid and test, >= 1; 10 is what pytorch/examples has."""

    def check(self, problem: Problems) -> None:
        """Note every setting that is out of range."""
        super().check(problem)
        for name in (
            "min_count", "embedding_size", "hidden_size", "layers", "heads", "memory", "batch_size",
            "bptt", "evaluation_batch",
        ):  # fmt: skip
            problem(getattr(self, name) < 1, name, getattr(self, name), ">= 1")
        size = self.max_vocab_size
        problem(size is not None and size < 2, "max_vocab_size", size, ">= 2 or null")
        problem(self.kernel < 2, "kernel", self.kernel, ">= 2")
        for name in (
            "dropout", "embedding_dropout", "input_dropout", "layer_dropout", "weight_dropout", "beta2",
        ):  # fmt: skip
            value = getattr(self, name)
            problem(not 0 <= value < 1, name, value, "0 to below 1")
        for name in ("activation_penalty", "change_penalty", "weight_decay"):
            value = getattr(self, name)
            problem(not 0 <= value < float("inf"), name, value, ">= 0")
        for name in ("learning_rate", "embedding_range"):
            value = getattr(self, name)
            problem(not 0 < value < float("inf"), name, value, "a number > 0")
        # A varied segment has a learning rate of its own length, and an update only one.
        is_mixed = self.vary_bptt and self.accumulation > 1
        problem(is_mixed, "accumulation", self.accumulation, "1 with --vary-bptt")
        cuts = self.cutoffs
        is_rising = all(a < b for a, b in zip((0, *cuts), cuts, strict=False))
        problem(not cuts or not is_rising, "cutoffs", list(cuts), "rising numbers >= 1")
        problem(not self.tail_divisor >= 1, "tail_divisor", self.tail_divisor, ">= 1")
        is_attending = self.model in ("transformer", "modern_transformer")
        uneven = is_attending and self.heads >= 1 and self.embedding_size % self.heads
        problem(
            bool(uneven),
            "heads",
            self.heads,
            f"a divisor of --embedding-size {self.embedding_size}",
        )
        only_awd = ("embedding_dropout", "input_dropout", "layer_dropout", "weight_dropout")
        for name in only_awd if self.model != "awd_lstm" else ():
            problem(
                getattr(self, name) > 0, name, getattr(self, name), "0 unless --model is awd_lstm"
            )


@dataclass(frozen=True)
class EvaluateOptions:
    """What to measure, and how."""

    model: str = positional()
    """Run folder."""
    data: str | None = None
    """Folder with the split's file, or a text file; default: the data of the run."""
    split: Split = "test"
    """Which file of the folder."""
    protocols: tuple[Literal["batch10", "batch1", "sliding"], ...] = ("batch10",)
    """batch10: as pytorch/examples, 10 columns; batch1: one; sliding: a window of `--window` words before each."""
    window: int = 256
    """Words that the sliding protocol shows the model at most, >= 1."""
    cache: bool = False
    """Also with a neural cache, as a figure of its own."""
    dynamic: bool = False
    """Also with dynamic evaluation (the model goes on learning from the text it has passed)."""
    ngram: bool = False
    """Also a Kneser-Ney 5-gram model of the training text, alone and mixed with the model."""
    json: bool = False
    """Print one JSON object instead of lines."""

    def __post_init__(self) -> None:
        """Check all values."""
        with Problems() as problem:
            problem(self.window < 1, "window", self.window, ">= 1")
            problem(not self.protocols, "protocols", list(self.protocols), "one or more")


@dataclass(frozen=True)
class GenerateOptions:
    """What text to write."""

    model: str = positional()
    """Run folder."""
    prompt: str = ""
    """Words to go on from; default: the end of a line."""
    words: int = 100
    """Words to write, >= 1."""
    seed: int = 1
    """Seed of the choice of words, >= 0."""
    temperature: float = 1.0
    """Below 1: likelier words, above 1: rarer ones, >= 0; 0: always the likeliest (greedy)."""
    top_k: int | None = None
    """Choose among this many likeliest words, >= 1."""
    top_p: float | None = None
    """Choose among the likeliest words that have this probability together, above 0 and at most 1."""
    beams: int = 1
    """Beam search with so many texts at a time instead of drawing words, >= 1; 1: draw."""
    repetition_penalty: float = 1.0
    """Words written already lose by this factor, >= 1; 1: they do not."""
    ban_unk: bool = True
    """Never write `<unk>`."""
    json: bool = False
    """Print one JSON object instead of the text."""

    def __post_init__(self) -> None:
        """Check all values."""
        with Problems() as problem:
            for name in ("words", "beams"):
                problem(getattr(self, name) < 1, name, getattr(self, name), ">= 1")
            problem(not 0 <= self.seed < 2**32, "seed", self.seed, "from 0 to 4294967295")
            problem(not 0 <= self.temperature < 1e6, "temperature", self.temperature, ">= 0")
            problem(self.top_k is not None and self.top_k < 1, "top_k", self.top_k, ">= 1")
            share = self.top_p
            problem(share is not None and not 0 < share <= 1, "top_p", share, "above 0, at most 1")
            penalty = self.repetition_penalty
            problem(not 1 <= penalty < 1e6, "repetition_penalty", penalty, ">= 1")


@dataclass(frozen=True)
class SurprisalOptions:
    """Which text to show."""

    model: str = positional()
    """Run folder."""
    text: str | None = None
    """Text file; default: the first words of the run's test text."""
    words: int = 2000
    """Words to show at most, >= 1."""
    out: str | None = None
    """HTML file; default: surprisal.html in the run folder."""

    def __post_init__(self) -> None:
        """Check all values."""
        with Problems() as problem:
            problem(self.words < 1, "words", self.words, ">= 1")


@dataclass(frozen=True)
class ContextOptions:
    """Which models to compare by the context they use."""

    models: tuple[str, ...] = positional()
    """One or more run folders."""
    data: str | None = None
    """Folder with the split's file, or a text file; default: the data of the first run."""
    split: Split = "test"
    """Which file of the folder."""
    lengths: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64, 128, 256)
    """Words of context kept, each >= 1."""
    tokens: int = 20000
    """Words to predict at each length at most, >= 1."""
    out: str | None = None
    """Folder for page, plot and table; default: the first run's folder."""
    json: bool = False
    """Print one JSON object instead of a table."""

    def __post_init__(self) -> None:
        """Check all values."""
        with Problems() as problem:
            problem(
                not self.lengths or min(self.lengths) < 1,
                "lengths",
                list(self.lengths),
                "each >= 1",
            )
            problem(self.tokens < 1, "tokens", self.tokens, ">= 1")


@dataclass(frozen=True)
class ExportOptions:
    """Where the ONNX file goes."""

    model: str = positional()
    """Run folder."""
    out: str | None = None
    """Folder to write, new or empty; default: onnx in the run folder."""
    words: int = 35
    """Words of a segment, >= 1; 1 for generating word by word."""
    columns: int = 1
    """Texts side by side, >= 1."""

    def __post_init__(self) -> None:
        """Check all values."""
        with Problems() as problem:
            problem(self.words < 1, "words", self.words, ">= 1")
            problem(self.columns < 1, "columns", self.columns, ">= 1")


@dataclass(frozen=True)
class BenchOptions:
    """What to time."""

    data: str | None = None
    """Data as in `train`."""
    recipe: str = "baseline"
    """Recipe whose model and batches are timed."""
    precision: Literal["float32", "bf16"] | None = None
    """Number format of ours; default: the recipe's."""
    steps: int = 20
    """Updates in a round, >= 1."""
    words: int = 1000
    """Words of the text that both write, >= 0; 0: only training is timed."""
    rounds: int = 3
    """Timed rounds; ours and theirs run once a round, in turn, and medians are printed, >= 1."""
    threads: int = 0
    """CPU threads, >= 0; 0: as torch chooses."""
    json: bool = False
    """Print one JSON object instead of a table."""

    def __post_init__(self) -> None:
        """Check all values."""
        with Problems() as problem:
            problem(self.steps < 1, "steps", self.steps, ">= 1")
            problem(self.words < 0, "words", self.words, ">= 0")
            problem(self.rounds < 1, "rounds", self.rounds, ">= 1")
            problem(self.threads < 0, "threads", self.threads, ">= 0")
