"""The options of every verb but `train`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from shared.command.config import OnlyWith, Problems, positional
from shared.command.options import Device
from word_lm.config import TrainConfig

Split = Literal["train", "valid", "test"]


@dataclass(frozen=True)
class EvaluateOptions:
    """What to measure, and how."""

    run: str = positional()
    """Run folder, or a folder of runs: its newest."""
    data: str | None = None
    """Folder with the split's file, or a text file, which is read whole unless the run was trained on it; default: the
    data of the run."""
    split: Split = "test"
    """Which file of the folder, or part of the run's own text."""
    protocols: tuple[Literal["batch10", "batch1", "sliding"], ...] = ("batch10",)
    """batch10: as pytorch/examples, 10 columns; batch1: one column; sliding: windows of `--window` words."""
    window: int = 256
    """Words in a window of the sliding protocol, >= 1."""
    cache: bool = False
    """Also with a neural cache, as a separate figure."""
    dynamic: bool = False
    """Also with dynamic evaluation (the model keeps learning from the text), as a separate figure."""
    ngram: bool = False
    """Also a Kneser-Ney 5-gram model of the training text, alone and interpolated with the model."""
    device: Device = "auto"
    """Where to compute; auto: a GPU if there is one."""
    json: bool = False
    """Print one JSON object instead of lines."""

    def __post_init__(self) -> None:
        """Check all values."""
        with Problems() as problem:
            problem(self.window < 1, "window", self.window, ">= 1")
            is_idle = self.window != EvaluateOptions.window and "sliding" not in self.protocols
            problem(is_idle, "window", self.window, "its default without --protocols sliding")
            problem(not self.protocols, "protocols", list(self.protocols), "one or more")


@dataclass(frozen=True)
class GenerateOptions:
    """What text to generate."""

    run: str = positional()
    """Run folder, or a folder of runs: its newest."""
    prompt: str = ""
    """Words to continue; default: start on a new line."""
    words: int = 100
    """Words to generate, >= 1."""
    seed: int = 1
    """Seed of sampling, >= 0."""
    temperature: float = 1.0
    """Sampling temperature, >= 0; below 1 prefers probable words; 0: greedy decoding, without top-k, top-p and seed."""
    top_k: int | None = None
    """Sample from this many most probable words, >= 1."""
    top_p: float | None = None
    """Sample from the nucleus: the fewest words with this total probability, above 0 and at most 1."""
    beams: int = 1
    """Beam search with this many beams instead of sampling, >= 1; 1: sample."""
    repetition_penalty: float = 1.0
    """Penalty on the log-probability of the last 64 words, >= 1; 1: none."""
    ban_unk: bool = True
    """Never generate `<unk>`."""
    device: Device = "auto"
    """Where to compute; auto: a GPU if there is one."""
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
            top_p = self.top_p
            problem(top_p is not None and not 0 < top_p <= 1, "top_p", top_p, "above 0, at most 1")
            penalty = self.repetition_penalty
            problem(not 1 <= penalty < 1e6, "repetition_penalty", penalty, ">= 1")
            is_greedy = self.temperature == 0
            for name in ("seed", "top_k", "top_p"):
                value, default = getattr(self, name), getattr(GenerateOptions, name)
                is_idle = value != default and (is_greedy or (name == "seed" and self.beams > 1))
                sampling = "--temperature 0" if is_greedy else "--beams"
                problem(is_idle, name, value, f"its default with {sampling}, which draws nothing")


@dataclass(frozen=True)
class SurprisalOptions:
    """Which text to show."""

    run: str = positional()
    """Run folder, or a folder of runs: its newest."""
    text: str | None = None
    """Text file; default: the first words of the run's test text."""
    words: int = 2000
    """Words to show at most, >= 1."""
    out: str | None = None
    """HTML file; default: surprisal.html in the run folder."""
    device: Device = "auto"
    """Where to compute; auto: a GPU if there is one."""

    def __post_init__(self) -> None:
        """Check all values."""
        with Problems() as problem:
            problem(self.words < 1, "words", self.words, ">= 1")
            problem.page("out", self.out)


