from __future__ import annotations

from importlib.util import find_spec

# Without the `torch` extra there is nothing to test here. This very folder is found as "torch" then, but has no file.
_torch = find_spec("torch")
if _torch is None or _torch.origin is None:
    collect_ignore_glob = ["test_*.py"]
else:
    # First: it sets how OpenMP's threads wait, which torch reads when it is loaded.
    import shared.torch  # noqa: F401, I001
    import torch
    from hypothesis import settings

    # The first call of anything in torch can take a second.
    settings.register_profile("torch", deadline=None)
    settings.load_profile("torch")
    # The models here are so small that more threads only wait for one another.
    torch.set_num_threads(1)
