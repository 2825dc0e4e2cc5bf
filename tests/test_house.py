"""All packages look alike: the same files, verbs and names; make, tox and the workflow know each of them."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from import_graph import ROOT, imports, modules_below

PACKAGES = sorted(path.parent for path in ROOT.glob("packages/*/pyproject.toml"))
each_package = pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)

FILES = (
    "pyproject.toml", "hatch_build.py", "README.md", "tests",
    "src/{0}/__init__.py", "src/{0}/__main__.py", "src/{0}/py.typed", "src/{0}/cli.py", "src/{0}/config.py",
    "src/{0}/model/__init__.py", "src/{0}/model/trained.py",
    "src/{0}/data/__init__.py", "src/{0}/data/dataset.py", "src/{0}/data/sample.py",
    "src/{0}/train.py",
    "src/{0}/commands/__init__.py", "src/{0}/commands/options.py", "src/{0}/commands/train.py",
    "src/{0}/commands/report.py", "src/{0}/recipes/baseline.yaml",
)  # fmt: skip
MEASURE = {"word_lm": "measures"}
"""Where a package measures; elsewhere in `measure.py`."""
VERBS = {"train", "evaluate", "export", "bench", "report", "app", "fetch", "sample"}
AT_FIRST_SIGHT = 14
"""Files and folders of a package, at the most, that a newcomer sees first."""


def verbs_of(package: Path) -> list[str]:
    """Return the names in a package's table of verbs."""
    tree = ast.parse((package / "src" / package.name / "cli.py").read_text(encoding="utf-8"))
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id == "Verb":
                names.append(ast.literal_eval(node.args[0]))
            elif node.func.id.endswith("_verb"):
                names.append(node.func.id.removesuffix("_verb"))
    return names


def option_fields(path: Path) -> Iterator[tuple[str, str, bool]]:
    """Yield the fields of the option classes in a file: (class, field, whether it is positional)."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef):
            for field in node.body:
                if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                    is_positional = field.value is not None and "positional(" in ast.unparse(
                        field.value
                    )
                    yield node.name, field.target.id, is_positional


@each_package
def test_package_has_the_files_that_every_package_has(package: Path) -> None:
    measure = MEASURE.get(package.name, "measure.py")
    names = [*(name.format(package.name) for name in FILES), f"src/{package.name}/{measure}"]
    assert [name for name in names if not (package / name).exists()] == []


@each_package
def test_package_is_taken_in_at_first_sight(package: Path) -> None:
    source = package / "src" / package.name
    names = {path.name for path in source.iterdir()} - {"__pycache__", "py.typed", "assignment"}
    assert len(names) <= AT_FIRST_SIGHT, sorted(names)


@each_package
def test_package_is_named_by_its_folder(package: Path) -> None:
    project = tomllib.loads((package / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    dashed = package.name.replace("_", "-")
    assert project["name"] == f"dltasks-{dashed}"
    assert project["scripts"] == {dashed: f"{package.name}.cli:main"}


@each_package
def test_every_verb_has_a_file_of_its_name(package: Path) -> None:
    verbs = verbs_of(package)
    assert set(verbs) >= VERBS
    assert len(verbs) == len(set(verbs))
    commands = package / "src" / package.name / "commands"
    for verb in verbs:
        path = commands / f"{verb.replace('-', '_')}.py"
        assert path.exists(), verb
        body = ast.parse(path.read_text(encoding="utf-8"))
        names = {node.name for node in ast.walk(body) if isinstance(node, ast.FunctionDef)}
        names |= {
            alias.asname or alias.name
            for node in body.body
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        assert "run" in names, path


@each_package
def test_train_config_is_alone_in_config(package: Path) -> None:
    """The other verbs' options are in `commands/options.py`, so that what a run saves is seen at a glance."""
    config = package / "src" / package.name / "config.py"
    classes = {name for name, _, _ in option_fields(config)}
    assert "TrainConfig" in classes
    assert not {name for name in classes if name.endswith("Options")}


def test_the_run_argument_is_called_run_in_every_verb() -> None:
    """`runs` where a verb takes several. A verb that asks for no run may begin with anything else."""
    wrong = []
    for path in ROOT.glob("**/options.py"):
        if "src" not in path.parts or ".tox" in path.parts or ".venv" in path.parts:
            continue
        text = path.read_text(encoding="utf-8")
        for name, field, is_positional in option_fields(path):
            documented = re.search(rf'    {field}: .*\n    """(.*)"""', text)
            is_run = documented is not None and re.match(r"(Run|Training) folder", documented[1])
            if is_positional and (field in ("model", "models") or is_run):
                wrong += [f"{path.relative_to(ROOT)}: {name}.{field}"] * (
                    field not in ("run", "runs")
                )
    assert not wrong, "\n".join(wrong)


