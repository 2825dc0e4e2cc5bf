"""The training loop of all torch packages: forward, backward, step, in the open.

    training = Training(
        accelerator=accelerator, run=run, config=config, model=model,
        optimizers=[torch.optim.AdamW(model.parameters(), lr=config.learning_rate)],
        order=Shuffled(len(data), config.batch_size, config.seed), fetch=data.fetch,
        loss_fn=loss_fn, evaluate=evaluate, metric="valid_loss",
    )
    outcome = training.fit()

`accelerate` gives device, precision, gradients averaged over processes, and collectives; only model and optimizers are
prepared. Data order and learning rate are pure functions of the position of training, so a run that was stopped
anywhere and resumed ends with the same bits as one that was not.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Hashable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from shared.files import shell_quoted
from shared.interrupt import Interrupted, StopRequest
from shared.progress import progress_bar
from shared.random_streams import Stream
from shared.runs.run_directory import RunDirectory
from shared.torch.averaging import WeightAverage
from shared.torch.checkpoint import load_checkpoint, require_same_data, save_checkpoint
from shared.torch.config import LoopConfig
from shared.torch.device import require_compiler, seed_everything, to_device
from shared.torch.evaluation import evaluating
from shared.torch.gradients import SparseExchange, scale_and_clip
from shared.torch.journal import Journal, profiler
from shared.torch.meter import NORM, Meter, require_finite
from shared.torch.plan import Plan
from shared.torch.planner import Planner
from shared.torch.position import Outcome, Position, best_index, is_stalled, starts_averaging
from shared.torch.processes import buffers_of_first, from_first
from shared.torch.sampler import Loader, Order, Shard
from shared.torch.schedule import Moment, Schedule, schedule_of
from shared.torch.timing import Snapshot


@dataclass
class Training:
    """One training run.

    Parameters
    ----------
    accelerator : Accelerator
        From `shared.torch.device.make_accelerator`.
    run : RunDirectory
        From `shared.torch.processes.start_run`. A resumed run continues from its last checkpoint.
    config : LoopConfig
    model : nn.Module
    optimizers : sequence of torch optimizers
        Usually one. The schedule multiplies the learning rate that each parameter group was made with.
    order : Order
        Which examples make which batch. One batch is one forward pass; `config.accumulation` of them make an update.
    fetch : callable
        Takes a `Shard` of the order and returns the batch. Tensors are moved to the device; numpy arrays stay where
        they are (lengths for `pack_padded_sequence`).
    loss_fn : callable
        Takes the model and a batch; returns the loss summed over the batch, the number of terms of that sum, and, if
        wanted, a dict of further sums to log (`{"top1": hits}`), divided by the same number.
    evaluate : callable, optional
        Takes the unwrapped model (with the average of its weights in place, if there is one) and returns figures by
        name.
    evaluate_part : (callable, float), optional
        The same for a part of the data, and its fraction of the data: what `config.minutes` times, where a whole
        evaluation takes long.
    metric : str
        The figure that chooses the best checkpoint.
    highest : bool
        Higher is better.
    schedule : Schedule, optional
        Default: the configuration's.
    rate_factor : callable, optional
        Takes epoch and step in it, returns a factor on that update's learning rate, for batches that should count less.
    stage : callable, optional
        Takes the progress of the run, 0 to below 1, and returns what makes updates take longer or shorter, for example
        the size of the images. `config.minutes` then times each stage. `loss_fn` gets the progress from `progress`.
    evaluations_after : float
        What the task measures after training, in units of one evaluation; `config.minutes` leaves time for it.
    state : object with `state_dict` and `load_state_dict`, optional
        What the task carries from batch to batch, for example a language model's hidden state: tensors and plain
        values. It is saved for each process.
    extras : callable, optional
        Takes a checkpoint's folder and writes the task's files into it: vocabulary, configuration.
    describe : callable, optional
        Takes a record of the log and returns what to add to its line, for example the perplexity.
    data : mapping, optional
        What tells this data from other data, as JSON values; a run is not resumed where it differs. An entry `name`
        may differ: data may move.
    started : float, optional
        `time.monotonic()` of when `config.minutes` began, from `shared.command.clock.began`; default: when `fit` is
        called.
    """

    accelerator: Any
    run: RunDirectory
    config: LoopConfig
    model: nn.Module
    optimizers: Sequence[Any]
    order: Order
    fetch: Callable[[Shard], Any]
    loss_fn: Callable[[Any, Any], tuple]
    evaluate: Callable[[nn.Module], Mapping[str, Any]] | None = None
    evaluate_part: tuple[Callable[[nn.Module], Mapping[str, Any]], float] | None = None
    metric: str = "valid_loss"
    highest: bool = False
    schedule: Schedule | None = None
    rate_factor: Callable[[int, int], float] | None = None
    stage: Callable[[float], Hashable] | None = None
    evaluations_after: float = 0.0
    state: Any = None
    extras: Callable[[Path], None] | None = None
    describe: Callable[[Mapping[str, Any]], str] | None = None
    data: Mapping[str, Any] | None = None
    started: float | None = None

    at: Position = field(default_factory=Position, init=False)
    plan: Plan = field(default=Plan(0, 0), init=False)
    average: WeightAverage | None = field(default=None, init=False)
    _tried: float | None = field(default=None, init=False)

    def fit(self) -> Outcome:
        """Train to the end of the plan, or until `patience` runs out.

        Raises
        ------
        Interrupted
            Ctrl-C or SIGTERM came, and a checkpoint was saved.
        UserError
            The loss is not finite; a checkpoint cannot be read or written.
        """
        began = time.monotonic() if self.started is None else self.started
        is_first = self.accelerator.is_main_process
        with StopRequest() as stop:
            self.prepare(stop)
            planner = self._planner = Planner(self, began)
            self._resume_or_start()
            self.journal = Journal(self.run, is_first, self.at.step, self.describe)
            quiet = self.run.quiet or not is_first
            with progress_bar(None, label="training", unit="step", quiet=quiet) as self.bar:
                self._began = time.monotonic() - self.at.seconds
                planner.start()
                with profiler(self.run, self.config.profile_steps, is_first) as self._profile:
                    while not self._is_done():
                        self._epoch()
        return self.at.outcome(self.seconds(), highest=self.highest)

    def progress(self) -> float:
        """Return how much of the run is done, 0 to 1; while updates are only timed, what they are timed for."""
        return self.plan.progress(self.at.step) if self._tried is None else self._tried

    def seconds(self) -> float:
        """Return the seconds spent on training, over all resumptions."""
        return time.monotonic() - self._began

    def epoch_steps(self, epoch: int) -> int:
        """Return the number of updates in an epoch."""
        return self.order.steps(epoch) // self.config.accumulation

    @contextmanager
    def attempt(self, progress: float, count: int) -> Iterator[Callable[[], float]]:
        """Give a function that makes one of the first `count` updates, as at a progress, and returns its mean loss."""
        end = count * self.config.accumulation
        self._tried = progress
        self._wrapped.train()
        try:
            with closing(self._batches(0, 0, end)) as batches:
                ready = chain([next(batches)], batches)  # workers have started, so the clock may
                yield lambda: float((sums := self._update(ready))["loss"] / sums["count"])
        finally:
            self._tried = None

    def _epoch(self) -> None:
        """Train to the end of the epoch or of the run, from the present step on."""
        k, size = self.config.accumulation, self.epoch_steps(self.at.epoch)
        self._wrapped.train()
        with closing(self._batches(self.at.epoch, self.at.epoch_step * k, size * k)) as batches:
            is_epoch_end = False
            while not is_epoch_end and not self._is_done():
                began, progress = time.monotonic(), self.progress()
                sums = self._update(batches)
                is_epoch_end = self.at.advance(size)
                self.meter.add(self.at.step, sums, time.monotonic() - began)
                self.bar.update(1)
                self._profile()
                self._planner.updated(progress)
                self._after_update(is_epoch_end)

    def _update(self, batches: Iterator[tuple[Shard, Any]]) -> dict[str, Tensor]:
        """Make one update; return its sums over all processes, which a GPU may still be working on."""
        self._set_learning_rates()
        parts = []
        for micro in range(self.config.accumulation):
            shard, batch = next(batches)
            is_last = micro == self.config.accumulation - 1
            # Processes exchange gradients once per update, in the last backward pass.
            with nullcontext() if is_last else self.accelerator.no_sync(self._wrapped):
                # L = sum of l_i over the terms of this process' micro-batch; divided by their number below.
                loss, count, *more = self.loss_fn(self._wrapped, batch)
                self.accelerator.backward(loss * shard.is_real)  # g += dL/dw
            part = {"loss": loss, "count": count} | (more[0] if more else {})
            parts.append({name: value * shard.is_real for name, value in part.items()})
        self._sparse.over_processes()
        sums = self.meter.over_processes(parts)
        # g / n with n the count over micro-batches and processes: every token weighs the same, whatever batch it was
        # in. DDP has taken the mean of the processes' gradients where their sum is wanted, so their number is a factor.
        scale = self.accelerator.num_processes / sums["count"].clamp(min=1)
        # g * min(1, c / |g|)
        norm = scale_and_clip(self._wrapped.parameters(), scale.float(), self.config.clip_norm)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        if self.average is not None:
            self.average.update()
        return sums if norm is None else sums | {NORM: norm}

    def _after_update(self, is_epoch_end: bool) -> None:
        """Log, evaluate, save and stop, each if it is time."""
        self._planner.replan()
        step, metric, names = self.at.step, None, []  # type: int, float | None, list[str | None]
        if step % self.config.log_every == 0 or step == self.plan.total_steps:
            self._log()
        every = self.plan.evaluate_every
        is_due = is_epoch_end if every == 0 else step % every == 0
        began = time.monotonic()
        if self.evaluate is not None and (is_due or step == self.plan.total_steps):
            metric, is_best = self._evaluate(self.evaluate)
            names += ["best"] if is_best else []
        if is_epoch_end and self.at.epoch in self.config.checkpoint_epochs:
            names.append(f"epoch-{self.at.epoch:04d}")
        every = self.config.checkpoint_every
        is_asked, stop_signal = self.meter.requests()
        if is_asked or stop_signal or (every and step % every == 0) or self._is_done():
            names.append(None)
        if names:
            self._save(names, metric)
        if metric is not None:
            self._planner.evaluated(time.monotonic() - began)
        self._planner.propose()
        if stop_signal and not self._is_done():
            raise Interrupted(
                stop_signal,
                f"stopped at step {step} of {self.plan.total_steps} and saved. "
                f"Continue with the same command and --out {shell_quoted(self.run.path)} --resume.",
            )

    def _evaluate(self, evaluate: Callable[[nn.Module], Mapping[str, Any]]) -> tuple[float, bool]:
        """Evaluate and log the figures; return the metric and whether it is the best so far."""
        self.meter.settle()
        began = time.monotonic()
        figures = self.figures(evaluate)
        metric = float(from_first(self.accelerator, figures[self.metric]))
        for name, value in {**figures, self.metric: metric}.items():
            if isinstance(value, float):
                require_finite(self.at.step, name, value)
        self.at.history.append(metric)
        is_best = best_index(self.at.history, highest=self.highest) == len(self.at.history) - 1
        seconds = {"evaluation_seconds": time.monotonic() - began, "seconds": self.seconds()}
        self.journal.add(self.at.step, epoch=self.at.epochs, **figures, **seconds)
        numbers = {name: value for name, value in figures.items() if isinstance(value, int | float)}
        shown = " ".join(f"{name} {value:.4f}" for name, value in numbers.items())
        self.say(f"{shown}{' (best)' if is_best else ''}", figures)
        if self.average is None and starts_averaging(
            self.at.history, self.config.asgd_window, highest=self.highest
        ):
            self.average = WeightAverage(self.model, None)
            self.say("averaging of the weights starts here")
        return metric, is_best

    def figures(self, evaluate: Callable[[nn.Module], Mapping[str, Any]]) -> dict[str, Any]:
        """Return the figures of the weights that are kept: the average, where there is one."""
        with self.average.applied() if self.average else nullcontext(), evaluating(self.model):
            # DDP hands buffers out before a forward pass in training only: those of batch norm have moved apart since.
            buffers_of_first(self.accelerator, self.model)
            return dict(evaluate(self.model))

    def _log(self) -> None:
        """Write the figures since the last line."""
        figures, rate = self.meter.take(), self.optimizers[0].param_groups[0]["lr"]
        self.journal.add(self.at.step, epoch=self.at.epochs, learning_rate=rate, **figures)
        milliseconds, loss = 1000 * figures["step_seconds"], figures["train_loss"]
        self.bar.set_postfix(loss=f"{loss:.4f}", refresh=False)
        self.say(f"lr {rate:.4g} {milliseconds:.1f} ms/step loss {loss:.4f}", figures)

    def _save(self, names: Sequence[str | None], metric: float | None) -> None:
        self.meter.settle()  # a loss that is not finite must be noticed before its weights are saved
        self.at.seconds = self.seconds()
        save_checkpoint(
            self.run.checkpoints,
            self.accelerator,
            self.model,
            self.optimizers,
            step=self.at.step,
            facts={
                "position": asdict(self.at),
                "plan": asdict(self.plan),
                "meter": self.meter.state_dict(),
                "data": self.data,
            },
            average=self.average,
            state=self.state,
            extras=self.extras,
            metric=metric,
            names=names,
        )
        self.meter.saved()

    def prepare(self, stop: StopRequest) -> None:
        """Put model and optimizers where they compute, and make what updates need."""
        config, accelerator = self.config, self.accelerator
        self._schedule = self.schedule or schedule_of(config)
        self._base_rates = [[group["lr"] for group in o.param_groups] for o in self.optimizers]
        if config.compile:
            require_compiler(accelerator.device)
            self.model.compile()  # in place: names in the checkpoint stay as they are
        self._sparse = SparseExchange(self.model, accelerator.num_processes)
        # Batches and schedules are ours; accelerate prepares nothing else.
        self._wrapped, *self.optimizers = accelerator.prepare(self.model, *self.optimizers)
        self.meter = Meter(accelerator, stop, config.checkpoint_seconds)
        on_gpu = accelerator.device.type == "cuda"
        self._loader = Loader(
            self.fetch, seed=config.seed, workers=config.workers, pin_memory=on_gpu
        )
        if accelerator.num_processes > 2:
            self._settle_buckets()

    def _settle_buckets(self) -> None:
        """Run one backward pass whose gradients are dropped.

        DDP puts gradients into buckets, and makes new buckets after the first backward pass. That changes the order
        in which a sum of three or more processes is rounded. So each start makes that first pass with the same batch,
        and all updates, before and after a resume, have the same buckets.
        """
        before = Snapshot([self.model, self.state])
        self._wrapped.train()
        with closing(self._batches(0, 0, 1)) as batches:
            shard, batch = next(batches)
            loss, *_ = self.loss_fn(self._wrapped, batch)
            self.accelerator.backward(loss * shard.is_real)
        self.model.zero_grad(set_to_none=True)
        self.meter.forget()
        before.restore()

    def _resume_or_start(self) -> None:
        """Begin at step 0, or at the last whole checkpoint."""
        config, accelerator = self.config, self.accelerator
        seed_everything(config.seed, Stream.DROPOUT, accelerator.process_index)
        if config.ema_decay is not None:
            self.average = WeightAverage(self.model, config.ema_decay)
        checkpoint = self.run.checkpoints.last() if self.run.is_resumed else None
        if checkpoint is None:
            return
        require_same_data(self.run.path, checkpoint.facts.get("data"), self.data)
        self.average = load_checkpoint(
            checkpoint,
            accelerator,
            self.model,
            self.optimizers,
            start_average=lambda: WeightAverage(self.model, config.ema_decay),
            state=self.state,
        )
        self.at = Position(**checkpoint.facts["position"])
        self.plan = Plan(**checkpoint.facts["plan"])
        self.meter.load_state_dict(checkpoint.facts["meter"])
        self.run.say(f"{checkpoint.folder}: continuing from step {self.at.step}")

    def _batches(
        self, epoch: int, first: int, end: int
    ) -> Generator[tuple[Shard, Any], None, None]:
        """Yield an epoch's batches from `first` to `end`, on the device; note how long each was waited for."""
        rank, world = self.accelerator.process_index, self.accelerator.num_processes
        shards = [self.order.shard(epoch, number, rank, world) for number in range(first, end)]
        with closing(self._loader(shards)) as loaded:
            for shard in shards:
                began = time.monotonic()
                batch = next(loaded)
                self.meter.waited(time.monotonic() - began)
                yield shard, to_device(batch, self.accelerator.device)

    def _set_learning_rates(self) -> None:
        """Multiply each group's own learning rate by the schedule's factor for this update."""
        sign = -1 if self.highest else 1
        history = [sign * value for value in self.at.history]
        at = self.at
        position, length = self.plan.position(at.step)
        factor = self._schedule(Moment(position, length, at.epoch, at.epoch_step, history))
        if self.rate_factor is not None:
            factor *= self.rate_factor(at.epoch, at.epoch_step)
        for optimizer, rates in zip(self.optimizers, self._base_rates, strict=True):
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * factor

    def _is_done(self) -> bool:
        is_over = is_stalled(self.at.history, self.config.patience, highest=self.highest)
        return is_over or self.at.step >= self.plan.total_steps

    def say(self, text: str, figures: Mapping[str, Any] | None = None) -> None:
        """Log a line with the position of training."""
        self.journal.say(self.at, self.plan.total_steps, text, figures)
