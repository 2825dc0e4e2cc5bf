"""Which examples make which batch, as a pure function of seed, epoch, step, rank and number of processes.

    order = Shuffled(len(dataset), batch_size=64, seed=1)
    order.shard(epoch=3, step=17, rank=0, world=2).indices       # one process' half of that batch

Nothing is remembered from one batch to the next: to resume in the middle of an epoch is to ask for its next step.
Any object with `steps` and `shard` is an order; a language model's, for one, deals out positions in a text.
"""

from __future__ import annotations

import random
import signal
import sys
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any, Protocol

import numpy as np
import torch
import torch.utils.data
from numpy.typing import NDArray

from shared.errors import UserError
from shared.random_streams import Stream, seed_sequence

_AFTER_SIGTERM = 10  # seconds a worker lives on, for the rest of the update


@dataclass(frozen=True)
class Shard:
    """One process' part of one batch.

    Parameters
    ----------
    epoch, step : int
        Position in training, counted from 0; `step` counts batches of the epoch.
    rank, world : int
        Which process of how many.
    indices : int array (B,)
        Examples of the data, or whatever else tells the task what to fetch.
    is_real : bool
        False: the batch has fewer examples than there are processes. This one takes part with a copy that counts
        for nothing.
    """

    epoch: int
    step: int
    rank: int
    world: int
    indices: NDArray[np.int64]
    is_real: bool = True


class Order(Protocol):
    """The order of the training data."""

    def steps(self, epoch: int) -> int:
        """Return the number of batches in an epoch."""

    def shard(self, epoch: int, step: int, rank: int, world: int) -> Shard:
        """Return one process' part of one batch."""


class Shuffled:
    """Batches of one size from shuffled examples; what does not fill a batch at an epoch's end is left out.

    Parameters
    ----------
    count : int
        Examples of the data.
    batch_size : int
        Examples in a batch, over all processes, >= 1.
    seed : int
        Every epoch has another order, which is a function of (seed, epoch).

    Raises
    ------
    UserError
        There are fewer examples than make a batch.
    """

    def __init__(self, count: int, batch_size: int, seed: int) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}, expected 1 or more")
        if count < batch_size:
            raise UserError(
                f"{count} training examples do not fill one batch of {batch_size}. Take a smaller --batch-size."
            )
        self.count, self.batch_size, self.seed = count, batch_size, seed
        self._order: tuple[int, NDArray[np.int64]] = (-1, np.empty(0, dtype=np.int64))

    def steps(self, epoch: int) -> int:
        """Return the number of batches in an epoch."""
        return self.count // self.batch_size

    def shard(self, epoch: int, step: int, rank: int, world: int) -> Shard:
        """Return one process' part of one batch."""
        if self._order[0] != epoch:
            self._order = (epoch, self._permutation(epoch))
        batch = self._order[1][step * self.batch_size : (step + 1) * self.batch_size]
        return split(batch, epoch, step, rank, world)

    def _permutation(self, epoch: int) -> NDArray[np.int64]:
        random = np.random.default_rng(seed_sequence(self.seed, Stream.ORDER, epoch))
        return random.permutation(self.count)


class Batches:
    """Batches that a function of the epoch deals out, for example by length.

    Parameters
    ----------
    deal : callable
        Takes the epoch and returns its batches, each an array of indices over all processes. It must be a pure
        function, as `shared.text.batching.bucketed_batches` with a fixed seed is::

            Batches(lambda epoch: bucketed_batches(lengths, batch_size=32, seed=1, epoch=epoch))
    """

    def __init__(self, deal: Callable[[int], Sequence[NDArray[np.int64]]]) -> None:
        self._deal = deal
        self._dealt: tuple[int, Sequence[NDArray[np.int64]]] = (-1, [])

    def steps(self, epoch: int) -> int:
        """Return the number of batches in an epoch."""
        return len(self._batches(epoch))

    def shard(self, epoch: int, step: int, rank: int, world: int) -> Shard:
        """Return one process' part of one batch."""
        return split(self._batches(epoch)[step], epoch, step, rank, world)

    def _batches(self, epoch: int) -> Sequence[NDArray[np.int64]]:
        if self._dealt[0] != epoch:
            self._dealt = (epoch, self._deal(epoch))
        return self._dealt[1]


