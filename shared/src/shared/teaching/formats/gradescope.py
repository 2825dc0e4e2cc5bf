"""Gradescope's autograder: a zip with `setup.sh` and `run_autograder` at its root, and the results it reads.

The zip carries this package and `shared` as they are installed here, so that students are graded by the very code that
made the handout, wherever it came from; only libraries are installed by pip.

References
----------
https://gradescope-autograders.readthedocs.io/en/latest/specs/
"""

from __future__ import annotations

import importlib
import io
import re
import zipfile
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from shared.teaching.assignment import Assignment
from shared.teaching.grade import Result

_SETUP = """\
#!/usr/bin/env bash
# Gradescope runs this once, when the autograder's image is built.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
newest() {{
  for v in 3.13 3.12 3.11; do
    if python$v -c 'import ensurepip' 2> /dev/null; then echo python$v; return; fi
  done
}}
apt-get update
apt-get install -y python3 python3-venv
if [ -z "$(newest)" ]; then apt-get install -y python3.11 python3.11-venv; fi
"$(newest)" -m venv /opt/grade
{install}
"""
_BUNDLE = """\
/opt/grade/bin/pip install{index} -r /autograder/source/requirements.txt
site=$(/opt/grade/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
cp -r /autograder/source/packages/* "$site"
"""
_RUN = """\
#!/usr/bin/env bash
# Gradescope runs this for each submission. Student code has a user of its own, for whom these folders are closed.
set -euo pipefail
site=$(/opt/grade/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
mkdir -p /autograder/results
chmod 700 /autograder/source /autograder/submission /autograder/results "$site"/shared "$site"/{task}
exec /opt/grade/bin/python -c 'import sys; from {task}.cli import main; sys.exit(main())' \\
  grade /autograder/submission --single --out /autograder/work --gradescope /autograder/results/results.json \\
  --language {language} --seconds 20{memory}
"""
_INDEX = " --extra-index-url https://download.pytorch.org/whl/cpu"


def autograder(assignment: Assignment, language: str, requirement: str | None = None) -> bytes:
    """Return the zip to upload.

    Parameters
    ----------
    assignment : Assignment
    language : {"en", "zh"}
        Language of the remarks.
    requirement : str, optional
        What pip installs the task's package from; without it the zip carries the package.
    """
    task, has_torch = assignment.task, "torch" in assignment.distributions
    index = _INDEX if has_torch else ""
    files: dict[str, bytes] = {}
    if requirement:
        install = f'/opt/grade/bin/pip install{index} "{requirement}"'
    else:
        install = _BUNDLE.format(index=index).strip()
        needed = sorted(set(_libraries(f"dltasks-{task.replace('_', '-')}")))
        files["requirements.txt"] = "".join(f"{line}\n" for line in needed).encode()
        for name in ("shared", task):
            files |= _package(name)
    # The limit is on address space, of which importing torch alone takes more than Gradescope's smallest container has.
    memory = "" if has_torch else " --memory 700"
    files["setup.sh"] = _SETUP.format(install=install).encode()
    files["run_autograder"] = _RUN.format(task=task, language=language, memory=memory).encode()
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(files.items()):
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.external_attr = (0o644 if "." in name and name != "setup.sh" else 0o755) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, content)
    return data.getvalue()


def results(assignment: Assignment, result: Result, language: str) -> dict[str, Any]:
    """Return a result in the format of Gradescope's results.json."""
    tests = [
        {
            "name": name,
            "score": score.points,
            "max_score": assignment.points[name],
            "output": "\n".join(assignment.text(remark, language) for remark in score.remarks),
            "visibility": "visible",
        }
        for name, score in result.scores.items()
    ]
    notes = "\n".join(assignment.text(note, language) for note in result.notes)
    return {"score": result.total, "output": notes, "tests": tests}


def _package(name: str) -> dict[str, bytes]:
    """Return the files of an installed package by their names in the zip."""
    folder = Path(str(importlib.import_module(name).__file__)).parent
    return {
        f"packages/{name}/{path.relative_to(folder).as_posix()}": path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def _libraries(distribution: str, extras: Sequence[str] = ()) -> list[str]:
    """Return what a distribution and `dltasks-shared` require of others, as lines for pip."""
    lines: list[str] = []
    for line in metadata.requires(distribution) or []:
        text, _, marker = line.partition(";")
        extra = re.search(r"extra\s*==\s*['\"]([\w.-]+)['\"]", marker)
        if extra and extra[1] not in extras:
            continue
        ours = re.match(r"\s*dltasks-shared\s*(?:\[([^\]]*)\])?", text)
        if ours:
            lines += _libraries("dltasks-shared", re.split(r"\s*,\s*", ours[1] or ""))
        else:
            lines.append(text.strip() if extra else line.strip())
    return lines
