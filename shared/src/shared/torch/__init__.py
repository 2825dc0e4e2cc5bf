"""What the torch packages share: loop, data order, checkpoints, schedules, masks, evaluation.

Importing this package costs nothing; each module below imports torch itself. `config`, `schedule`, `plan` and
`position` do without, so that a command's `--help` stays fast.
"""

from __future__ import annotations

from importlib.util import find_spec

from shared.openmp import let_waiting_threads_sleep

_torch = find_spec("torch")
# A folder that happens to be called `torch` on the path has a specification too, but no file.
if _torch is None or _torch.origin is None:
    from shared.extras import install_command

    raise ModuleNotFoundError(
        "shared.torch needs torch, not installed. Run: "
        + install_command("dltasks-shared", "torch"),
        name="torch",
    )

# For those who train from Python; commands have done it before.
let_waiting_threads_sleep()
