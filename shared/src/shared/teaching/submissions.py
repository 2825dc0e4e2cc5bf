"""Submissions as they arrive: notebooks, Python files, zip archives, and the file names that course systems give them.

Nothing is unpacked to disk and nothing of a submission is run here: members of archives are read in memory, with
limits.
"""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import cast

from shared.errors import UserError
from shared.teaching.assignment import COMMON, Remark
from shared.teaching.loading import CELL, SOURCE

MOST_BYTES = 5 << 20
"""Bytes of a notebook, outputs included, or of all Python files together."""
_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    NotImplementedError,
    RuntimeError,
    OSError,
    EOFError,
    ValueError,
)
"""What reading a damaged archive, or one with a password, raises."""
_MOST_MEMBERS = 1000
_ENDINGS = (".ipynb", ".py")
_LONGEST_ID = 200
"""Bytes of an id, which is in the names of files."""


class UnreadableError(Exception):
    """A submission that cannot be graded; `remark` says why, the message says it in English."""

    def __init__(self, key: str, **values: object) -> None:
        # Names in archives are what students made them.
        values = {
            name: shown(value) if isinstance(value, str) else value
            for name, value in values.items()
        }
        self.remark = Remark(key, values)
        super().__init__(COMMON[key]["en"].format(**values))


@dataclass(frozen=True)
class Submission:
    """One student's work.

    Parameters
    ----------
    student : str
        Id.
    path : Path
        The file.
    code : str
        Its Python code; empty where it cannot be read.
    problem : Remark or None
        Why it cannot be read.
    """

    student: str
    path: Path
    code: str
    problem: Remark | None = None

    @property
    def checksum(self) -> str:
        """Sha256 of the code."""
        return hashlib.sha256(self.code.encode("utf-8", "surrogatepass")).hexdigest()


def find_submissions(folder: Path, *, out: Path | None = None) -> list[Submission]:
    """Read every submission in a folder, unless it is `out`, where the grades are.

    A file is one submission; so is a subfolder, by the notebook or Python file in it. Ids come from the names as Moodle
    (`name_12345_assignsubmission_file_`), Canvas (`name_12345_67890_file.ipynb`) and others (`12345_name_homework.zip`)
    write them: the first number of four digits or more, else the name.

    Raises
    ------
    UserError
        There is none, or two have the same id.
    """
    if not folder.is_dir():
        problem = "is a file" if folder.exists() else "is not there"
        raise UserError(
            f"{folder}: {problem}. Expected a folder of submissions: .ipynb, .py, .zip or subfolders. "
            "Unpack the archive of a class; grade one submission with --single."
        )
    grades = out.resolve() if out else None
    paths = [p for p in _visible(folder) if _is_submission(p) and p.resolve() != grades]
    if not paths:
        raise UserError(f"{folder}: holds no submission. Expected .ipynb, .py, .zip or subfolders.")
    taken: dict[str, Path] = {}
    submissions = []
    for path in paths:
        student = student_id(path.name if path.is_dir() else path.stem)
        if student in taken:
            raise UserError(
                f"{path}: has the id {student}, as {taken[student].name} has. Rename one of them: <id>_<name>.ipynb."
            )
        taken[student] = path
        try:
            submissions.append(Submission(student, path, read_code(path)))
        except UnreadableError as error:
            submissions.append(Submission(student, path, "", error.remark))
    return submissions


def left_out(folder: Path) -> list[str]:
    """Return the names of files that `find_submissions` does not take: a .rar, a report in .pdf."""
    return [shown(path.name) for path in _visible(folder) if not _is_submission(path)]


