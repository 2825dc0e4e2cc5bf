from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import pytest
from trainings import TASKS, Training, write_sample

# The suite needs all packages in one environment, which `make reliability` makes.
if any(find_spec(task) is None for task in TASKS):
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="session", autouse=True)
def surroundings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what the machine has (data, caches, proxies) out of it; a process that forks has one thread."""
    folder = tmp_path_factory.mktemp("surroundings")
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
            patch.delenv(name)
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            patch.setenv(name, "1")
        for name in ("DLTASKS_DATA", "XDG_CACHE_HOME", "NUMBA_CACHE_DIR", "MPLCONFIGDIR"):
            patch.setenv(name, str(folder / name))
        yield


@pytest.fixture(scope="session")
def attempts_at(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Training], Any]:
    """Return a function: training -> the attempts at it, the same each time."""
    from attempts import Attempts

    folder = tmp_path_factory.mktemp("runs")
    made: dict[str, Attempts] = {}

    def attempts_at(training: Training) -> Attempts:
        if training.name not in made:
            sample = folder / f"sample of {training.task}"
            if not sample.exists():
                write_sample(training.task, sample)
            made[training.name] = Attempts(training, sample, folder / training.name)
        return made[training.name]

    return attempts_at


@pytest.fixture
def attempts(request: pytest.FixtureRequest, attempts_at: Callable[[Training], Any]) -> Any:
    """Return the attempts at one training."""
    return attempts_at(request.param)
