"""All packages look alike, keep the arrows, and the documents name what exists."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = sorted(path.parent for path in ROOT.glob("packages/*/pyproject.toml"))
each_package = pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)

FILES = (
    "pyproject.toml", "hatch_build.py", "README.md", "tests",
    "src/{0}/__init__.py", "src/{0}/__main__.py", "src/{0}/cli.py", "src/{0}/config.py", "src/{0}/data.py",
    "src/{0}/sample.py", "src/{0}/model.py", "src/{0}/train.py", "src/{0}/evaluate.py", "src/{0}/report.py",
    "src/{0}/bench.py", "src/{0}/py.typed", "src/{0}/recipes/baseline.yaml",
)  # fmt: skip
VERBS = {"train", "evaluate", "export", "bench", "report", "fetch", "sample"}


def source_files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*.py") if ".tox" not in path.parts]


def imported(path: Path) -> set[str]:
    """Return the first names of all modules that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module)
    return found


@each_package
def test_package_has_the_files_that_every_package_has(package: Path) -> None:
    missing = [
        name for name in (f.format(package.name) for f in FILES) if not (package / name).exists()
    ]
    assert not missing


@each_package
def test_package_is_named_by_its_folder(package: Path) -> None:
    project = tomllib.loads((package / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    dashed = package.name.replace("_", "-")
    assert project["name"] == f"dltasks-{dashed}"
    assert project["scripts"] == {dashed: f"{package.name}.cli:main"}


@each_package
def test_command_has_the_verbs_that_every_command_has(package: Path) -> None:
    text = (package / "src" / package.name / "cli.py").read_text(encoding="utf-8")
    own = set(re.findall(r'Verb\(\s*"([a-z-]+)"', text))
    assert own | set(re.findall(r"^    (\w+)_verb\(", text, re.MULTILINE)) >= VERBS


@each_package
def test_names_for_notebooks_are_where_the_package_looks_for_them(package: Path) -> None:
    source = package / "src"
    tree = ast.parse((source / package.name / "__init__.py").read_text(encoding="utf-8"))
    values = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    homes: dict[str, str] = values["_HOMES"]
    assert sorted(homes) == values["__all__"]
    for name, home in homes.items():
        # A module of that name would be found first, once anything has imported it.
        assert not (source / package.name / f"{name}.py").exists()
        folder = ROOT / "shared" / "src" if home.startswith("shared.") else source
        body = ast.parse((folder / home.replace(".", "/")).with_suffix(".py").read_text("utf-8"))
        defined = (ast.ClassDef, ast.FunctionDef)
        assert name in {node.name for node in body.body if isinstance(node, defined)}


def test_arrows_point_one_way() -> None:
    tasks = {package.name for package in PACKAGES}
    for package in PACKAGES:
        for path in source_files(package / "src"):
            firsts = {name.partition(".")[0] for name in imported(path)}
            assert not firsts & (tasks - {package.name}), path
    for path in source_files(ROOT / "shared" / "src"):
        names = imported(path)
        assert not {name.partition(".")[0] for name in names} & tasks, path
        if "torch" not in path.relative_to(ROOT / "shared" / "src").parts:
            heavy = {name for name in names if f"{name}.".startswith(("torch.", "shared.torch."))}
            assert not heavy, path


def test_nothing_is_unpickled() -> None:
    for path in source_files(ROOT / "shared" / "src") + source_files(ROOT / "packages"):
        if "tests" in path.parts:
            continue
        text = path.read_text(encoding="utf-8")
        assert not {"cPickle", "dill", "joblib"} & imported(path), path
        # Its name may stand in an `except` clause: what weights_only=True raises.
        assert not re.findall(
            r"pickle\.(?!UnpicklingError)\w+|from pickle|allow_pickle=True", text
        ), path
        for call in re.findall(r"torch\.load\([^)]*\)", text):
            assert "weights_only=True" in call, path


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


def test_workflow_runs_every_environment_of_tox() -> None:
    tox = (ROOT / "tox.ini").read_text(encoding="utf-8")
    (listed,) = re.findall(r"^env_list =\n((?: +.*\n)+)", tox, re.MULTILINE)
    names = [line.strip() for line in listed.splitlines() if not line.strip().startswith("#")]
    workflow = (ROOT / ".github" / "workflows" / "test.yml").read_text(encoding="utf-8")
    for name in names:
        bare = re.sub(r"^py[^-]*-", "", name)
        assert re.search(rf"(?<![\w]){bare}(?![\w])", workflow), name


def test_make_help_lists_every_target_of_the_readme() -> None:
    done = subprocess.run(
        ["make", "--silent", "help"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    listed = set(re.findall(r"make ([a-z_-]+)", done.stdout))
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert {"demo", "test"} <= listed
    assert set(re.findall(r"(?:^|`)make ([a-z_-]+)", readme, re.MULTILINE)) <= listed | {"help"}


def test_links_in_the_documents_lead_somewhere() -> None:
    for path in [
        *ROOT.glob("*.md"),
        *ROOT.glob("packages/*/README.md"),
        *ROOT.glob("docs/**/*.md"),
    ]:
        for target in re.findall(r"\]\(([^)#:]+)[^):]*\)", path.read_text(encoding="utf-8")):
            assert (path.parent / target).exists(), f"{path.name}: {target}"
