"""Imports point one way (commands, train, measure and predict, model, data, shared) and never back."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from import_graph import ROOT, circles, import_graph, imports, modules_below

PACKAGES = sorted(path.parent for path in ROOT.glob("packages/*/pyproject.toml"))
TASKS = {package.name for package in PACKAGES}
each_package = pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)

LAYERS = (
    {"__main__"},
    {"cli"},
    {"commands"},
    {"train", "train_linear", "train_network"},
    {"measure", "measures", "predict", "generate"},
    {"model"},
    {"data"},
    {"config"},
)
"""Files and folders of a package, from the one that may import all others to the one that may import none of them."""
RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}


def source_of(package: Path) -> dict[str, Path]:
    return modules_below(package / "src")


def test_no_files_import_each_other() -> None:
    graph = import_graph(modules_below(ROOT / "shared" / "src", *(p / "src" for p in PACKAGES)))
    assert {module.partition(".")[0] for module in graph} == TASKS | {"shared"}
    assert circles(graph) == []


@each_package
def test_nothing_but_the_table_of_verbs_knows_the_verbs(package: Path) -> None:
    """The text counts too: a name that is imported when it is needed is as much of an arrow."""
    commands = f"{package.name}.commands"
    wrong = []
    for module, path in source_of(package).items():
        if f"{module}.".startswith(f"{commands}.") or module == f"{package.name}.cli":
            continue
        homes = {home for home, _ in imports(path, module)}
        texts = {
            node.value
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        wrong += [
            f"{module} -> {name}"
            for name in sorted(homes | texts)
            if name.startswith(f"{commands}.") or name == commands
        ]
    assert not wrong, "\n".join(wrong)


@each_package
def test_lower_layers_do_not_import_higher_ones(package: Path) -> None:
    wrong = []
    for module, targets in import_graph(source_of(package)).items():
        for target in sorted(targets):
            above, below = (name.split(".")[1:2] or [""] for name in (module, target))
            if RANK.get(above[0], 0) > RANK.get(below[0], len(LAYERS)):
                wrong.append(f"{module} -> {target}")
    assert not wrong, "\n".join(wrong)


@each_package
def test_no_task_imports_another(package: Path) -> None:
    for module, path in source_of(package).items():
        names = {home.partition(".")[0] for home, _ in imports(path, module)}
        assert not names & (TASKS - {package.name}), path


def test_shared_imports_no_task_and_only_its_torch_folder_imports_torch() -> None:
    for module, path in modules_below(ROOT / "shared" / "src").items():
        names = {
            f"{home}.{name}" if home == "shared" else home for home, name in imports(path, module)
        }
        assert not {name.partition(".")[0] for name in names} & TASKS, path
        if not f"{module}.".startswith("shared.torch."):
            heavy = {name for name in names if f"{name}.".startswith(("torch.", "shared.torch."))}
            assert not heavy, path


def write(folder: Path, **files: str) -> dict[str, Path]:
    """Write a package `task` of these files (dots stand for folders) and return its modules."""
    for name, text in {"task": "", **files}.items():
        path = folder.joinpath(*name.split("__"))
        path = path / "__init__.py" if name == "task" else path.with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return modules_below(folder)


@pytest.mark.parametrize(
    "first, second",
    [
        ("import task.b", "import task.a"),
        ("from task import b", "from task.a import thing"),
        ("from . import b", "from .a import thing"),
        ("def late():\n    from task.b import thing", "import task.a"),
    ],
)
def test_circle_is_seen_however_it_is_written(first: str, second: str, tmp_path: Path) -> None:
    files = write(tmp_path, task__a=first, task__b=second, task__c="import task.a, task.b")
    assert circles(import_graph(files)) == [["task.a", "task.b"]]


def test_long_circle_is_seen_and_a_chain_is_none(tmp_path: Path) -> None:
    chain = {f"task__m{n}": f"import task.m{n + 1}" for n in range(30)}
    files = write(tmp_path, **chain, task__m30="")
    assert circles(import_graph(files)) == []
    files = write(tmp_path, **chain, task__m30="import task.m10")
    assert circles(import_graph(files)) == [sorted(f"task.m{n}" for n in range(10, 31))]