def split(batch: NDArray[np.int64], epoch: int, step: int, rank: int, world: int) -> Shard:
    """Return every `world`-th example of a batch, from the `rank`-th on."""
    own = batch[rank::world]
    return Shard(epoch, step, rank, world, own if len(own) else batch[:1], is_real=len(own) > 0)


def evaluation_shards(
    batches: int | Sequence[NDArray[np.int64]], rank: int, world: int, *, batch_size: int = 1
) -> list[Shard]:
    """Return one process' batches of an evaluation: over all processes each example exactly once.

    Parameters
    ----------
    batches : int or sequence of int arrays
        The number of examples, of which this process takes every `world`-th, cut into `batch_size`; or batches made
        elsewhere (by length), of which it takes every `world`-th. Processes may have different numbers of batches.
    rank, world : int
    batch_size : int
        Examples in a batch of one process, >= 1; unused if batches are given.
    """
    if isinstance(batches, int):
        own = np.arange(rank, batches, world)
        mine = [own[start : start + batch_size] for start in range(0, len(own), batch_size)]
    else:
        mine = list(batches[rank::world])
    return [Shard(0, step, rank, world, indices) for step, indices in enumerate(mine)]


class Loader:
    """Fetches batches, ahead of time in other processes if wanted; the number of those changes nothing.

    Parameters
    ----------
    fetch : callable
        Takes a `Shard` and returns the batch: tensors, arrays, plain values in dicts, tuples or lists. During the call
        the global generators of torch, numpy and Python are seeded from (seed, epoch, step, rank), so it may draw
        from them.
    seed : int
    workers : int
        Processes that fetch; 0: this one.
    pin_memory : bool
        Put tensors where a GPU can copy them from in the background.
    """

    def __init__(
        self,
        fetch: Callable[[Shard], Any],
        *,
        seed: int = 0,
        workers: int = 0,
        pin_memory: bool = False,
    ) -> None:
        self.fetch, self.seed, self.workers, self.pin_memory = fetch, seed, workers, pin_memory

    def __call__(self, shards: Sequence[Shard]) -> Generator[Any, None, None]:
        """Yield the batch of each shard, in order; close the iterator to stop early."""
        batches = self._in_order(_Fetched(shards, self.fetch, self.seed))
        for _ in shards:
            has_ended = False
            try:
                with _WORKER_ERRORS.raising():
                    batch = next(batches)
            except RuntimeError as error:
                if not str(error).startswith("DataLoader worker (pid"):
                    raise
                has_ended = True
            if has_ended:
                del batches  # ends the other workers
                raise UserError(
                    "A process that prepares batches has ended: killed, or out of memory. Use --workers 0, or give it "
                    "more memory (in a container: --memory, --shm-size)."
                )
            if isinstance(batch, UserError):
                raise batch
            yield batch.tensors() if isinstance(batch, _Piped) else batch

    def _in_order(self, fetched: _Fetched) -> Iterator[Any]:
        if not self.workers and not self.pin_memory:
            return (fetched[number] for number in range(len(fetched)))
        with warnings.catch_warnings(), _WORKER_ERRORS.replacing_handler():
            # Python 3.12 warns whenever a process with threads forks. The workers use none of what those threads hold.
            warnings.filterwarnings("ignore", "This process .* is multi-threaded")
            # More workers than cores are slow, not wrong.
            warnings.filterwarnings("ignore", "This DataLoader will create")
            loader = torch.utils.data.DataLoader(
                fetched,
                batch_size=None,
                collate_fn=_unchanged,
                num_workers=self.workers,
                pin_memory=self.pin_memory,
                # Without one of its own, a DataLoader draws from torch's global generator, and dropout changes with
                # the number of times that loading started: a resumed run would differ.
                generator=torch.Generator(),
                worker_init_fn=_outlive_stop_signals,
            )
            return iter(loader)


class _Fetched(torch.utils.data.Dataset):
    """The batches of some shards, by number: what a DataLoader can read."""

    def __init__(self, shards: Sequence[Shard], fetch: Callable[[Shard], Any], seed: int) -> None:
        self.shards, self.fetch, self.seed = shards, fetch, seed

    def __len__(self) -> int:
        return len(self.shards)

    def __getitem__(self, number: int) -> Any:
        shard = self.shards[number]
        with _seeded(self.seed, Stream.BATCH, shard.epoch, shard.step, shard.rank):
            try:
                batch = self.fetch(shard)
            except (
                UserError
            ) as error:  # handed on as a value: a DataLoader would add a traceback to its message
                return error
        return batch if torch.utils.data.get_worker_info() is None else _Piped(batch)


