from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from cbow.kernels import END, NEXT, SAMPLES, STOP, Engine, merge_rows, split_at_lines
from cbow.model.vectors import WordVectors
from cbow.model.weights import initial_weights
from cbow.processes.launchers import LAUNCHERS
from cbow.processes.replicas import Replica, default_merge_every, part_rate, stretch_end
from cbow.processes.team import Team, join
from shared.errors import UserError
from shared.extras import install_command

Caller = Callable[..., tuple[int, str, str]]

RATE, SLOPE, KEY = 0.05, -1e-5, 7
EVERY = 40


# Replicas in threads, which meet at a barrier where processes would at a collective call of MPI.


class FakeCommunicator:
    """One thread's end of a communicator: numpy buffers only, as mpi4py's calls with a capital letter take them."""

    def __init__(self, rank: int, world: list[Any], barrier: threading.Barrier) -> None:
        self.rank, self.world, self.barrier = rank, world, barrier

    def Get_rank(self) -> int:
        return self.rank

    def Get_size(self) -> int:
        return len(self.world)

    def _exchange(self, value: Any) -> list[Any]:
        self.world[self.rank] = value
        self.barrier.wait(timeout=60)
        found = list(self.world)
        self.barrier.wait(timeout=60)
        return found

    def Ibarrier(self) -> Any:
        self._exchange(None)
        return SimpleNamespace(Test=lambda: True)

    def Iallgather(self, sent: np.ndarray, received: np.ndarray) -> Any:
        received[:] = self._exchange(sent.copy())
        return SimpleNamespace(Test=lambda: True)

    def Alltoallv(self, sent: list[Any], received: list[Any]) -> None:
        data, (counts, places) = sent
        flat = data.reshape(-1)
        pieces = [flat[at : at + n].copy() for n, at in zip(counts, places, strict=True)]
        into, (counts, places) = received
        flat = into.reshape(-1)
        for theirs, n, at in zip(self._exchange(pieces), counts, places, strict=True):
            flat[at : at + n] = theirs[self.rank]


def together(size: int, work: Callable[[Any], Any]) -> list[Any]:
    """Call `work` with each end of a communicator, in threads; the outcomes in order of rank."""
    world, barrier = [None] * size, threading.Barrier(size)
    ends = [FakeCommunicator(rank, world, barrier) for rank in range(size)]
    with ThreadPoolExecutor(size) as pool:
        return list(pool.map(work, ends))


