"""The verb `app`: the class of a review and the words that mattered, on a local page."""

from __future__ import annotations

from functools import partial
from typing import Any

from imdb_sentiment.commands.explain import STYLE, colored
from imdb_sentiment.model.trained import TrainedModel, load
from imdb_sentiment.predict import explained, word_effects
from shared.command.options import AppOptions
from shared.errors import UserError
from shared.pages.app import Use, bars, build, heading, html_output, require_gradio, serve

REVIEWS = (
    "The acting is brilliant and the story is moving. I was never bored.",
    "Dull and tedious: a lifeless hero in a boring film. The music is not funny either.",
    "The ending is not awful, and the script is clever!",
)


def run(options: AppOptions) -> int:
    """Serve the page until Ctrl-C (verb `app`)."""
    require_gradio("dltasks-imdb-sentiment")
    return serve(page_of(load(options.run)), options)


def page_of(model: TrainedModel) -> Any:
    """Return the page of a model, a `gradio.Blocks`."""
    import gradio

    use = Use(
        "Judge a review", "Judge", partial(judged, model),
        inputs=[gradio.Textbox(label="Review", lines=7, max_lines=20, render=False)],
        outputs=[html_output(), html_output()],
        examples=[[text] for text in REVIEWS],
    )  # fmt: skip
    return build(*heading("imdb-sentiment", model.path), [use], STYLE)


def judged(model: TrainedModel, text: str) -> tuple[str, str]:
    """Return the probability of each class, and the review with the words that mattered colored, as HTML."""
    if not (text or "").strip():
        raise UserError("The review is empty. Type or paste one.")
    probabilities = model.probabilities([text])[0]
    spans, effects = word_effects(model.classifier, text, probabilities)
    name, _ = explained(model.classifier, probabilities)
    note = f"<p>Blue words raise the probability of {name}, orange words lower it.</p>"
    scores = zip(model.classes, probabilities.tolist(), strict=True)
    ranked = sorted(scores, key=lambda score: -score[1])
    return bars(ranked, as_percent=True), colored(text, spans, effects) + note
