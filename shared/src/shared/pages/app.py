"""A page on which a trained model can be tried, served on this machine alone (verb `app` of every command).

A task lists what its model is used for; the page has a tab for each, with inputs, a button, outputs and examples. It is
made with Gradio (extra `app` of each package), which is imported when a page is made.

    page = build("esim: laptop", "Trained on SNLI.", [
        Use("Compare two sentences", "Compare", compare, inputs=[...], outputs=[...], examples=[...]),
    ])
    serve(page, options)
"""

from __future__ import annotations

import functools
import html
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.command.options import AppOptions
from shared.errors import UserError
from shared.extras import require
from shared.interrupt import StopRequest
from shared.pages.plots import DARK, LIGHT

ADDRESS = "127.0.0.1"
"""The loopback address: other machines on the network cannot reach the page."""
FONTS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "sans-serif")
CODE_FONTS = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")


@dataclass(frozen=True)
class Use:
    """One use of a model.

    Parameters
    ----------
    name : str
        Title of its tab.
    button : str
        What is written on the button.
    function : callable
        Takes the values of the inputs and returns those of the outputs. A `UserError` is shown as a message.
    inputs, outputs : sequence of Gradio components
        Made with `render=False`.
    examples : sequence of rows
        Values of the inputs. The first is shown with its answer when the page opens.
    text : str
        One or two sentences above the outputs, as plain text.
    """

    name: str
    button: str
    function: Callable[..., Any]
    inputs: Sequence[Any]
    outputs: Sequence[Any]
    examples: Sequence[Sequence[Any]] = ()
    text: str = ""


def require_gradio(package: str) -> None:
    """Check that a distribution's extra `app` is installed.

    Raises
    ------
    UserError
        It is not; the message has the command that installs it.
    """
    require(("gradio",), package, "app", "The app needs")


def heading(command: str, run: Path) -> tuple[str, str]:
    """Return title and subtitle for the page of a run: its recipe, its data, where it is."""
    try:
        summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
        name, data = summary["recipe"] or "own settings", summary["data"]
        made_up = " (made up)" if data["is_sample"] else ""
        return f"{command}: {name}", f"Trained on {data['name']}{made_up}. Run: {run}"
    except (OSError, ValueError, KeyError, TypeError):  # did not end yet, or is a file of vectors
        return f"{command}: {run.name}", str(run)


def html_output(**settings: Any) -> Any:
    """Return a component for an answer that is HTML of ours, a `gradio.HTML` without Gradio's own styles."""
    import gradio

    return gradio.HTML(apply_default_css=False, render=False, **settings)


def bars(values: Sequence[tuple[str, float]], *, as_percent: bool = False) -> str:
    """Return names with numbers of 0 to 1, such as probabilities or cosines, as an HTML table with a bar for each."""
    rows = (
        f'<tr><th scope="row">{html.escape(name)}</th>'
        f'<td class="bar"><i style="width:{100 * min(max(value, 0.0), 1.0):.1f}%"></i></td>'
        f"<td>{f'{100 * value:.1f} %' if as_percent else f'{value:.3f}'}</td></tr>"
        for name, value in values
    )
    return f'<table class="bars"><tbody>{"".join(rows)}</tbody></table>'


def build(title: str, subtitle: str, uses: Sequence[Use], style: str = "") -> Any:
    """Make the page.

    Parameters
    ----------
    title, subtitle : str
        See `heading`.
    uses : sequence of Use
        One or more, a tab for each.
    style : str
        Style element for what the outputs hold.

    Returns
    -------
    gradio.Blocks
    """
    import gradio

    page = gradio.Blocks(title=title, analytics_enabled=False, delete_cache=(3600, 3600))
    with page:
        gradio.HTML(f"<h1>{html.escape(title)}</h1><p>{html.escape(subtitle)}</p>")
        if len(uses) == 1:
            _place(page, uses[0])
        else:
            with gradio.Tabs():
                for use in uses:
                    with gradio.Tab(use.name):
                        _place(page, use)
    page.style = f"<style>{_style()}</style>{style}"
    return page