def block(lines: int = 60, words: int = 50, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    found: list[int] = []
    for _ in range(lines):
        found += [*random.integers(0, words, random.integers(1, 12)).tolist(), -1]
    return np.array(found, dtype=np.int32)


IDS = block()


def engine(objective: str = "negative", **settings: Any) -> Engine:
    counts = np.bincount(IDS[IDS >= 0], minlength=50)
    weights = initial_weights(50, 8, seed=1)
    return Engine(counts, *weights, objective=objective, window=2, **settings)


def trained(comm: Any, objective: str = "negative", **settings: Any) -> tuple[Any, ...]:
    replica = Replica(engine(objective, **settings), comm, EVERY)
    control, stats = replica.new_control(IDS), replica.new_stats()
    outcome = replica.run(IDS, control, stats, RATE, rate_slope=SLOPE, key=KEY)
    return outcome, stats, *replica.weights()


def merged(*changes: list[float]) -> np.ndarray:
    """Return what these changes of one row, here of zeros, are merged to."""
    rows = np.zeros((1, len(changes[0])), dtype=np.float32)
    merge_rows(np.array(changes, dtype=np.float32)[:, None], rows)
    return rows[0]


def test_merge_adds_what_differs_and_averages_what_is_the_same() -> None:
    np.testing.assert_array_equal(merged([1, 0], [0, 2]), [1, 2])
    np.testing.assert_array_equal(merged([3, 4], [3, 4]), [3, 4])
    np.testing.assert_array_equal(merged([1, 2], [3, 6]), [2, 4])
    # Four in pairs: two that are the same, two that are the same, and both pairs orthogonal.
    np.testing.assert_array_equal(merged([1, 0], [1, 0], [0, 5], [0, 5]), [1, 5])
    # A replica that has not met the word takes no part: [1, 0] is not halved.
    np.testing.assert_array_equal(merged([1, 0], [0, 0], [0, 0], [1, 0]), [1, 0])


@pytest.mark.parametrize("replicas", [2, 3, 5, 8])
def test_merge_equals_the_formula(replicas: int) -> None:
    def pair(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return (1 - a @ b / (2 * a @ a)) * a + (1 - a @ b / (2 * b @ b)) * b

    def tree(changes: list[np.ndarray]) -> np.ndarray:
        if len(changes) == 1:
            return changes[0]
        pairs = [pair(*two) for two in zip(changes[::2], changes[1::2], strict=False)]
        return tree(pairs + changes[2 * len(pairs) :])

    random = np.random.default_rng(replicas)
    rows = random.standard_normal((20, 7), dtype=np.float32)
    versions = rows + random.standard_normal((replicas, 20, 7), dtype=np.float32) + 0.5
    changes = (versions - rows).astype(np.float64)
    expected = rows + [tree(list(changes[:, m])) for m in range(len(rows))]
    merge_rows(versions, rows)
    np.testing.assert_allclose(rows, expected, rtol=1e-4, atol=1e-4)


def test_merge_of_opposite_or_tiny_changes_is_finite() -> None:
    np.testing.assert_array_equal(merged([1, 0], [-1, 0], [0, 1], [0, -1]), [0, 0])
    tiny = np.float32(1e-30)  # its square is no float32
    np.testing.assert_array_equal(merged([tiny, 0], [tiny, 0]), [tiny, 0])


def test_row_that_one_replica_changed_keeps_its_bits() -> None:
    random = np.random.default_rng(0)
    rows = random.random((100, 5), dtype=np.float32)
    versions = np.stack([rows, random.random((100, 5), dtype=np.float32), rows])
    merge_rows(versions, rows)
    np.testing.assert_array_equal(rows, versions[1])


@pytest.mark.parametrize("objective", ["softmax", "negative", "hierarchical"])
@pytest.mark.parametrize("size", [2, 3])
def test_replicas_equal_engines_that_are_merged_by_hand(size: int, objective: str) -> None:
    engines = [engine(objective) for _ in range(size)]
    bounds = split_at_lines(IDS, size)
    lines = np.flatnonzero(IDS == -1) + 1
    at, samples = bounds[:-1].copy(), 0
    while (at < bounds[1:]).any():
        before = [rows.copy() for rows in engines[0].live_weights()]
        for rank, one in enumerate(engines):
            until = min(stretch_end(lines, int(at[rank]), EVERY), bounds[rank + 1])
            control, stats = one.new_control(IDS), one.new_stats()
            control[0, [NEXT, END]] = at[rank], until
            rate, slope = part_rate(RATE, SLOPE, len(IDS), bounds[rank], bounds[rank + 1])
            one.run(IDS, control, stats, rate, rate_slope=slope, key=KEY)
            samples += int(stats[:, SAMPLES].sum())
            at[rank] = until
        versions = [
            np.stack(all_of) for all_of in zip(*(e.live_weights() for e in engines), strict=True)
        ]
        for rows, stack in zip(before, versions, strict=True):
            merge_rows(stack, rows)
        for one in engines:
            for rows, merged_rows in zip(one.live_weights(), before, strict=True):
                rows[:] = merged_rows

    found = together(size, lambda comm: trained(comm, objective))
    for outcome, stats, U, V in found:  # every process ends with the same bits
        assert outcome == "done"
        assert int(stats[:, SAMPLES].sum()) == samples
        np.testing.assert_array_equal(U, engines[0].weights()[0])
        np.testing.assert_array_equal(V, engines[0].weights()[1])


def test_every_position_is_trained_on_once_whatever_the_number_of_replicas() -> None:
    alone = engine()
    sums = alone.new_stats()
    alone.run(IDS, alone.new_control(IDS), sums, RATE, key=KEY)
    for size in (1, 2, 5, 100):  # the last are more than there are lines
        for _, stats, *_ in together(size, trained):
            assert stats[:, SAMPLES].sum() == sums[:, SAMPLES].sum()


def test_one_replica_by_itself_is_the_plain_engine() -> None:
    alone = engine()
    alone.run(IDS, alone.new_control(IDS), alone.new_stats(), RATE, rate_slope=SLOPE, key=KEY)
    ((_, _, U, V),) = together(1, trained)
    np.testing.assert_array_equal(U, alone.weights()[0])
    np.testing.assert_array_equal(V, alone.weights()[1])


def test_stopped_at_a_merge_and_continued_is_bit_identical() -> None:
    def in_pieces(comm: Any) -> tuple[Any, ...]:
        replica = Replica(engine(), comm, EVERY)
        control, stops = replica.new_control(IDS), 0
        while True:
            control[:, STOP] = comm.Get_rank() == 0  # only the first process is asked
            outcome = replica.run(
                IDS, control, replica.new_stats(), RATE, rate_slope=SLOPE, key=KEY
            )
            if outcome == "done":
                return stops, *replica.weights()
            assert outcome == "stopped"
            # What a checkpoint keeps: one set of weights and the positions.
            weights = replica.weights()
            replica = Replica(engine(), comm, EVERY)
            replica.engine.set_weights(*weights)
            replica = Replica(replica.engine, comm, EVERY)
            control = control.copy()
            stops += 1

    whole = together(2, trained)
    for (stops, U, V), (_, _, expected_U, expected_V) in zip(
        together(2, in_pieces), whole, strict=True
    ):
        assert stops >= 3
        np.testing.assert_array_equal(U, expected_U)
        np.testing.assert_array_equal(V, expected_V)


def test_loss_that_is_not_finite_in_one_process_stops_all() -> None:
    def diverging(comm: Any) -> str:
        weights = initial_weights(50, 8, seed=1)
        one = Engine(np.ones(50), *weights, objective="negative", window=2)
        if comm.Get_rank() == 1:
            one.live_weights()[0][:] = np.nan
        replica = Replica(one, comm, EVERY)
        return replica.run(IDS, replica.new_control(IDS), replica.new_stats(), RATE)

    assert together(3, diverging) == ["diverged"] * 3


def test_all_parts_begin_and_end_at_the_rates_of_the_block() -> None:
    bounds = split_at_lines(IDS, 3)
    for first, end in itertools.pairwise(bounds):
        rate, slope = part_rate(0.1, -1e-5, len(IDS), int(first), int(end))
        assert rate + slope * first == pytest.approx(0.1)
        assert rate + slope * end == pytest.approx(0.1 - 1e-5 * len(IDS))
    assert part_rate(0.1, 0.0, len(IDS), 10, 20) == (0.1, 0.0)


def test_stretch_counts_words_and_ends_with_a_line() -> None:
    lines = np.array([4, 6, 11])  # of 3, 1 and 4 words
    assert [stretch_end(lines, 0, words) for words in (1, 3, 4, 5, 8, 9)] == [4, 4, 6, 11, 11, 11]
    assert [stretch_end(lines, 4, words) for words in (1, 2)] == [6, 11]


def test_large_corpus_is_merged_four_times_an_epoch_and_a_small_one_every_30000_words() -> None:
    assert default_merge_every(205_068, 2) == default_merge_every(240_003, 2) == 30_000
    assert default_merge_every(8_000_000, 2) == 1_000_000
    assert default_merge_every(8_000_000, 4) == 500_000


# How a process finds the others.


@pytest.fixture
def no_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in LAUNCHERS:
        monkeypatch.delenv(name, raising=False)


def test_process_by_itself_needs_no_mpi(no_launcher: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mpi4py", None)  # its import fails
    for count in (None, "1"):
        if count:
            monkeypatch.setenv("PMI_SIZE", count)
        team = join()
        assert (team.size, team.is_follower) == (1, False)
        one = engine()
        assert team.replicate(one, None, None) is one  # type: ignore[arg-type]


@pytest.mark.parametrize("variable", LAUNCHERS)
def test_several_processes_without_mpi4py_are_told_what_is_missing(
    variable: str, no_launcher: None, monkeypatch: pytest.MonkeyPatch, cbow: Caller
) -> None:
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    monkeypatch.setenv(variable, "2")
    code, _, error = cbow("train", "--out", "run")
    assert code == 2
    assert error.count("\n") == 1
    assert "2 processes were started together, but mpi4py cannot be used" in error
    assert install_command("dltasks-cbow", "mpi") in error
    assert not Path("run").exists()


def test_mpirun_of_another_mpi_is_refused(
    no_launcher: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each process would think itself alone, and all would write into one folder.
    world = SimpleNamespace(Get_size=lambda: 1, Get_rank=lambda: 0)
    fake = SimpleNamespace(MPI=SimpleNamespace(COMM_WORLD=world))
    monkeypatch.setitem(sys.modules, "mpi4py", fake)
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "4")
    with pytest.raises(UserError, match="4 processes .* mpi4py sees 1"):
        join()


def test_exception_within_training_ends_all_processes() -> None:
    aborted = []
    comm = SimpleNamespace(Get_size=lambda: 2, Get_rank=lambda: 0, Abort=aborted.append)
    with pytest.raises(RuntimeError), Team(comm) as team:
        team.is_torn = True
        raise RuntimeError
    assert aborted == [1]


# With MPI.

LEARN = ("--objective", "negative", "--initial", "word2vec", "--learning-rate", "0.05",
         "--schedule", "linear", "--subsample", "1e-2", "--epochs", "8")  # fmt: skip
LONG = (*LEARN, "--epochs", "15", "--negatives", "20", "--dimension", "100",
        "--merge-every", "500", "--checkpoint-seconds", "0.05")  # fmt: skip


@pytest.fixture(scope="module")
def mpirun() -> str:
    pytest.importorskip("mpi4py", reason="mpi4py is not installed")
    beside = Path(sys.executable).parent / "mpirun"
    found = str(beside) if beside.exists() else shutil.which("mpirun")
    if found is None:
        pytest.skip("there is no mpirun: `pip install mpich` brings one")
    return found


def start(mpirun: str, processes: int, *words: object) -> list[str]:
    command = [mpirun, "-n", processes, sys.executable, "-m", "cbow", "train", *words]
    return [str(word) for word in command]


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    # The names beginning with OMPI and PRTE let Open MPI start more processes than cores, and as root.
    return subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=300, env=permissive()
    )


def permissive() -> dict[str, str]:
    return {
        **os.environ,
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "OMPI_MCA_rmaps_base_oversubscribe": "1",
        "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    }


def vectors(out: Path) -> bytes:
    return WordVectors.load(out / "vectors.safetensors").matrix.tobytes()


def losses(out: Path) -> list[float]:
    lines = (out / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line)["train_loss"] for line in lines]


@pytest.fixture(scope="module")
def two(mpirun: str, sample_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run of two processes that nobody stopped."""
    out = tmp_path_factory.mktemp("two") / "run"
    done = run(start(mpirun, 2, "--data", sample_folder, *LONG, "--out", out))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("The run is in") == 1  # one of them speaks
    return out


def test_two_processes_learn_and_one_writes(two: Path) -> None:
    summary = json.loads((two / "summary.json").read_text())
    assert summary["processes"] == 2
    assert summary["device"] == "CPU, 2 processes of 1 thread"
    assert summary["metrics"]["recall_at_40"] > 0.8
    assert len(losses(two)) == 15
    log = (two / "log.txt").read_text().splitlines()
    assert len(log) == len(set(log))
    assert "mpirun -n 2 cbow train --config" in (two / "report.html").read_text()


def test_two_processes_give_the_same_bits_again(
    two: Path, mpirun: str, sample_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "again"
    assert run(start(mpirun, 2, "--config", two / "config.yaml", "--out", out)).returncode == 0
    assert vectors(out) == vectors(two)
    assert losses(out) == pytest.approx(losses(two), rel=1e-9)  # sums are cut where it is saved


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=str)
def test_two_processes_stopped_and_resumed_are_bit_identical(
    number: signal.Signals, two: Path, mpirun: str, sample_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    command = start(mpirun, 2, "--data", sample_folder, *LONG, "--out", out, "--resume")
    process = subprocess.Popen(command, stdout=-1, stderr=-1, text=True, env=permissive())
    deadline = time.monotonic() + 120
    while len(list(out.glob("checkpoints/step-*"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(number)
    _, error = process.communicate(timeout=120)
    assert process.returncode != 0
    if number == signal.SIGINT:
        assert f"Go on with: mpirun -n 2 cbow train --out {out} --resume" in error
    assert not (out / "summary.json").exists()
    wait_until_free(out)

    alone = run([sys.executable, "-m", "cbow", "train", "--out", str(out), "--resume"])
    assert alone.returncode == 2
    assert "was trained by 2 process(es), and now there are 1" in alone.stderr
    assert alone.stderr.count("\n") == 1

    done = run([*command, "--quiet"])
    assert done.returncode == 0, done.stderr
    assert vectors(out) == vectors(two)
    assert losses(out) == pytest.approx(losses(two), rel=1e-9)


def wait_until_free(out: Path) -> None:
    """Wait until the processes of a killed mpirun have given up the run's lock."""
    import fcntl

    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with (out / ".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except OSError:
                time.sleep(0.05)
    raise AssertionError("a process goes on")


def test_settings_missing_on_one_machine_end_all_processes(
    mpirun: str, sample_folder: Path, tmp_path: Path
) -> None:
    words = ("--data", sample_folder, "--out", tmp_path / "run", "--quiet")
    command = [*start(mpirun, 1, *words), ":"]
    command += start(mpirun, 1, *words, "--config", tmp_path / "missing.yaml")[1:]
    done = run(command)
    assert done.returncode != 0
    assert "missing.yaml" in done.stderr


def test_mpirun_with_one_process_is_bit_identical_to_none(
    mpirun: str, sample_folder: Path, tmp_path: Path
) -> None:
    words = ("--data", sample_folder, *LEARN, "--quiet")
    assert run(start(mpirun, 1, *words, "--out", tmp_path / "with")).returncode == 0
    plain = start(mpirun, 1, *words, "--out", tmp_path / "without")[3:]
    assert run(plain).returncode == 0
    assert vectors(tmp_path / "with") == vectors(tmp_path / "without")


def test_minutes_and_twin_work_with_two_processes(
    mpirun: str, sample_folder: Path, tmp_path: Path
) -> None:
    words = (*LEARN, "--subword-max", 4, "--positions", "--vectors", "joined", "--twin")
    at = words.index("--epochs")
    words = (*words[:at], *words[at + 2 :], "--minutes", "1.5")
    command = start(mpirun, 2, "--data", sample_folder, *words)
    done = run([*command, "--out", str(tmp_path / "run")])
    assert done.returncode == 0, done.stderr
    records = [json.loads(x) for x in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert {record["model"] for record in records} == {0, 1}


FAILING = """
import sys
import cbow.processes.replicas
from cbow.cli import main

setattr(cbow.processes.replicas, sys.argv.pop(1), None)  # its call raises
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("rank", "function"),
    [(0, "_row_bounds"), (0, "stretch_end"), (1, "stretch_end")],
    ids=["first, as replicas are made", "first, in training", "second, in training"],
)
def test_process_that_fails_takes_the_others_with_it(
    rank: int, function: str, mpirun: str, sample_folder: Path, tmp_path: Path
) -> None:
    words = ["train", "--data", str(sample_folder), *LEARN, "--out", str(tmp_path / "run")]
    sound = ["-n", "1", sys.executable, "-m", "cbow", *words]
    failing = ["-n", "1", sys.executable, "-c", FAILING, function, *words]
    first, second = (failing, sound) if rank == 0 else (sound, failing)
    done = run([mpirun, *first, ":", *second])  # it would wait for ever
    assert done.returncode != 0
    assert "'NoneType' object is not callable" in done.stderr
    assert not (tmp_path / "run" / "summary.json").exists()


def test_error_of_the_user_ends_both_processes_with_one_line(mpirun: str, tmp_path: Path) -> None:
    done = run(start(mpirun, 2, "--data", tmp_path / "nowhere", "--out", tmp_path / "run"))
    assert done.returncode == 2
    assert done.stderr.count("nowhere") == 1
