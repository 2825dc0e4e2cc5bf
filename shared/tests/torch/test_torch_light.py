from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

import shared


def run(code: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


def test_torch_free_modules_do_not_load_torch():
    folder = Path(shared.__file__).parent
    names = [f"shared.{path.stem}" for path in folder.glob("*.py") if path.stem != "__init__"]
    names += [f"shared.torch.{name}" for name in ("config", "schedule", "plan", "position")]
    code = (
        f"import importlib, sys\nfor name in {['shared', *sorted(names)]}: importlib.import_module(name)\n"
        "print([m for m in sys.modules if m == 'torch' or m.startswith('torch.')])"
    )
    done = run(code)
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.parametrize("has_folder", [False, True])
def test_without_torch_the_error_says_what_to_install(has_folder, tmp_path):
    if has_folder:
        (tmp_path / "torch").mkdir()  # found by Python as a package without a file
    code = (
        "import sys, importlib.machinery as m\n"
        f"sys.path.insert(0, {str(tmp_path)!r})\n"
        "find = m.PathFinder.find_spec\n"
        "m.PathFinder.find_spec = classmethod(lambda c, n, p=None, t=None:"
        f" find(n, [{str(tmp_path)!r}]) if n == 'torch' else find(n, p, t))\n"
        "import shared\nimport shared.torch"
    )
    done = run(code)
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ModuleNotFoundError: ")
    assert (
        "shared.torch needs torch, not installed. Run: pip install" in last
        and "torch" in last.split("install", 2)[2]
    )


needs_torchvision = pytest.mark.skipif(
    importlib.util.find_spec("torchvision") is None, reason="torchvision is not installed"
)


@needs_torchvision
def test_guarded_torchvision_imports_and_its_models_run():
    done = run(
        "from shared.torch.torchvision_guard import make_torchvision_importable as make\n"
        "assert make() and make()\n"
        "import torch, torchvision\n"
        "assert make()\n"
        "model = torchvision.models.resnet18(num_classes=3).eval()\n"
        "print(tuple(model(torch.zeros(1, 3, 32, 32)).shape))"
    )
    assert done.stdout.strip() == "(1, 3)", done.stderr


def test_guard_does_nothing_where_torchvision_is_fine_or_absent(monkeypatch, tmp_path):
    from shared.torch import torchvision_guard as guard

    monkeypatch.setattr(guard, "find_spec", lambda name: None)
    assert guard.make_torchvision_importable() is False
    package = importlib.util.spec_from_loader("torchvision", None, is_package=True)
    package.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr(guard, "find_spec", lambda name: package)
    monkeypatch.setattr(guard, "_has_own_operators", lambda folder: True)
    monkeypatch.setattr(guard, "_declared", [])
    assert guard.make_torchvision_importable() is True
    assert guard._declared == []
