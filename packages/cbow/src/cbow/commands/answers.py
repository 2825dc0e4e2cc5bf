"""How the verbs that ask a model print their answers: as JSON, or as lines for a terminal."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any


def print_answer(answer: dict[str, Any], text: str, *, as_json: bool) -> int:
    """Print an answer as one JSON object or as text; return the exit code 0."""
    print(json.dumps(answer, ensure_ascii=False) if as_json else text)
    return 0


def as_rows(words: Sequence[tuple[str, float]]) -> list[dict[str, Any]]:
    """Return words with their cosines as JSON objects."""
    return [{"word": word, "cosine": round(cosine, 6)} for word, cosine in words]


def as_block(head: str, words: Sequence[tuple[str, float]]) -> str:
    """Return a line, and under it one line for each word with its cosine."""
    # The number first: columns stay straight whatever the width of a word's characters.
    return "\n".join([head, *(f"  {cosine:7.4f}  {word}" for word, cosine in words)])
