"""Options of the verbs `handout`, `check` and `grade`."""

from __future__ import annotations

from dataclasses import dataclass

from shared.command.config import Problems, positional
from shared.teaching.edition import LANGUAGES
from shared.teaching.handout import FORMATS


@dataclass(frozen=True)
class HandoutOptions:
    """What to hand out."""

    out: str
    """Folder to write, new or empty: student/ and teacher/."""
    language: str = ",".join(LANGUAGES)
    """Languages of the notebooks, with commas between: en, zh."""
    format: str = ",".join(FORMATS)
    """What to write, with commas between: notebook, package, nbgrader, otter, gradescope."""
    requirement: str | None = None
    """What pip installs this package from where Gradescope grades; default: the zip carries the package itself."""
    run: str | None = None
    """Run folder, or a folder of runs: its newest. Its figures fill in the teacher's copy of the report."""

    def __post_init__(self) -> None:
        """Check both lists."""
        with Problems() as problem:
            for name, known in (("language", LANGUAGES), ("format", FORMATS)):
                value = getattr(self, name)
                is_bad = not value or any(word not in known for word in value.split(","))
                problem(is_bad, name, value, f"some of {', '.join(known)}, with commas between")


@dataclass(frozen=True)
class CheckOptions:
    """What to check."""

    file: str = positional()
    """Notebook (.ipynb) or Python file (.py) of yours. It is run on this machine as it is."""
    language: str = "en"
    """Language of the remarks: en, zh."""

    def __post_init__(self) -> None:
        """Check the language."""
        with Problems() as problem:
            problem(self.language not in LANGUAGES, "language", self.language, "en or zh")


@dataclass(frozen=True)
class GradeOptions:
    """What to grade, and what submissions may use."""

    submissions: str | None = positional(default=None)
    """Folder of submissions: notebooks, Python files, zip archives, or a subfolder for each student."""
    out: str | None = None
    """Folder for grades and pages, new or empty."""
    resume: bool = False
    """Continue in a folder that holds a grading: what was graded there, by the same checks, is not graded again."""
    language: str = "en"
    """Language of the pages: en, zh."""
    seed: int = 0
    """Seed of the checks' inputs, >= 0."""
    jobs: int = 2
    """Submissions graded at a time, >= 1."""
    seconds: float | None = None
    """Seconds for one request to student code, > 0; default: 10, more on a machine that is slow with the solution."""
    memory: int | None = None
    """Megabytes of memory for each process of a submission, >= 256; default: 1024, with torch 8192."""
    names: str | None = None
    """CSV file with two columns, id and name; names go into grades.csv alone."""
    gradescope: str | None = None
    """With --single: file to write Gradescope's results.json to."""
    single: bool = False
    """SUBMISSIONS is one submission: a folder or a file."""
    trust: bool = False
    """Where no sandbox works, run submissions without one."""
    self_test: bool = False
    """Grade every known mistake, accepted variant and hostile file instead, and say what came of it."""
    quiet: bool = False
    """No bar."""

    def __post_init__(self) -> None:
        """Check ranges and what goes together."""
        with Problems() as problem:
            problem(self.language not in LANGUAGES, "language", self.language, "en or zh")
            problem(self.seed < 0, "seed", self.seed, "0 or more")
            problem(self.jobs < 1, "jobs", self.jobs, "1 or more")
            problem(
                self.seconds is not None and self.seconds <= 0, "seconds", self.seconds, "above 0"
            )
            problem(
                self.memory is not None and self.memory < 256, "memory", self.memory, "256 or more"
            )
            needs_paths = not self.self_test
            problem(
                needs_paths and self.submissions is None,
                "submissions", "missing", "a folder of submissions, or --self-test",
            )  # fmt: skip
            problem(
                needs_paths and self.out is None, "out", "missing", "a folder for grades and pages"
            )
            problem(
                self.gradescope is not None and not self.single,
                "gradescope",
                self.gradescope,
                "only with --single",
            )
