"""Training speed on one device: waiting for data, transforms and computation apart, after some steps of warm-up.

`python -m resnet_tiny.commands.devices` under torchrun times several processes; `bench` starts it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch

from resnet_tiny.config import TrainConfig
from resnet_tiny.data.dataset import Images, TrainBatches, load_images
from resnet_tiny.model.loss import BatchLoss
from resnet_tiny.model.resnet import model_of
from resnet_tiny.model.small_maps import use_small_maps
from resnet_tiny.train import make_optimizers
from shared.command import config as configuration
from shared.errors import UserError
from shared.torch.device import has_bf16, make_accelerator, to_device
from shared.torch.gradients import scale_and_clip
from shared.torch.sampler import Loader, Shard, Shuffled

WARM_UP = 2


@dataclass(frozen=True)
class Setup:
    """Where and how to compute.

    Parameters
    ----------
    device : {"cpu", "cuda", "mps"}
    precision : {"float32", "bf16"}
    threads : int
        Of each process, on a CPU; 0: as torch chooses.
    processes : int
    """

    device: Literal["cpu", "cuda", "mps"]
    precision: Literal["float32", "bf16"]
    threads: int = 0
    processes: int = 1

    @property
    def name(self) -> str:
        """Return the name for people: `CPU, 2 threads`."""
        if self.device != "cpu":
            name = torch.cuda.get_device_name(0) if self.device == "cuda" else "Apple GPU"
            return f"{self.processes} x {name}" if self.processes > 1 else name
        threads = f"CPU, {self.threads} thread{'s' * (self.threads != 1)}"
        return f"{threads} x {self.processes} processes" if self.processes > 1 else threads


@dataclass(frozen=True)
class Timing:
    """Seconds of one step, by what they are spent on.

    Parameters
    ----------
    wait, transform, compute : float
        Waiting for the batch; crops, flips, normalization; forward, backward and update.
    images : int
        Images of a step, over all processes.
    """

    wait: float
    transform: float
    compute: float
    images: int

    @property
    def step(self) -> float:
        """Seconds of a step in all."""
        return self.wait + self.transform + self.compute

    @property
    def images_per_second(self) -> float:
        """Images per second, data included."""
        return self.images / self.step


def setups(threads: tuple[int, ...]) -> list[Setup]:
    """Return the setups of this machine: CPU threads, one GPU, all GPUs; in float32 and, if possible, bf16."""
    available = []
    for count in threads:
        available.append(Setup("cpu", "float32", threads=count))
        if has_bf16(torch.device("cpu")):
            available.append(Setup("cpu", "bf16", threads=count))
    if torch.cuda.is_available():
        has_half = has_bf16(torch.device("cuda"))
        available.append(Setup("cuda", "float32"))
        available += [Setup("cuda", "bf16")] if has_half else []
        if (count := torch.cuda.device_count()) > 1:
            available.append(Setup("cuda", "bf16" if has_half else "float32", processes=count))
    if torch.backends.mps.is_available():
        available.append(Setup("mps", "float32"))
    return available


def time_setup(config: TrainConfig, images: Images, setup: Setup, steps: int) -> Timing:
    """Time training steps.

    Parameters
    ----------
    config : TrainConfig
        Model, batch, transforms; its `sizes` are not used, images have `image_size` throughout.
    images : Images
    setup : Setup
        With more than one process, torchrun is started.
    steps : int
        Timed steps; `WARM_UP` more go before them.

    Raises
    ------
    UserError
        The processes failed.
    """
    config = replace(
        config,
        device=setup.device,
        precision=setup.precision,
        threads=setup.threads,
        sizes=(),
        size_fractions=(),
    )
    if setup.processes == 1:
        return _timed(config, images, steps)
    config = replace(config, data=str(images.root))
    with tempfile.TemporaryDirectory(prefix="resnet-tiny-bench-") as folder:
        (Path(folder) / "config.yaml").write_text(configuration.dump(config), encoding="utf-8")
        words = [
            "-m",
            "torch.distributed.run",
            "--standalone",
            "--nproc-per-node",
            str(setup.processes),
        ]
        words += ["-m", "resnet_tiny.commands.devices", folder, str(steps)]
        done = subprocess.run([sys.executable, *words], check=False, capture_output=True, text=True)
        try:
            return Timing(**json.loads((Path(folder) / "timing.json").read_text(encoding="utf-8")))
        except OSError:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise UserError(f"{setup.name}: the processes failed ({last}).") from None


def _timed(config: TrainConfig, images: Images, steps: int) -> Timing:
    accelerator = make_accelerator(
        config
    )  # on a CPU memory is kept from here on, by pytorch/examples too
    torch.manual_seed(config.seed)
    plain = use_small_maps(model_of(config, len(images.classes)))
    model, *optimizers = accelerator.prepare(plain, *make_optimizers(config, plain))
    loss_of = BatchLoss(config, lambda: 0.0)
    rank, world = accelerator.process_index, accelerator.num_processes
    order = Shuffled(len(images.train), config.batch_size, config.seed)
    shards: list[Shard] = []
    while len(shards) < steps + WARM_UP:
        epoch = shards[-1].epoch + 1 if shards else 0
        shards += [order.shard(epoch, step, rank, world) for step in range(order.steps(epoch))]
    shards = shards[: steps + WARM_UP]
    on_gpu = accelerator.device.type == "cuda"
    loader = Loader(
        TrainBatches(config, images), seed=config.seed, workers=config.workers, pin_memory=on_gpu
    )
    model.train()
    spent = [0.0, 0.0, 0.0]
    batches = loader(shards)
    for number in range(len(shards)):
        clock = [_now(accelerator.device)]
        batch = next(batches)
        clock.append(time.perf_counter())
        batch = to_device(batch, accelerator.device)
        prepared, own = loss_of.prepare(batch)
        clock.append(_now(accelerator.device))
        loss, count, _ = loss_of.of_images(model, prepared, own, batch)
        accelerator.backward(loss)
        scale_and_clip(
            model.parameters(), torch.tensor(1 / count, device=loss.device), config.clip_norm
        )
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        clock.append(_now(accelerator.device))
        if number >= WARM_UP:
            spent = [total + b - a for total, a, b in zip(spent, clock, clock[1:], strict=False)]
    batches.close()
    wait, transform, compute = (seconds / steps for seconds in spent)
    return Timing(wait, transform, compute, config.batch_size)


def _now(device: torch.device) -> float:
    """Wait until a device has finished its work, and return the time."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
    return time.perf_counter()


def main(folder: Path, steps: int) -> None:
    """Time steps as one of several processes; the first writes the timing."""
    config = configuration.load(TrainConfig, folder / "config.yaml")
    accelerator: Any = make_accelerator(config)
    timing = _timed(config, load_images(config, accelerator=accelerator), steps)
    if accelerator.is_main_process:
        (folder / "timing.json").write_text(json.dumps(asdict(timing)), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