class _Piped:
    """A batch on its way from a worker, with arrays in place of its tensors.

    Tensors would travel in shared memory, of which a container has 64 MB by default, and a batch that finds no room
    there is lost while training waits for it. Arrays go through a pipe.
    """

    def __init__(self, batch: Any) -> None:
        self._batch = _mapped(batch, torch.Tensor, _Array)

    def tensors(self) -> Any:
        """Return the batch as it was."""
        return _mapped(self._batch, _Array, _Array.tensor)

    def pin_memory(self) -> Any:
        """Return the batch in memory that a GPU can copy from in the background; a DataLoader calls this."""
        return _mapped(self._batch, _Array, lambda array: array.tensor().pin_memory())


class _Array:
    """A tensor as an array; numpy has no bfloat16."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self._dtype = tensor.dtype
        is_bf16 = tensor.dtype == torch.bfloat16
        self._values = (tensor.view(torch.int16) if is_bf16 else tensor).numpy()

    def tensor(self) -> torch.Tensor:
        return torch.from_numpy(self._values).view(self._dtype)


def _mapped(value: Any, kind: type, change: Callable[[Any], Any]) -> Any:
    """Return a batch (dicts, tuples, lists) with `change` applied to what is of a type."""
    if isinstance(value, kind):
        return change(value)
    if isinstance(value, dict):
        return {key: _mapped(item, kind, change) for key, item in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(_mapped(item, kind, change) for item in value))
    if isinstance(value, list | tuple):
        return type(value)(_mapped(item, kind, change) for item in value)
    return value


@contextmanager
def _seeded(seed: int, *key: int) -> Iterator[None]:
    """Seed the global generators of the CPU for a while, then restore them."""
    before = random.getstate(), np.random.get_state(), torch.get_rng_state()
    words = [int(word) for word in seed_sequence(seed, *key).generate_state(3)]
    random.seed(words[0])
    np.random.seed(words[1])
    torch.default_generator.manual_seed(words[2])
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])
        torch.set_rng_state(before[2])


class _DeferredWorkerErrors:
    """Puts off the error of a worker that has ended until a batch is waited for.

    A DataLoader's handler of SIGCHLD raises it in whatever line runs: an update, or the save that a signal asked for.
    Without that handler, training hangs on the rest of a batch whose worker was killed in the middle of sending it.
    """

    def __init__(self) -> None:
        self._raise_error: Callable[[int, FrameType | None], Any] | None = None
        self._is_waiting = False

    @contextmanager
    def replacing_handler(self) -> Iterator[None]:
        """Take the place of the handler that a DataLoader sets in the context, which it does once per process."""
        if sys.platform == "win32":  # which has no such signal
            yield
            return
        before = signal.getsignal(signal.SIGCHLD)
        yield
        handler = signal.getsignal(signal.SIGCHLD)
        if handler is not before and callable(handler):
            self._raise_error = handler
            signal.signal(signal.SIGCHLD, self._note)

    @contextmanager
    def raising(self) -> Iterator[None]:
        """Raise the error in this context, also that of a worker that ended before."""
        self._is_waiting = True
        try:
            self._note(0, None)
            yield
        finally:
            self._is_waiting = False

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._is_waiting and self._raise_error is not None:
            self._raise_error(number, frame)


_WORKER_ERRORS = _DeferredWorkerErrors()


def _outlive_stop_signals(worker: int) -> None:
    """Leave it to the training process to stop: a worker must outlive Ctrl-C until the checkpoint is saved.

    Slurm, systemd and `timeout` send SIGTERM to all processes of a job. It is also how a DataLoader ends a worker that
    is stuck, so a worker ends some time after it.
    """
    for name in ("SIGINT", "SIGHUP", "SIGUSR1"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    if sys.platform != "win32":
        signal.signal(signal.SIGTERM, lambda number, frame: signal.alarm(_AFTER_SIGTERM))


def _unchanged(batch: Any) -> Any:
    return batch
