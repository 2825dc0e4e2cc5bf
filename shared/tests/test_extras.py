from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from shared.errors import UserError
from shared.extras import install_command, require


def installed(
    site: Path, monkeypatch: pytest.MonkeyPatch, origin: dict | None = None, requires: str = ""
) -> None:
    """Write the metadata of an installed package `dltasks-demo`."""
    folder = site / "dltasks_demo-1.0.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(
        f"Metadata-Version: 2.4\nName: dltasks-demo\nVersion: 1.0\n{requires}"
    )
    if origin is not None:
        (folder / "direct_url.json").write_text(json.dumps(origin))
    monkeypatch.syspath_prepend(str(site))


def test_package_from_a_checkout_names_its_folder_with_a_space_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "my checkout" / "demo"
    folder.mkdir(parents=True)
    (folder / "pyproject.toml").touch()
    installed(tmp_path / "site", monkeypatch, {"url": folder.as_uri(), "dir_info": {}})
    command = install_command("dltasks-demo", "onnx")
    assert shlex.split(command) == ["pip", "install", f"{folder}[onnx]"]


def test_package_from_git_names_the_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin = {
        "url": "https://example.org/x.git",
        "subdirectory": "packages/demo",
        "vcs_info": {"vcs": "git", "commit_id": "0", "requested_revision": "v1"},
    }
    installed(tmp_path / "site", monkeypatch, origin)
    assert shlex.split(install_command("dltasks-demo", "onnx"))[2:] == [
        "dltasks-demo[onnx] @ git+https://example.org/x.git@v1#subdirectory=packages/demo"
    ]


@pytest.mark.parametrize(
    "origin",
    [
        None,
        {"url": "file:///gone/demo", "dir_info": {}},
        {"url": "file:///", "dir_info": {"editable": True}},
    ],
)
def test_package_whose_source_is_unknown_or_gone_or_editable_names_the_requirements(
    origin: dict | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    requires = "".join(
        f"Requires-Dist: {line}\n"
        for line in ("numpy>=1", 'onnx>=1.16; extra == "onnx"', 'gensim; extra == "peers"')
    )
    installed(tmp_path / "site", monkeypatch, origin, requires)
    assert install_command("dltasks-demo", "onnx") == 'pip install "onnx>=1.16"'


def test_extra_that_an_editable_package_knows_nothing_of_is_installed_from_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its metadata are those of the day on which it was installed."""
    folder = tmp_path / "demo"
    folder.mkdir()
    (folder / "pyproject.toml").touch()
    origin = {"url": folder.as_uri(), "dir_info": {"editable": True}}
    installed(tmp_path / "site", monkeypatch, origin)
    assert install_command("dltasks-demo", "new") == f'pip install -e "{folder}[new]"'


def test_missing_module_is_named_with_the_command() -> None:
    require(("json",), "dltasks-demo", "onnx", "Demos need")
    with pytest.raises(
        UserError, match=r"^Demos need no_such_module, not installed. Run: pip install"
    ):
        require(("json", "no_such_module"), "dltasks-none", "onnx", "Demos need")