def serve(page: Any, options: AppOptions) -> int:
    """Serve a page until Ctrl-C.

    Raises
    ------
    UserError
        The port is taken.
    """
    import gradio

    with StopRequest() as stop:
        try:
            _, address, _ = page.launch(
                server_name=ADDRESS,
                server_port=options.port,
                inbrowser=options.browser,
                share=False,
                ssr_mode=False,
                footer_links=[],
                quiet=True,
                prevent_thread_lock=True,
                head=page.style,
                # Fonts of the reader's system: the default theme's come from the network.
                theme=gradio.themes.Default(primary_hue="blue", font=FONTS, font_mono=CODE_FONTS),
            )
        except OSError as error:
            where = "7860 to 7959" if options.port is None else options.port
            raise UserError(
                f"--port {where}: cannot be listened on ({error}). Choose another port."
            ) from None
        print(f"The app is at {address}. End it with Ctrl-C.", flush=True)
        while stop.signal_number is None:
            time.sleep(0.2)
        page.close(verbose=False)
    return 0


def _place(page: Any, use: Use) -> None:
    """Place a use on the page: inputs, button and examples on the left, outputs on the right."""
    import gradio

    answer = _with_messages(use.function)
    inputs, outputs = list(use.inputs), list(use.outputs)
    with gradio.Row():
        with gradio.Column():
            for component in inputs:
                component.render()
            button = gradio.Button(use.button, variant="primary")
        with gradio.Column():
            if use.text:
                gradio.HTML(f"<p>{html.escape(use.text)}</p>")
            for component in outputs:
                component.render()
    # Enter in a line of text, and a file that is dropped in, are as good as the button.
    triggers = [button.click]
    triggers += [
        getattr(c, name) for c in inputs for name in ("submit", "upload") if hasattr(c, name)
    ]
    name = use.name.lower().replace(" ", "_")
    # One queue, so that no answer overtakes a later one: the first must not replace that of a fast reader.
    asked = {"fn": answer, "inputs": inputs, "outputs": outputs, "concurrency_id": name}
    gradio.on(triggers, api_name=name, show_progress_on=outputs[:1], **asked)
    if len(use.examples) > 1:
        gradio.Examples(
            [list(row) for row in use.examples], inputs, outputs, answer,
            run_on_click=True, cache_examples=False, api_visibility="private",
        )  # fmt: skip
    if use.examples:
        row = list(use.examples[0])
        unseen = {"show_progress": "hidden", "api_visibility": "private"}
        shown = page.load(
            lambda: row if len(row) > 1 else row[0], None, inputs, queue=False, **unseen
        )
        shown.then(**asked, **unseen)


def _with_messages(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function whose `UserError` becomes a message on the page."""
    import gradio

    @functools.wraps(function)
    def answer(*values: Any) -> Any:
        try:
            return function(*values)
        except UserError as error:
            raise gradio.Error(html.escape(str(error)), title="", print_exception=False) from None

    return answer


def _style() -> str:
    """Return the colors that plots and heat maps are drawn with, light and dark."""
    light, dark = (
        "".join(f"--{name}:{value};" for name, value in palette.items())
        for palette in (LIGHT, DARK)
    )
    return f":root{{{light}}}\n.dark{{{dark}}}\n{_CSS}"


_CSS = """
h3{font-weight:600;margin:.9rem 0 .3rem}
.scroll{overflow-x:auto}
.scroll,.review{margin-bottom:.9rem}
table.bars{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
table.bars tr>*{padding:.2rem 0}
table.bars th{font-weight:normal;text-align:left;max-width:12rem;overflow-wrap:anywhere}
table.bars td{text-align:right;white-space:nowrap;width:4rem}
table.bars td.bar{width:42%;padding-left:.8rem}
table.bars i{display:block;height:.8rem;border-radius:2px;background:var(--s1)}
"""
