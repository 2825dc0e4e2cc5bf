"""What the packages' READMEs show works as it stands: their commands, their Python, and "Run it again" on the pages.

All in a new folder, on the samples, in the order of the document; a run that is shown before the command that trains it
is used after that. Left out are commands that need what is not there: a download, a server, a file of the reader's own.
"""

from __future__ import annotations

import html
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parent.parent))
from documents import COMMANDS, PACKAGES, ROOT, blocks

MAKES_FILES = {"cat", "echo", "head", "mkdir", "printf", "zcat"}
NOT_HERE = {"app", "bench", "fetch", "grade"}
"""Verbs that serve, measure speed for minutes, download, or need submissions."""
PLACEHOLDER = re.compile(r"[A-Z][A-Z_]+")


def run(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a line as a shell would, with the packages' commands on PATH and no data but the samples."""
    env = {name: value for name, value in os.environ.items() if name != "DLTASKS_DATA"}
    env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"
    return subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", line],
        cwd=folder, env=env, check=False, capture_output=True, text=True, timeout=900,
    )  # fmt: skip


def newest_run(folder: Path) -> Path | None:
    """Return the run folder that was written last."""
    summaries = list(folder.rglob("summary.json"))
    return max(summaries, key=lambda path: path.stat().st_mtime).parent if summaries else None


def lines_of(readme: Path) -> list[str]:
    """Return the lines of a document's blocks that can be run here."""
    shown = "\n".join(text for language in ("", "sh", "bash") for text in blocks(readme, language))
    lines = []
    for line in shown.replace("\\\n", " ").splitlines():
        line = line.removeprefix("$ ")
        try:
            words = shlex.split(line, comments=True)
        except ValueError:  # output that is shown
            continue
        is_ours = len(words) > 1 and words[0] in COMMANDS and words[1] not in NOT_HERE
        is_open = any(PLACEHOLDER.fullmatch(word) for word in words if word != "RUN")
        if (is_ours or (words[:1] and words[0] in MAKES_FILES)) and not is_open:
            lines.append(line)
    return lines


def missing_files(line: str, folder: Path) -> list[str]:
    """Return the files that a command reads and that are not there; what looks like a path is one, and so is RUN."""
    words = shlex.split(line, comments=True)
    reads = [
        word
        for before, word in zip(["", *words], words, strict=False)
        if before not in ("--out", ">")
        and re.fullmatch(r"[\w.-]*/[\w./-]*|[\w-]+\.[a-z0-9]{2,5}", word)
    ]
    if words[0] in MAKES_FILES:
        return []
    missing_run = ["RUN"] if "RUN" in words and newest_run(folder) is None else []
    return missing_run + [word for word in reads if not (folder / word).exists()]


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_readme_works_as_it_stands(package: Path, tmp_path: Path) -> None:
    problems, number, waiting = [], 0, lines_of(package / "README.md")
    while ready := [line for line in waiting if not missing_files(line, tmp_path)]:
        line = ready[0]
        waiting.remove(line)
        if (newest := newest_run(tmp_path)) is not None:
            line = re.sub(r"\bRUN\b", shlex.quote(str(newest)), line)
        done = run(line, tmp_path)
        number += 1
        if done.returncode != 0:
            problems.append(f"$ {line}\n{done.stdout[-500:]}{done.stderr[-1500:]}")
    assert number >= 2
    assert not problems, "\n".join(problems)
    code = "\n".join(blocks(package / "README.md", "python"))
    assert code, "shows no Python"
    (tmp_path / "shown.py").write_text(code, encoding="utf-8")
    done = run(f"{shlex.quote(sys.executable)} shown.py", tmp_path)
    assert done.returncode == 0, f"{code}\n{done.stderr[-1500:]}"

    # A page's own command trains once more, to the same figures.
    (first, *_) = sorted(tmp_path.rglob("summary.json"), key=lambda path: path.stat().st_mtime)
    page = (first.parent / "report.html").read_text(encoding="utf-8")
    shown = re.search(r"Run it again.*?<pre><code>(.*?)</code></pre>", page, re.DOTALL)
    assert shown is not None
    done = run(html.unescape(shown[1]), tmp_path)
    assert done.returncode == 0, f"{shown[1]}\n{done.stderr[-1500:]}"


@pytest.mark.parametrize("name", ["own-data.md", "own-data.zh.md"])
def test_own_data_works_as_shown(name: str, tmp_path: Path) -> None:
    shown = blocks(ROOT / "docs" / name, "")
    assert len(shown) == 4
    for block in shown:
        done = run(block, tmp_path)
        assert done.returncode == 0, f"{block}\n{done.stdout[-500:]}{done.stderr[-1500:]}"
    assert len(list(tmp_path.glob("runs/*/report.html"))) == 4


@pytest.mark.parametrize("name", ["export.md", "export.zh.md"])
@pytest.mark.parametrize("needs", ["gensim", "timm", "onnxruntime"])
def test_export_works_as_shown(name: str, needs: str, tmp_path: Path) -> None:
    """Each section trains, exports and reads with another program; a placeholder stands for a file of the reader."""
    # Outside our packages, which mend it, the torchvision of the package index breaks timm beside a torch for CPUs.
    if run(f"{shlex.quote(sys.executable)} -c 'import {needs}'", tmp_path).returncode != 0:
        pytest.skip(f"{needs} cannot be imported here")
    sections = re.split(r"^## ", (ROOT / "docs" / name).read_text(encoding="utf-8"), flags=re.M)
    (section,) = [
        text for text in sections if f"\nimport {needs}\n" in text or f"from {needs}" in text
    ]
    document = tmp_path / "section.md"
    document.write_text(section, encoding="utf-8")
    lines = lines_of(document)
    assert len(lines) >= 2
    for line in lines:
        done = run(line, tmp_path)
        assert done.returncode == 0, f"{line}\n{done.stdout[-500:]}{done.stderr[-1500:]}"
    (tmp_path / "shown.py").write_text("\n".join(blocks(document, "python")), encoding="utf-8")
    done = run(f"{shlex.quote(sys.executable)} shown.py", tmp_path)
    assert done.returncode == 0, done.stderr[-1500:]
