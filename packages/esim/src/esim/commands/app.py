"""The verb `app`: the label of two sentences with the attention between them, on a local page."""

from __future__ import annotations

from functools import partial
from typing import Any

from esim.commands.attend import examples, heat_maps
from esim.predict import LoadedModel, load
from shared.command.options import AppOptions
from shared.errors import UserError
from shared.pages.app import Use, bars, build, heading, html_output, require_gradio, serve
from shared.pages.heat_map import STYLE

EXAMPLES = 5
NOTE = (
    "<p>Each row is the attention of one word over the words of the other sentence, and sums to 1. "
    "Underlined words are not in the vocabulary.</p>"
)


def run(options: AppOptions) -> int:
    """Serve the page until Ctrl-C (verb `app`)."""
    require_gradio("dltasks-esim")
    return serve(page_of(load(options.run)), options)


def page_of(model: LoadedModel) -> Any:
    """Return the page of a model, a `gradio.Blocks`."""
    import gradio

    use = Use(
        "Compare", "Compare", partial(compared, model),
        inputs=[gradio.Textbox(label=label, render=False) for label in ("Premise", "Hypothesis")],
        outputs=[html_output(), html_output()],
        examples=_pairs(model),
    )  # fmt: skip
    return build(*heading("esim", model.path), [use], STYLE)


def compared(model: LoadedModel, premise: str, hypothesis: str) -> tuple[str, str]:
    """Return the probability of each label, and the attention of both directions, as HTML."""
    prediction = model.attention(premise or "", hypothesis or "")
    labels = bars(list(prediction.probabilities.items()), as_percent=True)
    return labels, "".join([*heat_maps(prediction), NOTE])


def _pairs(model: LoadedModel) -> list[list[str]]:
    """Return pairs of the run's dev data; without the data, one pair."""
    try:
        return [[premise, hypothesis] for premise, hypothesis, _ in examples(model, EXAMPLES)]
    except UserError:
        return [["A dog runs.", "An animal moves."]]