@dataclass(frozen=True)
class ContextOptions:
    """Which models to compare by their use of context."""

    run: tuple[str, ...] = positional()
    """One or more run folders."""
    data: str | None = None
    """Folder with the split's file, or a text file, which is read whole unless the run was trained on it; default: the
    data of the first run."""
    split: Split = "test"
    """Which file of the folder, or part of the run's own text."""
    lengths: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64, 128, 256)
    """Words of context, each >= 1."""
    tokens: int = 20000
    """Words to predict at each length, >= 1."""
    out: str | None = None
    """Folder for page, plot and table; default: the first run's folder."""
    device: Device = "auto"
    """Where to compute; auto: a GPU if there is one."""
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
class StudyConfig(TrainConfig):
    """Settings of all models of `study`."""

    COMMON: ClassVar[tuple[str, ...]] = tuple(n for n in TrainConfig.COMMON if n != "model")
    # Each has an effect on one of the models.
    ONLY_WITH: ClassVar[OnlyWith] = {"heads": {}, "memory": {}, "kernel": {}}

    layers: int = 1
    """Number of layers of the LSTM, >= 1; the Transformer has 2, the gated CNN 4."""
    kernel: int = 5
    """Kernel size of the convolutions in words (gated_cnn), >= 2."""


@dataclass(frozen=True)
class StudyOptions:
    """Which models to train and compare by their use of context."""

    # A recipe may name a model; a flag that does would be ignored.
    ONLY_WITH: ClassVar[OnlyWith] = {"model": {"models": (None,)}}

    models: tuple[Literal["lstm", "transformer", "gated_cnn"], ...] = (
        "lstm",
        "transformer",
        "gated_cnn",
    )
    """Families to train, one model each."""
    lengths: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64, 128)
    """Words of context, each >= 1."""
    tokens: int = 2000
    """Test words to predict at each length, >= 1."""
    out: str = "runs/word_lm/study"
    """Folder for the runs, the page and the plot; runs in it are resumed."""
    quiet: bool = False
    """No bar and no lines of training."""
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
            problem(not self.models, "models", list(self.models), "one or more")


@dataclass(frozen=True)
class InspectOptions:
    """What `inspect` shows."""

    word: str | None = None
    """Word whose id and count are shown; default: the most frequent one."""
    columns: int = 2
    """Columns of the first batch to show, >= 0."""
    out: str | None = None
    """Folder to write stoi.json and itos.txt into, new or empty."""
    json: bool = False
    """Print one JSON object instead of lines."""

    ONLY_WITH: ClassVar[OnlyWith] = {"columns": {"json": (False,)}}

    def __post_init__(self) -> None:
        """Check all values."""
        with Problems() as problem:
            problem(self.columns < 0, "columns", self.columns, ">= 0")


@dataclass(frozen=True)
class ExportOptions:
    """What ONNX file to write."""

    run: str = positional()
    """Run folder, or a folder of runs: its newest."""
    out: str | None = None
    """Folder to write, new or empty; default: onnx in the run folder."""
    words: int = 35
    """Words in a segment, >= 1; 1 to generate word by word."""
    columns: int = 1
    """Columns of text, >= 1."""

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
    """Number format of word-lm; default: the recipe's."""
    steps: int = 20
    """Training steps in a round, >= 1."""
    words: int = 1000
    """Length in words of the generated text, >= 0; 0: time training only."""
    rounds: int = 3
    """Timed rounds, >= 1; each round runs word-lm and pytorch/examples in turn, and medians are printed."""
    threads: int = 0
    """CPU threads, >= 0; 0: as torch chooses."""
    busy: int = 0
    """Also time a training step beside 1, 2, ... this many busy processes of low priority, >= 0."""
    json: bool = False
    """Print one JSON object instead of a table."""

    def __post_init__(self) -> None:
        """Check all values."""
        with Problems() as problem:
            problem(self.steps < 1, "steps", self.steps, ">= 1")
            problem(self.words < 0, "words", self.words, ">= 0")
            problem(self.rounds < 1, "rounds", self.rounds, ">= 1")
            problem(self.threads < 0, "threads", self.threads, ">= 0")
            problem(self.busy < 0, "busy", self.busy, ">= 0")
