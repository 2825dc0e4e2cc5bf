"""The three labels, in the order of a model's scores (that of the Hugging Face copies of SNLI)."""

from __future__ import annotations

LABELS = ("entailment", "neutral", "contradiction")
ENTAILMENT, NEUTRAL, CONTRADICTION = range(3)
