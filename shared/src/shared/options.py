"""Options that the verbs of every command have in common; a package defines only what is its own."""

from __future__ import annotations

from dataclasses import dataclass

from shared.config import positional


@dataclass(frozen=True)
class RunOptions:
    """Where a training run goes."""

    out: str | None = None
    """Run folder, new or empty; default: runs/<task>/<date-time>."""
    resume: bool = False
    """Go on with the run in --out from its last checkpoint."""
    quiet: bool = False
    """No bar and no lines; log.txt and metrics.jsonl are written all the same."""


@dataclass(frozen=True)
class ReportOptions:
    """Which run to make a page of."""

    run: str = positional()
    """Run folder."""
    out: str | None = None
    """HTML file; default: report.html in the run folder."""


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
