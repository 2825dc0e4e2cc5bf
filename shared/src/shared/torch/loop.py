"""The training loop of all torch packages: forward, backward, step, in the open.

    training = Training(
        accelerator=accelerator, run=run, config=config, model=model,
        optimizers=[torch.optim.AdamW(model.parameters(), lr=config.learning_rate)],
        order=Shuffled(len(data), config.batch_size, config.seed), fetch=data.fetch,
        loss_fn=loss_fn, evaluate=evaluate, metric="valid_loss",
    )
    outcome = training.fit()

`accelerate` gives device, precision, gradients averaged over processes, and collectives; only model and optimizers are
prepared. Data order and learning rate are pure functions of where training stands, so a run that was stopped anywhere
and resumed ends with the same bits as one that was not.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from shared.errors import UserError
from shared.interrupt import Interrupted, StopRequest
from shared.progress import progress_bar
from shared.runs.run_directory import RunDirectory
from shared.torch.averaging import WeightAverage
from shared.torch.budget import Plan, plan_for, time_steps
from shared.torch.checkpoint import load_checkpoint, require_same_data, save_checkpoint
from shared.torch.config import LoopConfig
from shared.torch.device import require_compiler, seed_everything, to_device
from shared.torch.evaluation import evaluating
from shared.torch.gradients import scale_and_clip
from shared.torch.journal import Journal
from shared.torch.meter import NORM, Meter, require_finite
from shared.torch.position import Outcome, Position, best_index, is_stalled, is_time_for_mean
from shared.torch.processes import buffers_of_first, from_first
from shared.torch.profiling import profiler
from shared.torch.sampler import Loader, Order, Share
from shared.torch.schedule import Moment, Schedule, schedule_of
from shared.torch.snapshot import Snapshot

_MOST_TIMING = 30.0
"""Seconds of a `--minutes` run at most that go to timing steps, which are undone."""


@dataclass
class Training:
    """One training run.

    Parameters
    ----------
    accelerator : Accelerator
        Of `shared.torch.device.make_accelerator`.
    run : RunDirectory
        Of `shared.torch.processes.start_run`. A resumed one is gone on with.
    config : LoopConfig
    model : nn.Module
    optimizers : sequence of torch optimizers
        One as a rule. The learning rate each parameter group was made with is what the schedule multiplies.
    order : Order
        Which examples make which batch. One batch is one forward pass; `config.accumulation` of them make an update.
    fetch : callable
        Takes a `Share` of the order and returns the batch. Tensors are moved to the device; numpy arrays stay where
        they are (lengths for `pack_padded_sequence`).
    loss_fn : callable
        Takes the model and a batch; returns the loss summed over the batch, the number of terms of that sum, and, if
        wanted, a dict of further sums to log (`{"top1": hits}`), divided by the same number.
    evaluate : callable, optional
        Takes the unwrapped model (with its average in place, if there is one) and returns figures by name.
    metric : str
        The figure that chooses the best checkpoint.
    highest : bool
        Higher is better.
    schedule : Schedule, optional
        Default: the configuration's.
    rate_factor : callable, optional
        Takes epoch and step in it, returns a factor on that update's learning rate, for batches that should count less.
    state : object with `state_dict` and `load_state_dict`, optional
        What the task carries from batch to batch, for example a language model's hidden state: tensors and plain
        values. It is saved for each process.
    extras : callable, optional
        Takes a checkpoint's folder and writes the task's files into it: vocabulary, configuration.
    describe : callable, optional
        Takes a record of the log and returns what to add to its line, for example the perplexity.
    data : mapping, optional
        What tells this data from other data, as JSON values; a run is not gone on with where it differs. An entry
        `name` may differ: data may move.
    started : float, optional
        `time.monotonic()` of when `config.minutes` began; default: when `fit` is called.
    """

    accelerator: Any
    run: RunDirectory
    config: LoopConfig
    model: nn.Module
    optimizers: Sequence[Any]
    order: Order
    fetch: Callable[[Share], Any]
    loss_fn: Callable[[Any, Any], tuple]
    evaluate: Callable[[nn.Module], Mapping[str, Any]] | None = None
    metric: str = "valid_loss"
    highest: bool = False
    schedule: Schedule | None = None
    rate_factor: Callable[[int, int], float] | None = None
    state: Any = None
    extras: Callable[[Path], None] | None = None
    describe: Callable[[Mapping[str, Any]], str] | None = None
    data: Mapping[str, Any] | None = None
    started: float | None = None

    at: Position = field(default_factory=Position, init=False)
    plan: Plan = field(default=Plan(0, 0), init=False)
    _average: WeightAverage | None = field(default=None, init=False)

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
            self._prepare(stop)
            self._resume_or_start()
            self._journal = Journal(self.run, is_first, self.at.step, self.describe)
            is_hidden = self.run.quiet or not is_first
            bar = progress_bar(None, label="training", unit="step", quiet=is_hidden)
            with bar as self._bar:
                self._began = time.monotonic() - self.at.seconds
                self._fix_plan(began)
                with profiler(self.run, self.config.profile_steps, is_first) as self._profile:
                    while not self._is_done():
                        self._epoch()
        return self._outcome()

    def _epoch(self) -> None:
        """Train to the end of the epoch or of the run, from wherever in the epoch training stands."""
        k, size = self.config.accumulation, self._epoch_steps(self.at.epoch)
        self._wrapped.train()
        with closing(self._batches(self.at.epoch, self.at.epoch_step * k, size * k)) as batches:
            is_epoch_end = False
            while not is_epoch_end and not self._is_done():
                began = time.monotonic()
                sums = self._update(batches)
                is_epoch_end = self.at.advance(size)
                self._meter.add(self.at.step, sums, time.monotonic() - began)
                self._bar.update(1)
                self._profile()
                self._after_update(is_epoch_end)

    def _update(self, batches: Iterator[tuple[Share, Any]]) -> dict[str, Tensor]:
        """Make one update; return its sums over all processes, which a GPU may still be working on."""
        self._set_learning_rates()
        parts = []
        for micro in range(self.config.accumulation):
            share, batch = next(batches)
            is_last = micro == self.config.accumulation - 1
            # Processes exchange gradients once per update, in the last backward pass.
            with nullcontext() if is_last else self.accelerator.no_sync(self._wrapped):
                loss, count, *more = self.loss_fn(self._wrapped, batch)
                self.accelerator.backward(loss * share.is_real)  # the sum; divided below
            part = {"loss": loss, "count": count} | (more[0] if more else {})
            parts.append({name: value * share.is_real for name, value in part.items()})
        sums = self._meter.over_processes(parts)
        # Divided by the count over micro-batches and processes: every token weighs the same wherever it came. DDP has
        # taken the mean of the processes' gradients where the sum is wanted, so their number comes in again.
        scale = self.accelerator.num_processes / sums["count"].clamp(min=1)
        norm = scale_and_clip(self._wrapped.parameters(), scale.float(), self.config.clip_norm)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        if self._average is not None:
            self._average.update()
        return sums if norm is None else sums | {NORM: norm}

    def _after_update(self, is_epoch_end: bool) -> None:
        """Log, evaluate, save and stop, each if it is time."""
        step, metric, names = self.at.step, None, []  # type: int, float | None, list[str | None]
        if step % self.config.log_every == 0 or step == self.plan.total_steps:
            self._log()
        every = self.plan.evaluate_every
        is_due = is_epoch_end if every == 0 else step % every == 0
        if self.evaluate is not None and (is_due or step == self.plan.total_steps):
            metric, is_best = self._evaluate(self.evaluate)
            names += ["best"] if is_best else []
        if is_epoch_end and self.at.epoch in self.config.checkpoint_epochs:
            names.append(f"epoch-{self.at.epoch:04d}")
        every = self.config.checkpoint_every
        is_asked, stop_signal = self._meter.requests()
        if is_asked or stop_signal or (every and step % every == 0) or self._is_done():
            names.append(None)
        if names:
            self._save(names, metric)
        if stop_signal and not self._is_done():
            raise Interrupted(
                stop_signal,
                f"stopped at step {step} of {self.plan.total_steps} and saved. "
                f"Go on with the same command and --out {self.run.path} --resume.",
            )

    def _evaluate(self, evaluate: Callable[[nn.Module], Mapping[str, Any]]) -> tuple[float, bool]:
        """Evaluate, note and log what came out; return the metric and whether it is the best so far."""
        self._meter.settle()
        began = time.monotonic()
        with self._average.in_place() if self._average else nullcontext(), evaluating(self.model):
            # DDP hands buffers out before a forward pass in training only: those of batch norm have moved apart since.
            buffers_of_first(self.accelerator, self.model)
            figures = dict(evaluate(self.model))
        metric = float(from_first(self.accelerator, figures[self.metric]))
        require_finite(self.at.step, self.metric, metric)
        self.at.history.append(metric)
        is_best = best_index(self.at.history, highest=self.highest) == len(self.at.history) - 1
        seconds = {"evaluation_seconds": time.monotonic() - began, "seconds": self._seconds()}
        self._journal.add(self.at.step, epoch=self.at.epochs, **figures, **seconds)
        numbers = {name: value for name, value in figures.items() if isinstance(value, int | float)}
        shown = " ".join(f"{name} {value:.4f}" for name, value in numbers.items())
        self._say(f"{shown}{' (best)' if is_best else ''}", figures)
        wait = self.config.average_patience
        is_time = is_time_for_mean(self.at.history, wait, highest=self.highest)
        if self._average is None and is_time:
            self._average = WeightAverage(self.model, None)
            self._say("the mean of the weights starts here")
        return metric, is_best

    def _log(self) -> None:
        """Write the figures since the last line."""
        figures, rate = self._meter.take(), self.optimizers[0].param_groups[0]["lr"]
        self._journal.add(self.at.step, epoch=self.at.epochs, learning_rate=rate, **figures)
        milliseconds, loss = 1000 * figures["step_seconds"], figures["train_loss"]
        self._bar.set_postfix(loss=f"{loss:.4f}", refresh=False)
        self._say(f"lr {rate:.4g} {milliseconds:.1f} ms/step loss {loss:.4f}", figures)

    def _save(self, names: Sequence[str | None], metric: float | None) -> None:
        self._meter.settle()  # a loss that is not finite must be found before what came of it is saved
        self.at.seconds = self._seconds()
        save_checkpoint(
            self.run.checkpoints,
            self.accelerator,
            self.model,
            self.optimizers,
            step=self.at.step,
            facts={
                "position": asdict(self.at),
                "plan": asdict(self.plan),
                "meter": self._meter.state_dict(),
                "data": self.data,
            },
            average=self._average,
            state=self.state,
            extras=self.extras,
            metric=metric,
            names=names,
        )
        self._meter.saved()

    def _prepare(self, stop: StopRequest) -> None:
        config, accelerator = self.config, self.accelerator
        self._schedule = self.schedule or schedule_of(config)
        self._base_rates = [[group["lr"] for group in o.param_groups] for o in self.optimizers]
        if config.compile:
            require_compiler(accelerator.device)
            self.model.compile()  # in place: names in the checkpoint stay as they are
        # Batches and schedules are ours; accelerate prepares nothing else.
        self._wrapped, *self.optimizers = accelerator.prepare(self.model, *self.optimizers)
        self._meter = Meter(accelerator, stop, config.checkpoint_seconds)
        on_gpu = accelerator.device.type == "cuda"
        self._loader = Loader(
            self.fetch, seed=config.seed, workers=config.workers, pin_memory=on_gpu
        )

    def _resume_or_start(self) -> None:
        """Begin at step 0, or where the last whole checkpoint was written."""
        config, accelerator = self.config, self.accelerator
        seed_everything(config.seed, accelerator.process_index)  # dropout differs by process
        if config.ema_decay is not None:
            self._average = WeightAverage(self.model, config.ema_decay)
        checkpoint = self.run.checkpoints.last() if self.run.is_resumed else None
        if checkpoint is None:
            return
        require_same_data(self.run.path, checkpoint.facts.get("data"), self.data)
        self._average = load_checkpoint(
            checkpoint,
            accelerator,
            self.model,
            self.optimizers,
            start_average=lambda: WeightAverage(self.model, config.ema_decay),
            state=self.state,
        )
        self.at = Position(**checkpoint.facts["position"])
        self.plan = Plan(**checkpoint.facts["plan"])
        self._meter.load_state_dict(checkpoint.facts["meter"])
        self.run.say(f"{checkpoint.folder}: going on from step {self.at.step}")

    def _fix_plan(self, began: float) -> None:
        """Decide how many steps the run has, unless that is settled already."""
        config = self.config
        recorded = [r for r in self.run.metrics.records() if "planned_steps" in r]
        recorded = from_first(self.accelerator, recorded)
        if self._epoch_steps(0) < 1:
            raise UserError(
                f"An epoch has {self.order.steps(0)} batches, too few for --accumulation {config.accumulation}."
            )
        if recorded and not self.plan.total_steps:
            self.plan = Plan(recorded[0]["planned_steps"], recorded[0]["evaluate_every"])
        elif config.minutes is not None and not self.plan.total_steps:
            self.plan = self._plan_by_timing(began + 60 * config.minutes)
            planned, every = self.plan.total_steps, self.plan.evaluate_every
            self._journal.add(0, planned_steps=planned, evaluate_every=every)
            self._say(f"{config.minutes:g} minutes are time for {planned} steps")
        elif not self.plan.total_steps:
            total = config.steps or sum(self._epoch_steps(e) for e in range(config.epochs))
            self.plan = Plan(total, config.evaluate_every)
        self._bar.reset(total=self.plan.total_steps)
        self._bar.update(self.at.step)

    def _plan_by_timing(self, deadline: float) -> Plan:
        """Try some steps and an evaluation, undo them, and return the plan that ends at the deadline."""
        k, size = self.config.accumulation, self._epoch_steps(0)
        self.plan = Plan(size, 0)  # for the schedule
        self._wrapped.train()
        before = Snapshot([self.model, *self.optimizers, self._average, self.state])
        with closing(self._batches(0, 0, size * k)) as batches:
            step_seconds = time_steps(
                lambda: float(self._update(batches)["loss"]),  # waits for the device
                size,
                allowed=min(_MOST_TIMING, 0.03 * (deadline - time.monotonic())),
                agree=partial(from_first, self.accelerator),
            )
        evaluation_seconds = 0.0
        if self.evaluate is not None:
            start = time.monotonic()
            with evaluating(self.model):
                self.evaluate(self.model)
            evaluation_seconds = time.monotonic() - start
        before.restore()
        self._meter.forget()
        plan = plan_for(
            deadline - time.monotonic(),
            step_seconds=step_seconds,
            evaluation_seconds=evaluation_seconds,
            evaluate_every=self.config.evaluate_every,
            epoch_steps=size,
        )
        return from_first(self.accelerator, plan)

    def _batches(
        self, epoch: int, first: int, end: int
    ) -> Generator[tuple[Share, Any], None, None]:
        """Yield an epoch's batches from `first` to `end`, on the device; note how long each was waited for."""
        rank, world = self.accelerator.process_index, self.accelerator.num_processes
        shares = [self.order.share(epoch, number, rank, world) for number in range(first, end)]
        with closing(self._loader(shares)) as loaded:
            for share in shares:
                began = time.monotonic()
                batch = next(loaded)
                self._meter.waited(time.monotonic() - began)
                yield share, to_device(batch, self.accelerator.device)

    def _set_learning_rates(self) -> None:
        sign = -1 if self.highest else 1
        history = [sign * value for value in self.at.history]
        at = self.at
        moment = Moment(at.step, self.plan.total_steps, at.epoch, at.epoch_step, history)
        factor = self._schedule(moment)
        if self.rate_factor is not None:
            factor *= self.rate_factor(at.epoch, at.epoch_step)
        for optimizer, rates in zip(self.optimizers, self._base_rates, strict=True):
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * factor

    def _is_done(self) -> bool:
        is_over = is_stalled(self.at.history, self.config.patience, highest=self.highest)
        return is_over or self.at.step >= self.plan.total_steps

    def _epoch_steps(self, epoch: int) -> int:
        return self.order.steps(epoch) // self.config.accumulation

    def _seconds(self) -> float:
        return time.monotonic() - self._began

    def _say(self, text: str, figures: Mapping[str, Any] | None = None) -> None:
        self._journal.say(self.at, self.plan.total_steps, text, figures)

    def _outcome(self) -> Outcome:
        history = self.at.history
        return Outcome(
            steps=self.at.step,
            epochs=self.at.epoch,
            best=history[best_index(history, highest=self.highest)] if history else None,
            last=history[-1] if history else None,
            history=tuple(history),
            is_stopped_early=self.at.step < self.plan.total_steps,
            seconds=self._seconds(),
        )
