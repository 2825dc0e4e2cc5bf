"""The settings of `word-lm train`. The attribute docstrings are what `--help` prints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from shared.command.config import OnlyWith, Problems
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
RECURRENT = ("rnn_tanh", "rnn_relu", "gru", "lstm", "awd_lstm")
TRANSFORMERS = ("transformer", "modern_transformer")

MAY_CHANGE_ON_RESUME = ("data", *MAY_CHANGE)
"""Settings that may differ on resume: none changes the result. The data may have moved; its content is compared."""


@dataclass(frozen=True)
class TrainConfig(LoopConfig):
    """Settings of a training run; the defaults are a small LSTM for a laptop."""

    COMMON: ClassVar[tuple[str, ...]] = (
        *(
            "recipe",
            "data",
            "tokenizer",
            "init",
            "model",
            "hidden_size",
            "layers",
            "tied",
            "dropout",
            "minutes",
            "pointer_window",
        ),
        *("epochs", "batch_size", "bptt", "learning_rate"),
    )
    RENAMED: ClassVar[dict[str, str]] = {"embedding_range": "init_range"}
    ONLY_WITH: ClassVar[OnlyWith] = {
        "vectors": {"init": (None,)},
        "init_range": {"vectors": ("random",)},
        "context_decays": {"model": RECURRENT},
        "context_size": {"model": RECURRENT},
        "pointer_window": {"model": RECURRENT},
        "heads": {"model": TRANSFORMERS},
        "memory": {"model": TRANSFORMERS},
        "kernel": {"model": ("gated_cnn",)},
        "embedding_dropout": {"model": ("awd_lstm",)},
        "input_dropout": {"model": ("awd_lstm",)},
        "layer_dropout": {"model": ("awd_lstm",)},
        "weight_dropout": {"model": ("awd_lstm",)},
        "cutoffs": {"softmax": ("adaptive",)},
        "tail_divisor": {"softmax": ("adaptive",)},
        "beta2": {"optimizer": ("adamw",)},
    }

    data: str | None = None
    """Folder with train.txt, valid.txt and test.txt, or any text file or folder of text files (.gz, .bz2, .xz, .zst
    too), which is split; default: $DLTASKS_DATA/wikitext-2, else a small made-up sample."""
    init: str | None = None
    """Run whose best weights training starts from; its words keep their ids, and new words are added."""
    tokenizer: Literal["space", "word", "unicode", "nltk"] = "space"
    """space: split at white space, for text that is tokenized already (WikiText); nltk: words and punctuation marks in
    their case, best for plain prose (needs NLTK); unicode: words in lower case, no punctuation, `isn't` is one, each
    character of Chinese or Thai too; word: letters, digits and underscores, lower case, `isn't` becomes `isn t`."""
    min_count: int = 1
    """Words with fewer occurrences become `<unk>`, >= 1."""
    max_vocab_size: int | None = None
    """Size of the vocabulary, `<unk>` and `<eos>` included, >= 2; null: all words of train, valid and test."""

    model: Family = "lstm"
    """Model; transformer is the coursework's, modern_transformer has RMSNorm and rotary positions."""
    embedding_size: int = 256
    """Size of a word vector, >= 1."""
    vectors: Literal["random", "train"] = "random"
    """Initial word vectors; random: uniform; train: PPMI vectors of the training text, made in seconds."""
    init_range: float = 0.1
    """Random word vectors are initialized uniformly between minus and plus this, > 0; smaller suits rare words."""
    hidden_size: int = 256
    """Size of the hidden state, or of the Transformer's inner layer, >= 1."""
    layers: int = 1
    """Number of layers, >= 1."""
    context_decays: tuple[float, ...] = ()
    """Slow context: averages of the words so far with these decay rates, above 0 and at most 0.999999, are added to
    the last layer's output (recurrent models); []: none."""
    context_size: int = 96
    """Size of each such average, >= 1."""
    pointer_window: int = 0
    """Pointer: mixes the softmax with a distribution over the last words of the text, as many as this, 0 to 100,000
    (recurrent models); 0: none. Memory and time of a step grow with it."""
    heads: int = 2
    """Attention heads; must divide `embedding_size`."""
    kernel: int = 4
    """Kernel size of the convolutions in words (gated_cnn), >= 2."""
    memory: int = 256
    """Past words in a Transformer's cache of keys and values, at most, >= 1; without `carry` a trained model keeps no
    more than `bptt`."""
    carry: bool = True
    """Carry the hidden state over from one segment to the next; the coursework's Transformer does not."""

    tied: bool = False
    """Weight tying: the output layer uses the input embedding; hidden states of another size are projected."""
    softmax: Literal["full", "adaptive"] = "full"
    """full: over all words at once; adaptive: rare words in clusters, exact too, and much cheaper."""
    cutoffs: tuple[int, ...] = (1000, 4000, 12000)
    """Frequency ranks at which the clusters of the adaptive softmax start, rising; []: one cluster."""
    tail_divisor: float = 2.0
    """Each cluster's vectors are smaller than the previous cluster's by this factor (adaptive), >= 1."""

    output_bias: Literal["zero", "frequency"] = "zero"
    """Initial biases of the output layer; frequency: each word's log frequency in the training text, so that the first
    steps need not learn which words are frequent."""

    dropout: float = 0.2
    """Dropout probability of embeddings, between layers and of the output (awd_lstm: of the output), 0 to below 1."""
    embedding_dropout: float = 0.0
    """Probability that a word's vector is dropped throughout a batch (awd_lstm), 0 to below 1."""
    input_dropout: float = 0.0
    """Variational dropout probability of word vectors, one mask for all time steps (awd_lstm), 0 to below 1."""
    layer_dropout: float = 0.0
    """Variational dropout probability between layers, one mask for all time steps (awd_lstm), 0 to below 1."""
    weight_dropout: float = 0.0
    """Dropout probability of the recurrent weights, one mask a batch (DropConnect; awd_lstm), 0 to below 1."""
    activation_penalty: float = 0.0
    """Weight of activation regularization (AR): the mean square of the output after dropout, >= 0."""
    change_penalty: float = 0.0
    """Weight of temporal activation regularization (TAR): the mean square of the output's change, >= 0."""

    optimizer: Literal["sgd", "adamw"] = "adamw"
    """Optimizer."""
    learning_rate: float = 4e-3
    """Learning rate at its peak, > 0."""
    beta2: float = 0.999
    """AdamW's decay rate of squared gradients, 0 to below 1."""
    weight_decay: float = 0.0
    """Weight decay, >= 0 (sgd: added to the gradient; adamw: decoupled)."""
    batch_size: int = 32
    """Columns of text in a batch, over all processes, >= 1."""
    bptt: int = 35
    """Words in a segment: the length of truncated back-propagation through time, >= 1."""
    vary_bptt: bool = False
    """Draw each segment's length at random around `bptt` (AWD-LSTM)."""
    evaluation_batch: int = 10
    """Columns of text in a batch of valid and test, >= 1; pytorch/examples has 10."""

    def check(self, problem: Problems) -> None:
        """Report every setting that is out of range."""
        super().check(problem)
        for name in (
            "min_count", "embedding_size", "hidden_size", "context_size", "layers", "heads", "memory",
            "batch_size", "bptt", "evaluation_batch",
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
        for name in ("learning_rate", "init_range"):
            value = getattr(self, name)
            problem(not 0 < value < float("inf"), name, value, "a number > 0")
        # The learning rate follows the length of the segment, and an update has only one learning rate.
        is_mixed = self.vary_bptt and self.accumulation > 1
        problem(is_mixed, "accumulation", self.accumulation, "1 with --vary-bptt")
        window = self.pointer_window
        problem(not 0 <= window <= 100_000, "pointer_window", window, "0 to 100,000")
        decays = list(self.context_decays)
        is_odd = not all(
            0 < decay <= 0.999999 for decay in decays
        )  # closer to 1 it is 1 in float32
        problem(is_odd, "context_decays", decays, "numbers above 0 and at most 0.999999")
        is_idle = not decays and self.context_size != TrainConfig.context_size
        problem(is_idle, "context_size", self.context_size, "its default without --context-decays")
        cuts = self.cutoffs
        is_rising = all(a < b for a, b in zip((0, *cuts), cuts, strict=False))
        problem(not is_rising, "cutoffs", list(cuts), "rising numbers >= 1")
        problem(not self.tail_divisor >= 1, "tail_divisor", self.tail_divisor, ">= 1")
        is_attending = self.model in TRANSFORMERS
        uneven = is_attending and self.heads >= 1 and self.embedding_size % self.heads
        problem(
            bool(uneven),
            "heads",
            self.heads,
            f"a divisor of --embedding-size {self.embedding_size}",
        )
