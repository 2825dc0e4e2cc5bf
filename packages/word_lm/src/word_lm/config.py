"""Options of every verb. What stands here in docstrings is what `--help` prints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from shared.command.config import Problems
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
