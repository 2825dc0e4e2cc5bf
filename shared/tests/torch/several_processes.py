"""What `test_torch_processes.py` runs under torchrun; the first process writes `results.json`."""

from __future__ import annotations

import contextlib
import faulthandler
import json
import sys
from pathlib import Path
from typing import Any

import torch
from toy_task import Killed, ToyConfig, everything, is_same, train

from shared.command.options import RunOptions
from shared.errors import UserError
from shared.interrupt import Interrupted
from shared.testing import records_of
from shared.torch.device import make_accelerator
from shared.torch.evaluation import Totals
from shared.torch.processes import buffers_of_first, of_all, start_run
from shared.torch.sampler import evaluation_shards

EQUAL = {"dropout": 0.0, "steps": 20, "device": "cpu", "log_every": 1}


def resumed_is_same(out: Path, **changes: Any) -> bool:
    config = ToyConfig(device="cpu", epochs=3, checkpoint_every=2, log_every=1, **changes)
    expected = everything(train(out / "whole", config))
    with contextlib.suppress(Killed):
        train(out / "killed", config, kill_at=9)
    again = everything(train(out / "killed", config, resume=True))
    is_log_same = not (out / "whole").exists() or records_of(out / "whole") == records_of(
        out / "killed"
    )
    return is_same(again, expected) and is_log_same


def stopped_step(out: Path) -> str:
    """The signal reaches only the second process."""
    config = ToyConfig(device="cpu", epochs=3, log_every=1)
    try:
        train(out, config, signal_at=4, signal_rank=1)
    except Interrupted as interrupted:
        return str(interrupted)
    return "not stopped"


def refusal(out: Path) -> str:
    accelerator = make_accelerator(ToyConfig(device="cpu"))
    try:
        start_run(accelerator, "toy", ToyConfig(), RunOptions(out=str(out)))
    except UserError as error:
        return str(error)
    return "not refused"


def evaluated(count: int) -> list[float]:
    accelerator = make_accelerator(ToyConfig(device="cpu"))
    totals = Totals()
    for shard in evaluation_shards(
        count, accelerator.process_index, accelerator.num_processes, batch_size=2
    ):
        totals.add("index", float(shard.indices.sum()), len(shard.indices))
    return list(totals.sums(accelerator).get("index", (0.0, 0.0)))


def statistics_of_batch_norm() -> list[float]:
    accelerator = make_accelerator(ToyConfig(device="cpu"))
    norm = torch.nn.BatchNorm1d(1)
    assert norm.running_mean is not None
    norm.running_mean.fill_(3.0 + accelerator.process_index)
    buffers_of_first(accelerator, norm)
    return of_all(accelerator, float(norm.running_mean))


def sparse(model: torch.nn.Module) -> list[torch.optim.Optimizer]:
    """Untie the embedding and give it sparse gradients, as large vocabularies have."""
    model.words.weight = torch.nn.Parameter(model.words.weight.detach().clone())
    model.embedding.sparse = True
    rest = [p for n, p in model.named_parameters() if not n.startswith("embedding")]
    return [
        torch.optim.SparseAdam(list(model.embedding.parameters()), lr=0.05),
        torch.optim.AdamW(rest, lr=0.01),
    ]


def dropout_in_training(out: Path) -> list[list[bool]]:
    """Return which of 64 features each process drops in its first update."""
    accelerator, met = make_accelerator(ToyConfig(device="cpu")), []

    def noting(model: torch.nn.Module) -> list[torch.optim.Optimizer]:
        def hook(module: torch.nn.Module, inputs: tuple, output: torch.Tensor) -> None:
            if module.training:
                met[:] = [(torch.nn.functional.dropout(torch.ones(64), 0.5) == 0).tolist()]

        model.dropout.register_forward_hook(hook)
        return [torch.optim.SGD(model.parameters(), lr=0.1)]

    train(out, ToyConfig(device="cpu", steps=1), make_optimizers=noting)
    return of_all(accelerator, met[0])


def three(out: Path) -> dict[str, Any]:
    """Sums of three terms round differently in another order: what two processes cannot show."""
    train(out / "sparse", ToyConfig(**EQUAL, clip_norm=1.0), make_optimizers=sparse)
    return {
        "resumed": resumed_is_same(out / "resumed"),
        "dropout": dropout_in_training(out / "dropout"),
    }


def main(out: Path) -> None:
    faulthandler.dump_traceback_later(
        150, exit=True
    )  # processes that wait for each other for ever say where
    torch.set_num_threads(1)
    accelerator = make_accelerator(ToyConfig(device="cpu"))
    results: dict[str, Any] = {"processes": accelerator.num_processes}
    results |= two(out) if accelerator.num_processes == 2 else three(out)
    # Every process' own view, to be compared by the first one.
    from accelerate.utils import gather_object

    everyone = gather_object([json.dumps(results)])
    results["agree"] = len(set(everyone)) == 1
    if accelerator.is_main_process:
        (out / "results.json").write_text(json.dumps(results))


def two(out: Path) -> dict[str, Any]:
    results: dict[str, Any] = {}
    train(out / "equal", ToyConfig(**EQUAL))
    train(
        out / "equal_shuffled", ToyConfig(**EQUAL, by_length=False, accumulation=2, clip_norm=0.5)
    )
    results["statistics"] = statistics_of_batch_norm()
    results["resumed"] = {
        "float32": resumed_is_same(out / "float32"),
        "bf16": resumed_is_same(out / "bf16", precision="bf16"),
        "workers": resumed_is_same(out / "workers", workers=2, accumulation=2, ema_decay=0.9),
    }
    results["stopped"] = stopped_step(out / "stopped")
    results["refused"] = refusal(out / "equal")
    results["evaluated"] = {str(count): evaluated(count) for count in (0, 1, 2, 7, 10)}
    minutes = train(out / "minutes", ToyConfig(device="cpu", minutes=0.01, log_every=1))
    results["planned"] = minutes.outcome.steps
    return results


if __name__ == "__main__":
    main(Path(sys.argv[1]))