def test_the_size_of_a_batch_is_called_batch_size_in_every_verb() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}: {name}.{field}"
        for pattern in ("packages/*/src/*/config.py", "packages/*/src/*/commands/options.py")
        for path in ROOT.glob(pattern)
        for name, field, _ in option_fields(path)
        if field == "batch" or re.fullmatch(r"batch_(images|pictures|reviews|pairs)", field)
    ]
    assert not wrong, "\n".join(wrong)


@each_package
def test_names_for_notebooks_are_where_the_package_looks_for_them(package: Path) -> None:
    source = package / "src"
    tree = ast.parse((source / package.name / "__init__.py").read_text(encoding="utf-8"))
    values = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    (homes,) = (value for value in values.values() if isinstance(value, dict))
    assert set(homes) <= set(values["__all__"]) <= {*homes, "load_run"}  # `load` under its old name
    assert "load" in homes
    for name, home in homes.items():
        # A module of that name would be found first, once anything has imported it.
        assert not (source / package.name / f"{name}.py").exists()
        folder = ROOT / "shared" / "src" if home.startswith("shared.") else source
        body = ast.parse((folder / home.replace(".", "/")).with_suffix(".py").read_text("utf-8"))
        defined = (ast.ClassDef, ast.FunctionDef)
        assert name in {node.name for node in body.body if isinstance(node, defined)}


def test_nothing_is_unpickled() -> None:
    for module, path in modules_below(
        *ROOT.glob("shared/src"), *ROOT.glob("packages/*/src")
    ).items():
        text = path.read_text(encoding="utf-8")
        names = {home.partition(".")[0] for home, _ in imports(path, module)}
        assert not {"cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"} & names, path
        # Its name may stand in an `except` clause: what weights_only=True raises.
        assert not re.findall(
            r"pickle\.(?!UnpicklingError)\w+|from pickle|allow_pickle=True", text
        ), path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
                assert "weights_only=True" in ast.unparse(node), f"{path}:{node.lineno}"


@pytest.mark.parametrize("name", ["utils", "helpers", "common", "misc"])
def test_no_file_is_named_by_nothing(name: str) -> None:
    assert not list(ROOT.glob(f"shared/src/**/{name}.py")) + list(
        ROOT.glob(f"packages/*/src/**/{name}.py")
    )


def test_makefile_and_tox_know_every_package() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (tasks,) = re.findall(r"^TASKS := (.*)$", makefile, re.MULTILINE)
    assert sorted(tasks.split()) == [package.name for package in PACKAGES]
    tox = (ROOT / "tox.ini").read_text(encoding="utf-8")
    for package in PACKAGES:
        assert f"{package.name}: {{tox_root}}/packages/{package.name}\n" in tox
        assert f"recipe_{package.name} :=" in makefile.lower()


def test_workflows_run_every_environment_of_tox() -> None:
    tox = (ROOT / "tox.ini").read_text(encoding="utf-8")
    (listed,) = re.findall(r"^env_list =\n((?: +.*\n)+)", tox, re.MULTILINE)
    names = [line.strip() for line in listed.splitlines() if not line.strip().startswith("#")]
    names += re.findall(r"^\[testenv:(\w+)\]", tox, re.MULTILINE)
    workflows = (ROOT / ".github" / "workflows").glob("*.yml")
    text = "\n".join(path.read_text(encoding="utf-8") for path in workflows)
    for name in names:
        for bare in re.findall(r"\w+", re.sub(r"^py[^-]*-", "", name)):
            assert re.search(rf"\b{bare}\b", text), name


def test_make_help_lists_every_target_of_the_readme() -> None:
    done = subprocess.run(
        ["make", "--silent", "help"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    listed = set(re.findall(r"make ([a-z_-]+)", done.stdout))
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert {"demo", "test"} <= listed
    assert set(re.findall(r"(?:^|`)make ([a-z_-]+)", readme, re.MULTILINE)) <= listed | {"help"}


def test_no_message_asks_a_package_index_for_our_packages() -> None:
    # They are installed from a checkout or from git: no index knows them; `shared.extras` says where from.
    sources = modules_below(*ROOT.glob("shared/src"), *ROOT.glob("packages/*/src")).values()
    asking = re.compile(r"""pip install ["']?dltasks-""")
    assert not [path for path in sources if asking.search(path.read_text(encoding="utf-8"))]
