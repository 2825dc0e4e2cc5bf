"""The processes of one run, on one machine or many: `mpirun -n 4 cbow train ...`.

The first process alone reads the data and writes the run folder: `train.py` runs there and uses an engine like any
other. The others are followers: they build the engine that it has, and train when it trains (`replicas.py`). Messages
are JSON and plain arrays, never pickled objects. With one process all of this does nothing.
"""

from __future__ import annotations

import json
import sys
import time
import traceback
from dataclasses import asdict
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cbow.config import TrainConfig
from cbow.kernels import Engine
from cbow.kernels.build import build_engine, compile_engine
from cbow.model.weights import first_weights, subwords_of
from cbow.processes.launchers import processes_started
from cbow.processes.replicas import Replica, default_merge_every, wait
from shared.errors import UserError
from shared.extras import install_command
from shared.interrupt import StopRequest
from shared.text.vocabulary import Vocabulary


def join() -> Team:
    """Return the team that this process was started with.

    Raises
    ------
    UserError
        Several were started, but mpi4py is missing or belongs to another MPI.
    """
    started = processes_started()
    if started == 1:
        return Team()
    try:
        from mpi4py import MPI  # type: ignore[import-not-found, unused-ignore]
    except (ImportError, RuntimeError) as error:  # the latter: it finds no MPI library
        raise UserError(
            f"{started} processes were started together, but mpi4py cannot be used ({str(error).splitlines()[0]}). "
            f"Install it: {install_command('dltasks-cbow', 'mpi')} , or start one process."
        ) from None
    size = MPI.COMM_WORLD.Get_size()
    if size != started:
        raise UserError(
            f"{started} processes were started together, but mpi4py sees {size}: it uses another MPI than mpirun. "
            "Start them with the mpirun of mpi4py's library (`pip install mpich` brings one)."
        )
    return Team(MPI.COMM_WORLD)


def give_up(code: int) -> None:
    """End all processes if this one failed before it joined the others, which would wait for it forever.

    Parameters
    ----------
    code : int
        Exit code of them all.
    """
    if "mpi4py.MPI" in sys.modules:
        return  # it has joined them; `Team.__exit__` ends them
    try:
        team = join()
    except UserError:  # the others fail alike
        return
    if team.comm is not None:
        team.comm.Abort(code)


class Team:
    """The processes of one run; one process without a launcher.

    Use it in a `with` block: at its end the first process tells the others to end.

    Parameters
    ----------
    comm : mpi4py communicator or None
        None: one process.
    """

    def __init__(self, comm: Any = None) -> None:
        self.comm = comm
        self.size: int = 1 if comm is None else comm.Get_size()
        self.is_follower: bool = comm is not None and comm.Get_rank() > 0
        self.is_torn = False  # the others wait for a message that an exception would keep back

    def replicate(
        self, engine: Engine, config: TrainConfig, vocabulary: Vocabulary
    ) -> Engine | Replica:
        """Give every process a copy of an engine.

        Parameters
        ----------
        engine : Engine
            As `build_engine` made it from `config` and `vocabulary`.
        config : TrainConfig
        vocabulary : Vocabulary

        Returns
        -------
        Engine or Replica
            The engine itself where there is one process.
        """
        if self.comm is None:
            return engine
        self.is_torn = True
        self._tell("build", config=asdict(config), tokens=vocabulary.tokens)
        self.comm.Bcast(engine.counts, root=0)
        for rows in engine.live_weights():
            self.comm.Bcast(rows, root=0)
        replica = _FirstReplica(engine, self, self._merge_every(engine, config))
        self.is_torn = False
        return replica

    def follow(self) -> int:
        """Execute the orders of the first process until it says `end`; return the exit code."""
        replica: Replica | None = None
        with StopRequest():  # a signal reaches the first process too, which alone handles it
            try:
                while (order := self._hear())["what"] != "end":
                    if order["what"] == "build":
                        replica = self._build(order)
                    elif replica is not None:
                        self._train(replica, order)
            except BaseException:
                self._abort()
        return 0

    def tell_training(
        self, ids: NDArray[np.int32], control: NDArray[np.int64], **settings: Any
    ) -> None:
        """Make all followers call `Replica.run` with the same arguments."""
        self._tell("train", length=len(ids), **settings)
        self.comm.Bcast(ids, root=0)
        self.comm.Bcast(control, root=0)

    def __enter__(self) -> Team:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        if self.is_torn:
            self._abort()
        elif self.comm is not None and not self.is_follower:
            self._tell("end")

    def _build(self, order: dict[str, Any]) -> Replica:
        config = TrainConfig(**order["config"])
        vocabulary = Vocabulary(order["tokens"], [0] * len(order["tokens"]))
        counts = np.empty(len(vocabulary), dtype=np.int64)
        self.comm.Bcast(counts, root=0)
        subwords = subwords_of(config, vocabulary)
        engine = build_engine(
            config, counts, *first_weights(config, vocabulary, subwords), subwords
        )
        for rows in engine.live_weights():  # those of a resumed run are not the initial ones
            self.comm.Bcast(rows, root=0)
        compile_engine(config)
        return Replica(engine, self.comm, self._merge_every(engine, config))

    def _merge_every(self, engine: Engine, config: TrainConfig) -> int:
        return config.merge_every or default_merge_every(int(engine.counts.sum()), self.size)

    def _train(self, replica: Replica, order: dict[str, Any]) -> None:
        ids = np.empty(order["length"], dtype=np.int32)
        control = np.empty((self.size, 4), dtype=np.int64)
        self.comm.Bcast(ids, root=0)
        self.comm.Bcast(control, root=0)
        settings = {name: order[name] for name in ("learning_rate", "rate_slope", "key")}
        replica.run(ids, control, replica.new_stats(), **settings)

    def _tell(self, what: str, **more: Any) -> None:
        text = json.dumps({"what": what, **more}).encode()
        wait(self.comm.Ibcast(np.array([len(text)], dtype=np.int64), root=0))
        self.comm.Bcast(np.frombuffer(text, dtype=np.uint8).copy(), root=0)

    def _hear(self) -> dict[str, Any]:
        length = np.empty(1, dtype=np.int64)
        wait(self.comm.Ibcast(length, root=0))
        text = np.empty(int(length[0]), dtype=np.uint8)
        self.comm.Bcast(text, root=0)
        return json.loads(text.tobytes())

    def _abort(self) -> None:
        """End all processes: the others would wait forever for one that has failed."""
        traceback.print_exc()
        sys.stderr.flush()
        time.sleep(0.2)  # what mpirun has not passed on by the time of the abort is lost
        self.comm.Abort(1)


class _FirstReplica(Replica):
    """The first process' replica, which makes the others train when it trains."""

    def __init__(self, engine: Engine, team: Team, merge_every: int) -> None:
        super().__init__(engine, team.comm, merge_every)
        self.team = team

    def run(
        self,
        ids: NDArray[np.int32],
        control: NDArray[np.int64],
        stats: NDArray[np.float64],
        learning_rate: float,
        *,
        rate_slope: float = 0.0,
        key: int | np.uint64 = 0,
    ) -> str:
        self.team.is_torn = True
        settings = {"learning_rate": learning_rate, "rate_slope": rate_slope, "key": int(key)}
        self.team.tell_training(ids, control, **settings)
        outcome = super().run(ids, control, stats, learning_rate, rate_slope=rate_slope, key=key)
        self.team.is_torn = False
        return outcome
