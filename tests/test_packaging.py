"""Packages install from a checkout, wherever it lies, and can be published. The full installs: tests/wheelhouse.py."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
import reinstall
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = sorted(path.parent for path in ROOT.glob("packages/*/pyproject.toml"))


def requirements(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(name).decode()).get_all("Requires-Dist", [])


def build_wheel(package: Path | str, out: Path, cwd: Path, **env: str) -> Path:
    clean = {name: value for name, value in os.environ.items() if name != "DLTASKS_RELEASE"}
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", out, package], check=True, cwd=cwd, env=clean | env)
    (wheel,) = out.glob("*.whl")
    return wheel


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a copy of the checkout in a folder whose name has a space and is not ASCII."""
    copy = tmp_path / "my père's checkout"
    for folder in ("shared", "packages"):
        shutil.copytree(
            ROOT / folder,
            copy / folder,
            ignore=shutil.ignore_patterns("__pycache__", "tests", "dist"),
        )
    return copy


def test_every_package_carries_the_same_hook() -> None:
    hooks = {(package / "hatch_build.py").read_bytes() for package in PACKAGES}
    assert len(PACKAGES) > 0
    assert len(hooks) == 1


def test_package_of_a_checkout_needs_that_checkouts_shared(checkout: Path, tmp_path: Path) -> None:
    wheel = build_wheel(checkout / "packages" / "cbow", tmp_path / "out", cwd=tmp_path)
    texts = [text for text in requirements(wheel) if text.startswith("dltasks-shared")]
    assert {Requirement(text).url for text in texts} == {(checkout / "shared").as_uri()}
    (plain,) = (text for text in texts if "extra ==" not in text)
    assert "[data,report]" in plain


def test_editable_install_finds_the_same_folder(checkout: Path, tmp_path: Path) -> None:
    # What `pip install -e` asks of the backend, without an install.
    code = "import hatchling.build as b, os, sys; os.chdir(sys.argv[1]); print(b.build_editable(sys.argv[2]))"
    package = checkout / "packages" / "cbow"
    (tmp_path / "out").mkdir()
    subprocess.run([sys.executable, "-c", code, package, tmp_path / "out"], check=True)
    (wheel,) = (tmp_path / "out").glob("*.whl")
    assert (checkout / "shared").as_uri() in " ".join(requirements(wheel))


def test_release_has_ranges_and_no_folder(checkout: Path, tmp_path: Path) -> None:
    package = checkout / "packages" / "cbow"
    wheel = build_wheel(package, tmp_path / "out", cwd=tmp_path, DLTASKS_RELEASE="1")
    assert "file:" not in " ".join(requirements(wheel))
    assert "dltasks-shared[data,report]<0.2,>=0.1" in requirements(wheel)


@pytest.fixture
def repository(checkout: Path) -> tuple[str, str]:
    """Return the address of a repository that holds the checkout, and its commit."""
    if shutil.which("git") is None:
        pytest.skip("needs git")
    who = ("-c", "user.name=Somebody", "-c", "user.email=somebody@example.org")
    for words in (("init", "--quiet"), ("add", "."), (*who, "commit", "--quiet", "-m", "All")):
        subprocess.run(["git", *words], cwd=checkout, check=True)
    done = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=checkout, check=True, capture_output=True, text=True
    )
    return checkout.as_uri(), done.stdout.strip()


def test_package_from_git_needs_no_folder_that_pip_removes(
    repository: tuple[str, str], tmp_path: Path
) -> None:
    """Two packages ask for the very same `shared`, so that one command can install both."""
    url, commit = repository
    asked = set()
    for task in ("cbow", "esim"):
        package = f"git+{url}#subdirectory=packages/{task}"
        wheel = build_wheel(package, tmp_path / task, cwd=tmp_path)
        asked |= {Requirement(text).url for text in requirements(wheel) if "dltasks-shared" in text}
    expected = url.replace("file://", "git+file://localhost")
    assert asked == {f"{expected}@{commit}#subdirectory=shared"}


