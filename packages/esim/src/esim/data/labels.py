"""The three labels and their positions in a model's scores."""

from __future__ import annotations

from esim.config import LABELS

__all__ = ["CONTRADICTION", "ENTAILMENT", "LABELS", "NEUTRAL"]

ENTAILMENT, NEUTRAL, CONTRADICTION = range(3)
