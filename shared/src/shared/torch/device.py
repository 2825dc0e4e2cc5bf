"""Where and how to compute: device, precision, algorithms, threads, seeds, and the Accelerator made of them."""

from __future__ import annotations

import atexit
import os
import random
import shutil
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from shared.errors import UserError
from shared.random_streams import seed_sequence
from shared.torch.config import LoopConfig
from shared.torch.cpu import keep_freed_memory

_SIZES = ("WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE")
"""Variables of torchrun and of mpirun that hold the number of processes; accelerate looks at all of them."""


def make_accelerator(config: LoopConfig) -> Any:
    """Return the `accelerate.Accelerator` of this process, with device, precision and threads as configured.

    Under `torchrun` or `accelerate launch` it joins the group of processes (gloo on CPUs, nccl on GPUs). On a CPU the
    process keeps the memory that it frees from here on (`shared.torch.cpu.keep_freed_memory`).

    Raises
    ------
    UserError
        The device is not there or does not have the precision, or processes were started that cannot find each other.
    """
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    processes = require_address()
    device = choose_device(config.device)
    precision = choose_precision(config.precision, device)
    if config.threads:
        torch.set_num_threads(config.threads)
    if device.type == "cpu":
        keep_freed_memory()
    if device.type == "cuda":
        choose_algorithms(deterministic=config.deterministic)
    # accelerate keeps the first precision (and, of one process, the first device) for the life of the process.
    AcceleratorState._reset_state(reset_partial_state=processes == 1)
    accelerator = Accelerator(
        cpu=device.type == "cpu",
        mixed_precision="bf16" if precision == "bf16" else "no",
    )
    atexit.unregister(_leave_processes)
    atexit.register(_leave_processes)
    return accelerator


def require_address(environment: Mapping[str, str] = os.environ) -> int:
    """Return the number of processes that the environment speaks of, 1 without such a variable.

    Raises
    ------
    UserError
        There are several, and not all that is needed for them to find each other.
    """
    name = next((name for name in _SIZES if environment.get(name, "1") != "1"), None)
    if name is None:
        return 1
    if not environment[name].isdecimal():
        raise UserError(
            f"{name} is {environment[name]!r}. Expected a whole number of processes, or unset it."
        )
    missing = [
        n for n in ("MASTER_ADDR", "MASTER_PORT", "RANK", "WORLD_SIZE") if n not in environment
    ]
    if missing:
        raise UserError(
            f"{name} is {environment[name]}, but not set: {', '.join(missing)}. So processes cannot find each other. "
            f"Start them with `torchrun --nproc-per-node {environment[name]} -m PACKAGE train ...` (PACKAGE: "
            f"word_lm, for example), or unset {name}."
        )
    return int(environment["WORLD_SIZE"])


def choose_algorithms(*, deterministic: bool) -> None:
    """Choose how GPUs compute: the fastest way, or one whose results are the same bits every time.

    Parameters
    ----------
    deterministic : bool
        True: no algorithm that adds up in the order in which threads come by, and none that was chosen by timing.
        False: cuDNN tries algorithms for each shape that it meets, and float32 products use TF32 tensor cores.
    """
    # cuBLAS reads it when it is first used; without a workspace of its own, results depend on other streams.
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(deterministic)
    torch.backends.cudnn.benchmark = not deterministic
    torch.set_float32_matmul_precision("highest" if deterministic else "high")