def shown(name: str) -> str:
    """Return a file name that files and terminals take: U+FFFD where a character cannot be printed."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in name)


def student_id(name: str) -> str:
    """Return the id in a file or folder name: its first number of four digits or more, else all of the name."""
    number = re.search(r"(?<!\d)\d{4,}(?!\d)", name)
    first = number.group() if number else re.split(r"_assignsubmission|_onlinetext", name)[0]
    name = re.sub(r"[^\w.-]+", "-", first).strip("-")
    return name.encode()[:_LONGEST_ID].decode(errors="ignore") or "unnamed"


def read_code(path: Path) -> str:
    """Return the Python code of a submission.

    Raises
    ------
    UnreadableError
    """
    if path.is_symlink():
        raise UnreadableError("is_link")
    if path.is_dir():
        files = [p for p in sorted(path.rglob("*")) if p.is_file() and not p.is_symlink()]
        return _read_best([(p.relative_to(path).as_posix(), p) for p in files])
    if path.stat().st_size > 4 * MOST_BYTES:
        raise UnreadableError("too_large", name=path.name, megabytes=4 * MOST_BYTES >> 20)
    if path.suffix.lower() == ".zip":
        return _of_zip(path)
    return code_of(path.name, path.read_bytes())


def code_of(name: str, data: bytes) -> str:
    """Return the code in the bytes of a notebook or a Python file.

    Raises
    ------
    UnreadableError
    """
    if len(data) > MOST_BYTES:
        raise UnreadableError("too_large", name=name, megabytes=MOST_BYTES >> 20)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UnreadableError("not_utf8", name=name) from None
    return (
        "\n\n".join(
            f"{CELL}{number}\n{cell}" for number, cell in enumerate(notebook_code(name, text), 1)
        )
        if name.lower().endswith(".ipynb")
        else without_magics(text)
    )


def notebook_code(name: str, text: str) -> Iterator[str]:
    """Yield the code cells of a notebook, IPython's own lines left out. Outputs are not looked at.

    Raises
    ------
    UnreadableError
    """
    try:
        cells = json.loads(text)["cells"]
        for cell in cells:
            if cell.get("cell_type") == "code":
                source = cell.get("source", "")
                code = source if isinstance(source, str) else "".join(map(str, source))
                # Half an emoji is no character, and no file could hold it.
                yield without_magics(code.encode("utf-8", "replace").decode())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise UnreadableError("not_notebook", name=name) from None


def without_magics(text: str) -> str:
    """Comment out what only IPython understands: `%magic`, `!command`, `name?`; drop cells of other languages."""
    if text.lstrip().startswith("%%") and not text.lstrip().startswith("%%time"):
        return ""
    lines = []
    for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        is_magic = re.match(r"\s*(%|!|\?)", line) or re.fullmatch(r"\s*[\w.]+\?{1,2}\s*", line)
        indent = line[: len(line) - len(line.lstrip())]
        lines.append(f"{indent}pass  # {line.strip()}" if is_magic else line)
    return "\n".join(lines)


def _visible(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.iterdir()) if not path.name.startswith((".", "__"))]


def _is_submission(path: Path) -> bool:
    if path.suffix.lower() not in (*_ENDINGS, ".zip"):
        return path.is_dir()
    return path.is_file() or path.is_dir() or path.is_symlink()  # reading a pipe would not end


def _of_zip(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            members = [info for info in archive.infolist() if not info.is_dir()]
            if len(members) > _MOST_MEMBERS:
                raise UnreadableError("many_members", most=_MOST_MEMBERS)
            return _read_best([(info.filename, (archive, info)) for info in members])
    except _DAMAGED:
        raise UnreadableError("bad_archive") from None


def _read_best(files: Iterable[tuple[str, object]]) -> str:
    """Read the notebook of a bundle, else all its Python files that are no tests, in the order of their names."""
    usable = [
        (name, file)
        for name, file in sorted(files, key=lambda pair: pair[0])
        if name.lower().endswith(_ENDINGS)
        and not any(
            part.startswith((".", "__MACOSX", "test_")) for part in PurePosixPath(name).parts
        )
        and PurePosixPath(name).name not in ("conftest.py", "setup.py", "__init__.py")
    ]
    notebooks = [pair for pair in usable if pair[0].lower().endswith(".ipynb")]
    if len(notebooks) > 1:
        names = ", ".join(name for name, _ in notebooks[:3])
        raise UnreadableError("many_notebooks", count=len(notebooks), names=names)
    chosen = notebooks or usable
    if not chosen:
        raise UnreadableError("no_code")
    codes, size = [], 0
    for name, file in chosen:
        data = _bytes(file)
        size += len(data)
        if size > MOST_BYTES:
            raise UnreadableError("too_large", name=name, megabytes=MOST_BYTES >> 20)
        mark = f"{SOURCE}{shown(name)}\n" if len(chosen) > 1 else ""
        codes.append(mark + code_of(PurePosixPath(name).name, data))
    return "\n\n".join(codes)


def _bytes(file: object) -> bytes:
    if isinstance(file, Path):
        if file.stat().st_size > MOST_BYTES:
            raise UnreadableError("too_large", name=file.name, megabytes=MOST_BYTES >> 20)
        return file.read_bytes()
    archive, info = cast("tuple[zipfile.ZipFile, zipfile.ZipInfo]", file)
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        # `zipfile` unpacks bzip2 and LZMA at once, whatever is read of it: 1 kB may be gigabytes.
        raise UnreadableError("bad_archive")
    with archive.open(info) as member:
        # What the archive says of its size is not believed.
        return bytes(member.read(MOST_BYTES + 1))
