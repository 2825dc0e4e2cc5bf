"""The verb `app`: next words and generated text on a local page."""

from __future__ import annotations

from functools import partial
from typing import Any

from shared.command.options import AppOptions
from shared.pages.app import Use, bars, build, heading, html_output, require_gradio, serve
from word_lm.loaded import LoadedModel, load

PROMPTS = ("the", "the captain", "the game was", "in the first")
"""Examples, where the model has their words."""
COUNT = 10
"""Next words that are shown."""


def run(options: AppOptions) -> int:
    """Serve the page until Ctrl-C (verb `app`)."""
    require_gradio("dltasks-word-lm")
    return serve(page_of(load(options.run)), options)


def page_of(model: LoadedModel) -> Any:
    """Return the page of a model, a `gradio.Blocks`."""
    import gradio

    known = [text for text in PROMPTS if all(word in model.vocabulary for word in text.split())]
    use = Use(
        "Continue", "Continue", partial(continued, model),
        inputs=[
            gradio.Textbox(
                label="Prompt", placeholder="empty: start on a new line", lines=2, max_lines=6, submit_btn=False,
                render=False,
            ),
            gradio.Slider(1, 200, value=40, step=1, label="Words to generate", render=False),
            gradio.Slider(0, 2, value=1, step=0.05, label="Temperature (0: the most probable word)", render=False),
            gradio.Number(value=1, precision=0, minimum=0, label="Seed", render=False),
        ],
        outputs=[
            gradio.Textbox(label="Generated text", lines=4, max_lines=20, buttons=["copy"], render=False),
            html_output(label="Next word", show_label=True, container=True, padding=True),
        ],
        examples=[[text, 40, 1.0, 1] for text in known[:3] or [""]],
    )  # fmt: skip
    return build(*heading("word-lm", model.path), [use])


def continued(
    model: LoadedModel, prompt: str, words: int, temperature: float, seed: int
) -> tuple[str, str]:
    """Return a generated text, and the most probable next words of its prompt as HTML."""
    text = model.generate(prompt or "", int(words), temperature=temperature, seed=int(seed or 0))
    return str(text), bars(model.next_words(prompt or "", COUNT), as_percent=True)
