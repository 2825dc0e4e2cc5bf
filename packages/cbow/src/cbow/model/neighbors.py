"""Answers about words for people and programs: neighbors, similarity, analogies.

Each question gives a dict that `json.dumps` takes; `as_text` lays any of them out for a terminal.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cbow.model.vectors import WordVectors


def neighbors(vectors: WordVectors, words: Sequence[str], n: int = 10) -> dict[str, Any]:
    """List the `n` words nearest to each word, the word itself left out.

    Returns
    -------
    dict
        `{"neighbors": {word: [{"word": str, "cosine": float}, ...]}}`

    Raises
    ------
    UserError
        A word has no vector.
    """
    near = {word: _rows(vectors.most_similar_tokens(word, n + 1)[1:]) for word in words}
    return {"neighbors": near}


def similarity(vectors: WordVectors, first: str, second: str) -> dict[str, Any]:
    """Compare two words: `{"first": str, "second": str, "cosine": float}`."""
    cosine = round(vectors.similarity(first, second), 6)
    return {"first": first, "second": second, "cosine": cosine}


def analogy(vectors: WordVectors, a: str, b: str, c: str, n: int = 5) -> dict[str, Any]:
    """Answer "a is to b as c is to ?".

    Returns
    -------
    dict
        `{"a": str, "b": str, "c": str, "answers": [{"word": str, "cosine": float}, ...]}`
    """
    answers = vectors.analogy([b, c], [a], n)
    return {"a": a, "b": b, "c": c, "answers": _rows(answers)}


def as_text(answer: dict[str, Any]) -> str:
    """Lay out a dict of this module as lines for a terminal, without the last line end."""
    if "neighbors" in answer:
        blocks = [[word, *_lines(rows)] for word, rows in answer["neighbors"].items()]
        return "\n\n".join("\n".join(block) for block in blocks)
    if "answers" in answer:
        head = f"{answer['a']} : {answer['b']} = {answer['c']} : ?"
        return "\n".join([head, *_lines(answer["answers"])])
    return f"{answer['first']} {answer['second']} {answer['cosine']:.4f}"


def _rows(words: Sequence[tuple[str, float]]) -> list[dict[str, Any]]:
    return [{"word": word, "cosine": round(cosine, 6)} for word, cosine in words]


def _lines(rows: Sequence[dict[str, Any]]) -> list[str]:
    # The number first: columns stay straight whatever the width of a word's characters.
    return [f"  {row['cosine']:7.4f}  {row['word']}" for row in rows]