@pytest.mark.parametrize(
    "origin, url",
    [
        ("https://example.org/a/b.git", "https://example.org/a/b.git"),
        ("https://me:secret@example.org/a/b", "https://example.org/a/b"),
        ("ssh://git@example.org:22/a/b", "ssh://git@example.org:22/a/b"),
        ("ssh://git:secret@example.org/a/b", "ssh://git@example.org/a/b"),
        ("git@example.org:a/b.git", "ssh://git@example.org/a/b.git"),
        ("file:///a/b", "file://localhost/a/b"),
        ("/a b", "file://localhost/a%20b"),
    ],
)
def test_address_of_a_repository_is_written_as_pip_reads_it_and_without_a_password(
    origin: str, url: str
) -> None:
    path = PACKAGES[0] / "hatch_build.py"
    spec = importlib.util.spec_from_file_location("hook", path)
    assert spec is not None and spec.loader is not None
    hook = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hook)
    assert hook.without_password(origin) == url


def test_package_folder_outside_a_checkout_falls_back_to_the_range(
    checkout: Path, tmp_path: Path
) -> None:
    alone = tmp_path / "alone" / "deep" / "cbow"
    shutil.copytree(checkout / "packages" / "cbow", alone)
    wheel = build_wheel(alone, tmp_path / "out", cwd=tmp_path)
    assert "file:" not in " ".join(requirements(wheel))


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_wheel_holds_recipes_and_types(package: Path, tmp_path: Path) -> None:
    wheel = build_wheel(package, tmp_path / "out", cwd=tmp_path)
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert f"{package.name}/py.typed" in names
    assert any(name.startswith(f"{package.name}/recipes/") for name in names)
    assert not any("test" in Path(name).parts[0] for name in names)


def listed_requirements(package: Path) -> list[Requirement]:
    """Return all requirements of a package's pyproject, those of its extras included."""
    project = tomllib.loads((package / "pyproject.toml").read_text(encoding="utf-8"))
    hook = project["tool"]["hatch"].get("metadata", {}).get("hooks", {}).get("custom", {})
    texts = []
    for table in (project["project"], hook):
        texts += table.get("dependencies", [])
        texts += [
            text for extra in table.get("optional-dependencies", {}).values() for text in extra
        ]
    assert texts
    return [Requirement(text) for text in texts]


def test_pins_live_in_constraints_only() -> None:
    for package in [*PACKAGES, ROOT / "shared"]:
        pinned = [str(r) for r in listed_requirements(package) if "==" in str(r.specifier)]
        # The last torchtext in pure Python: what old notebooks have, so the bridge is for that one alone.
        assert set(pinned) <= {"torchtext==0.6.0"}, package


def test_oldest_libraries_are_the_lower_bounds_of_the_packages() -> None:
    bounds: dict[str, set[str]] = {}
    for package in [*PACKAGES, ROOT / "shared"]:
        for requirement in listed_requirements(package):
            low = [one.version for one in requirement.specifier if one.operator == ">="]
            if requirement.name not in ("dltasks-shared", "torchtext"):
                assert len(low) == 1, f"{package.name}: {requirement} has no lower bound"
                bounds.setdefault(requirement.name, set()).update(low)
    assert {name: versions for name, versions in bounds.items() if len(versions) > 1} == {}
    lines = (ROOT / "constraints" / "oldest.txt").read_text(encoding="utf-8").splitlines()
    pinned = [line for line in lines if "==" in line]
    assert pinned == [f"{name}=={low}" for name, (low,) in sorted(bounds.items())]


def test_edit_in_the_checkout_is_noticed_in_an_environment(tmp_path: Path) -> None:
    folder, site = tmp_path / "checkout", tmp_path / "site"
    (folder / "src" / "thing" / "data").mkdir(parents=True)
    (folder / "pyproject.toml").write_text("")
    for name in ("__init__.py", "data/words.txt"):
        (folder / "src" / "thing" / name).write_text("1")
    assert not reinstall.is_installed(folder, site)
    shutil.copytree(folder / "src", site)
    record = site / "dltasks_thing-0.1.0.dist-info" / "RECORD"
    record.parent.mkdir()
    record.write_text("")
    (site / "thing" / "__pycache__").mkdir()
    (site / "thing" / "__pycache__" / "made.pyc").write_text("")
    assert reinstall.is_installed(folder, site)

    (folder / "src" / "thing" / "data" / "words.txt").write_text("2")
    assert not reinstall.is_installed(folder, site)
    (site / "thing" / "data" / "words.txt").write_text("2")
    assert reinstall.is_installed(folder, site)
    (site / "thing" / "gone.py").write_text("")
    assert not reinstall.is_installed(folder, site)
    (site / "thing" / "gone.py").unlink()
    os.utime(folder / "pyproject.toml", (2e9, 2e9))
    assert not reinstall.is_installed(folder, site)
