"""Which columns of a file hold a pair, where the file is not SNLI's or MultiNLI's. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Columns of CSV, TSV and JSONL files."""

    premise_column: str | None = None
    """Column of the premise, by name, or by number from 1 in a file without a header; default: sentence1 or premise."""
    hypothesis_column: str | None = None
    """Column of the hypothesis; default: sentence2 or hypothesis."""
    label_column: str | None = None
    """Column of the label; default: gold_label or label."""
    label_values: tuple[str, ...] = ()
    """The data's own words for entailment, neutral and contradiction, in this order; default: these, or 0, 1, 2."""
    separator: str | None = None
    """Separator of the columns, one character or tab; default: by the file's name (.csv, .tsv, SNLI's .txt)."""
    encoding: str = "utf-8"
    """Encoding of the files."""
