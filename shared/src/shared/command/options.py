"""Options that the verbs of every command have in common; a package defines only what is its own."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from shared.command.config import Problems, positional
from shared.files import shell_quoted

Device = Literal["auto", "cpu", "cuda", "mps"]
"""Where to compute; auto: a GPU if there is one."""


@dataclass(frozen=True)
class RunOptions:
    """Where a training run goes."""

    out: str | None = None
    """Run folder, new or empty; default: runs/<task>/<date-time>."""
    resume: bool = False
    """Continue the run in --out from its last checkpoint."""
    quiet: bool = False
    """No bar and no lines; log.txt and metrics.jsonl are written all the same."""

    def __post_init__(self) -> None:
        """Check that a run to resume is named."""
        with Problems() as problem:
            # Without it, the folder would be a new one, and training would begin anew.
            problem(self.resume and self.out is None, "out", self.out, "a run folder with --resume")

    def require_free_folder(self) -> None:
        """Refuse an --out that holds something, before anything is loaded.

        Not in one of several processes, where the first one may have made the folder already.

        Raises
        ------
        UserError
        """
        from shared.runs.run_directory import require_free

        ranks = ("RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "SLURM_PROCID")
        if self.out is not None and not any(name in os.environ for name in ranks):
            require_free(Path(self.out), resume=self.resume)

    def tell(self, folder: Path | None) -> None:
        """Say where a finished run is, and link its page to those of the runs beside it.

        None, in a process that writes no run, says nothing.
        """
        if folder is None:
            return
        from shared.pages.links import link_runs

        link_runs(folder.parent)
        if not self.quiet:
            print(f"The run is in {folder}; its page is {folder / 'report.html'}.")
            if (folder / "tensorboard").is_dir():
                print(f"Its curves: tensorboard --logdir {shell_quoted(folder)}")


@dataclass(frozen=True)
class ReportOptions:
    """Which run to make a page of."""

    run: str = positional()
    """Run folder, or a folder of runs: its newest."""
    out: str | None = None
    """HTML file; default: report.html in the run folder."""

    def __post_init__(self) -> None:
        """Refuse the name of an image, of which there is one beside the page."""
        with Problems() as problem:
            problem.page("out", self.out)


@dataclass(frozen=True)
class RecipesOptions:
    """How recipes are listed."""

    json: bool = False
    """Print one JSON object a line."""


@dataclass(frozen=True)
class CompareOptions:
    """Which runs are compared."""

    runs: tuple[str, ...] = positional()
    """Run folders; a folder of runs stands for all of them."""
    out: str | None = None
    """HTML file; default: compare.html in the folder that the first run is in."""
    json: bool = False
    """Print one JSON object a line and write no page."""


@dataclass(frozen=True)
class CompletionOptions:
    """What completion is written for."""

    shell: Literal["bash", "zsh", "tcsh"] = positional(default="bash")
    """The shell."""


@dataclass(frozen=True)
class AppOptions:
    """Which model the app is of, and where it is served."""

    run: str = positional()
    """Run folder, or a folder of runs: its newest."""
    port: int | None = None
    """Port of this machine, 1 to 65535; default: the first free one from 7860 on."""
    browser: bool = True
    """Open the page in a browser."""

    def __post_init__(self) -> None:
        """Check the port."""
        with Problems() as problem:
            port = self.port
            problem(port is not None and not 1 <= port <= 65535, "port", port, "1 to 65535")


@dataclass(frozen=True)
class FetchOptions:
    """Where downloaded data goes."""

    out: str | None = None
    """Folder; default: the data set's in $DLTASKS_DATA, else in the user's cache folder."""
    quiet: bool = False
    """No bar."""


@dataclass(frozen=True)
class SampleOptions:
    """Where made-up data goes."""

    out: str | None = None
    """Folder to write, new or empty; default: <task>-sample in the working folder."""
