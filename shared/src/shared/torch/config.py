"""The settings that every torch task has. Imports no torch.

A task's `TrainConfig` inherits them and adds its own::

    @dataclass(frozen=True)
    class TrainConfig(LoopConfig):
        hidden: int = 256
        '''Size of the hidden state, >= 1.'''

        def check(self, problem: Problems) -> None:
            super().check(problem)
            problem(self.hidden < 1, "hidden", self.hidden, ">= 1")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from shared.command.config import OnlyWith, Problems
from shared.command.options import Device, RunOptions

# What a run may be resumed with although it was started with something else: none of these changes its outcome.
MAY_CHANGE = ("workers", "log_every", "checkpoint_every", "checkpoint_seconds", "profile_steps")


@dataclass(frozen=True)
class LoopConfig:
    """Settings of the training loop."""

    RENAMED: ClassVar[dict[str, str]] = {"average_patience": "asgd_window"}
    ONLY_WITH: ClassVar[OnlyWith] = {
        "warmup": {"schedule": ("linear", "cosine", "one_cycle", "inverse_sqrt")},
        "final_factor": {"schedule": ("linear", "cosine", "one_cycle")},
        "decay_factor": {"schedule": ("decay", "plateau")},
        "decay_epochs": {"schedule": ("decay",)},
        "epochs": {"steps": (None,), "minutes": (None,)},
        "steps": {"minutes": (None,)},
    }

    recipe: str | None = None
    """Settings by name, overridden by --config and by flags."""
    seed: int = 1
    """Seed of all random numbers, >= 0."""
    device: Device = "auto"
    """Where to compute; auto: a GPU if there is one."""
    precision: Literal["float32", "bf16", "auto", "fp16"] = "float32"
    """Number format of the forward pass; auto: bf16 where the hardware has it; fp16 is refused (no loss scaling)."""
    threads: int = 0
    """CPU threads of each process, >= 0; 0: as torch chooses. Another number gives slightly different results."""
    workers: int = 0
    """Processes that prepare batches, >= 0; 0: the training process does it. Results do not depend on it."""
    compile: bool = False
    """Compile the model with torch.compile; needs a C++ compiler on a CPU and a minute at the start."""

    deterministic: bool = False
    """Give the same bits on a GPU every time, also after a resume, by slower algorithms. CPUs do so anyway."""

    epochs: int = 10
    """Passes over the training data, >= 1; `steps` and `minutes` take precedence."""
    steps: int | None = None
    """Updates in all, instead of `epochs`, >= 1."""
    minutes: float | None = None
    """Train as many steps as fit into this time, start-up, timing, evaluations and page included, > 0. The plan is
    changed while it runs if the machine gets slower or faster."""
    accumulation: int = 1
    """Batches that make one update, >= 1."""
    clip_norm: float | None = None
    """Gradients with a larger norm are scaled down to this norm, > 0; null: never."""

    schedule: Literal[
        "constant", "linear", "cosine", "one_cycle", "decay", "inverse_sqrt", "plateau"
    ] = "constant"
    """Schedule of the learning rate; decay: times `decay_factor` every `decay_epochs`; plateau: the same at each
    evaluation that gives no new best."""
    warmup: float = 0.0
    """Fraction of the steps in which the learning rate rises (linear, cosine, one_cycle, inverse_sqrt), 0 to below 1;
    one_cycle takes 0 for 0.3."""
    final_factor: float = 0.0
    """Fraction of the learning rate that is left at the end (linear, cosine, one_cycle), 0 to 1."""
    decay_factor: float = 0.5
    """What decay and plateau multiply the learning rate with, above 0 and at most 1."""
    decay_epochs: int = 1
    """Epochs between two decays, >= 1."""

    ema_decay: float | None = None
    """Decay of the moving average of the weights, which is then evaluated and kept, 0 to below 1; null: none."""
    asgd_window: int | None = None
    """NT-ASGD: average the weights from when the metric has not improved for this many evaluations, and evaluate and
    keep the average, >= 1; null: never."""
    patience: int | None = None
    """Stop after this many evaluations without a new best, >= 1; null: never."""
    evaluate_every: int = 0
    """Steps between evaluations, >= 0; 0: at the end of each epoch. The last step is always evaluated."""

    log_every: int = 100
    """Steps between two lines of the log, >= 1."""
    checkpoint_every: int = 0
    """Steps between checkpoints, >= 0; 0: by time only."""
    checkpoint_seconds: float = 300.0
    """Seconds between checkpoints, > 0."""
    checkpoint_epochs: tuple[int, ...] = ()
    """Epochs whose checkpoints are kept by name, each >= 1."""
    profile_steps: int = 0
    """Steps to profile near the start (trace and table in the run folder), >= 0; 0: none."""

    def __post_init__(self) -> None:
        with Problems() as problem:
            self.check(problem)

    def check(self, problem: Problems) -> None:
        """Note every setting that is out of range; a task adds its own after `super().check(problem)`."""
        problem(not 0 <= self.seed < 1 << 32, "seed", self.seed, "0 to 4294967295")
        for name, least in (
            ("threads", 0),
            ("workers", 0),
            ("epochs", 1),
            ("accumulation", 1),
            ("decay_epochs", 1),
            ("evaluate_every", 0),
            ("log_every", 1),
            ("checkpoint_every", 0),
            ("profile_steps", 0),
        ):
            problem(getattr(self, name) < least, name, getattr(self, name), f">= {least}")
        for name in ("steps", "asgd_window", "patience"):
            value = getattr(self, name)
            problem(value is not None and value < 1, name, value, ">= 1")
        minutes, norm = self.minutes, self.clip_norm
        is_time = minutes is None or 0 < minutes < float("inf")
        problem(not is_time, "minutes", minutes, "a number > 0")
        problem(norm is not None and not norm > 0, "clip_norm", norm, "> 0")
        problem(
            not self.checkpoint_seconds > 0, "checkpoint_seconds", self.checkpoint_seconds, "> 0"
        )
        problem(not 0 <= self.warmup < 1, "warmup", self.warmup, "0 to below 1")
        problem(not 0 <= self.final_factor <= 1, "final_factor", self.final_factor, "0 to 1")
        problem(
            not 0 < self.decay_factor <= 1,
            "decay_factor",
            self.decay_factor,
            "above 0 and at most 1",
        )
        decay = self.ema_decay
        problem(decay is not None and not 0 <= decay < 1, "ema_decay", decay, "0 to below 1")
        problem(
            self.ema_decay is not None and self.asgd_window is not None,
            "asgd_window",
            self.asgd_window,
            "null (not set) where --ema-decay is given",
        )
        problem(
            any(epoch < 1 for epoch in self.checkpoint_epochs),
            "checkpoint_epochs",
            self.checkpoint_epochs,
            "numbers >= 1",
        )


@dataclass(frozen=True)
class TrainOptions(RunOptions):
    """Where a training run goes, or that a learning rate is looked for instead."""

    ONLY_WITH: ClassVar[OnlyWith] = {
        "range_rates": {"find_learning_rate": (True,)},
        "range_steps": {"find_learning_rate": (True,)},
    }

    find_learning_rate: bool = False
    """Train no model: raise the learning rate from update to update until the loss diverges, plot the loss and suggest
    a rate. --out is the folder of the plot."""
    range_rates: tuple[float, float] = (1e-7, 1.0)
    """Lowest and highest learning rate that are tried, > 0."""
    range_steps: int = 100
    """Updates of --find-learning-rate, >= 10."""

    def __post_init__(self) -> None:
        """Check all values."""
        super().__post_init__()
        with Problems() as problem:
            is_both = self.find_learning_rate and self.resume
            problem(is_both, "resume", self.resume, "false with --find-learning-rate")
            rates = self.range_rates
            is_range = len(rates) == 2 and 0 < rates[0] < rates[1] < float("inf")
            problem(not is_range, "range_rates", list(rates), "two rising numbers > 0")
            problem(self.range_steps < 10, "range_steps", self.range_steps, ">= 10")
