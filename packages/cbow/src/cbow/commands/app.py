"""The verb `app`: neighbors, analogies and the map of a model's words on a local page."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from cbow.commands.report import WORDS_ON_MAP, frequent_words, word_map
from cbow.model.trained import load
from cbow.model.vectors import WordVectors
from shared.command.options import AppOptions
from shared.errors import UserError
from shared.pages import plots
from shared.pages.app import Use, bars, build, heading, html_output, require_gradio, serve

COUNT = 12
"""Words in an answer."""
ANALOGIES = (("man", "king", "woman"), ("good", "better", "bad"), ("france", "paris", "italy"))
"""Examples, where the model has their words."""


def run(options: AppOptions) -> int:
    """Serve the page until Ctrl-C (verb `app`)."""
    require_gradio("dltasks-cbow")
    return serve(page_of(load(options.run), Path(options.run)), options)


def page_of(vectors: WordVectors, run: Path) -> Any:
    """Return the page of a model, a `gradio.Blocks`."""
    import gradio

    words = frequent_words(vectors)
    known = [row for row in ANALOGIES if all(word in vectors for word in row)]
    uses = [
        Use(
            "Neighbors", "Find neighbors", partial(neighbors, vectors),
            inputs=[gradio.Textbox(label="Word", render=False)],
            outputs=[html_output()],
            examples=[[word] for word in words[20:26] or words[:6]],
            text=f"The {COUNT} words nearest to it, with the cosine of both vectors.",
        ),
        Use(
            "Analogy", "Answer", partial(analogy, vectors),
            inputs=[
                gradio.Textbox(label=label, render=False)
                for label in ("This word ...", "... is to this one ...", "... as this one is to ...")
            ],
            outputs=[html_output()],
            examples=known,
            text="The words nearest to the second word minus the first plus the third.",
        ),
        Use(
            "Map", "Draw the map", partial(word_map_drawing, vectors),
            inputs=[gradio.Slider(10, 400, value=WORDS_ON_MAP, step=10, label="Words", render=False)],
            outputs=[html_output()],
            examples=[[WORDS_ON_MAP]],
            text="Frequent words by the first two principal components of their vectors. Point at a dot to read it.",
        ),
    ]  # fmt: skip
    return build(*heading("cbow", run), uses)


def neighbors(vectors: WordVectors, word: str) -> str:
    """Return the words nearest to a word as HTML."""
    return bars(vectors.neighbors(_word(word), COUNT))


def analogy(vectors: WordVectors, a: str, b: str, c: str) -> str:
    """Answer "a is to b as c is to ?" as HTML."""
    return bars(vectors.analogy(_word(a), _word(b), _word(c), COUNT))


def word_map_drawing(vectors: WordVectors, count: int) -> str:
    """Return the map of the most frequent words as SVG."""
    words = frequent_words(vectors)[: int(count)]
    figure, _ = plots.scatter_figure(*word_map(vectors, words), words, "", "")
    return plots.with_hover(plots.svg(figure, "Map of words", "map-"), words)


def _word(text: str) -> str:
    if not (text or "").strip():
        raise UserError("A word is missing. Type one.")
    return text.strip()