def _leave_processes() -> None:
    """Leave the group of processes, if this one is in a group. Nothing else may do so, for it would not wait."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        # gloo's thread frees the tensors of the last collective, which it can't do without the interpreter: a process
        # that shuts its interpreter down meanwhile is aborted, and torchrun takes all others down with it. The end of
        # the group joins that thread, but DistributedDataParallel keeps a reference to the group for good.
        time.sleep(0.25)
        torch.distributed.destroy_process_group()


def choose_device(name: str) -> torch.device:
    """Return the device called `cpu`, `cuda` or `mps`; `auto` takes a GPU if there is one.

    Raises
    ------
    UserError
        It is not there.
    """
    has = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, is_there in has.items() if is_there))
    if name not in has:
        raise UserError(f"--device is {name}, expected auto, {', '.join(has)}.")
    if not has[name]:
        there = ", ".join(kind for kind, is_there in has.items() if is_there)
        raise UserError(f"--device is {name}, but torch {torch.__version__} sees only: {there}.")
    return torch.device(name)


def choose_precision(name: str, device: torch.device) -> str:
    """Return `float32` or `bf16`; `auto` takes bf16 where the hardware computes in it.

    Raises
    ------
    UserError
        fp16 is asked for, or bf16 on a GPU without it.
    """
    if name == "auto":
        return "bf16" if has_bf16(device) else "float32"
    if name == "fp16":
        why = (
            "torch's LSTM cannot compute with on a CPU"
            if device.type == "cpu"
            else "needs loss scaling, which is not built in"
        )
        raise UserError(f"--precision is fp16, which {why}. Take bf16 or float32.")
    if name == "bf16" and device.type == "cuda" and not has_bf16(device):
        raise UserError("--precision is bf16, which this GPU does not have. Take float32.")
    return name


def has_bf16(device: torch.device) -> bool:
    """Whether the hardware computes in bfloat16, rather than emulating it."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu":
        return False
    # Private names of torch.cpu, absent in some versions.
    checks = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    return any(getattr(torch.cpu, name, lambda: False)() for name in checks)


def recurrent_dtype(inputs: torch.Tensor) -> torch.dtype:
    """Return the number format to run a recurrent kernel in, outside autocast.

    Autocast's, since its own wrapper of cuDNN's recurrent layers casts to float16 whatever format was asked for; but
    float32 on a CPU without bfloat16 instructions, where oneDNN cannot train a bfloat16 LSTM.
    """
    kind = inputs.device.type
    if not torch.is_autocast_enabled(kind):
        return inputs.dtype
    is_emulated = kind == "cpu" and not has_bf16(inputs.device)
    return torch.float32 if is_emulated else torch.get_autocast_dtype(kind)


def require_compiler(device: torch.device) -> None:
    """Refuse `--compile` where torch.compile would fail in its first step.

    Raises
    ------
    UserError
        On a CPU torch.compile writes C++, and there is no compiler.
    """
    names = [os.environ.get("CXX"), "g++", "clang++", "cl"]
    if device.type == "cpu" and not any(name and shutil.which(name) for name in names):
        raise UserError(
            "--compile on a CPU needs a C++ compiler (g++ or clang++), and there is none. Install one or leave it out."
        )


def to_device(batch: Any, device: torch.device) -> Any:
    """Return a batch (dicts, tuples, lists) with its tensors on a device; numpy arrays and plain values stay."""
    from accelerate.utils import send_to_device

    return send_to_device(batch, device, non_blocking=True)


def seed_everything(seed: int, *key: int) -> None:
    """Seed the global generators of Python, numpy and torch (every device).

    Our own code has generators for itself; dropout and other people's code draw from these.

    Parameters
    ----------
    seed : int
        >= 0.
    *key : int
        Which stream of that seed, see `shared.random_streams`; none: that of the initial weights.
    """
    words = [int(word) for word in seed_sequence(seed, *key).generate_state(3)]
    random.seed(words[0])
    np.random.seed(words[1])
    torch.manual_seed(words[2])


def random_states() -> dict[str, Any]:
    """Return the states of the global generators as tensors and plain values, which load without unpickling."""
    version, words, gauss = random.getstate()
    kind, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    states: dict[str, Any] = {
        "python": [version, list(words), gauss],
        "numpy": [
            kind,
            torch.from_numpy(np.asarray(keys).astype(np.int64)),
            position,
            has_gauss,
            cached,
        ],
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state()
    if torch.backends.mps.is_available():
        states["mps"] = torch.mps.get_rng_state()
    return states


def set_random_states(states: dict[str, Any]) -> None:
    """Restore what `random_states` returned."""
    version, words, gauss = states["python"]
    random.setstate((version, tuple(words), gauss))
    kind, keys, position, has_gauss, cached = states["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), position, has_gauss, cached))
    torch.set_rng_state(states["torch"])
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"])
    if "mps" in states and torch.backends.mps.is_available():
        torch.mps.set_rng_state(states["mps"])
