"""The pages of `app` as their users meet them: served by the command, opened in a headless Chromium.

Run by `make reliability` and every night: `tox run -e app`. Chromium or Chrome has to be installed.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))),
    None,
)
TRAIN = {
    "cbow": ["--epochs", "2"],
    "esim": ["--steps", "40", "--embedding-size", "24", "--hidden-size", "24", "--vectors", "train"],
    "imdb_sentiment": ["--recipe", "nbsvm"],
    "resnet_tiny": ["--arch", "shufflenet_v2_x0_5", "--steps", "4", "--batch-size", "16"],
    "word_lm": ["--epochs", "1", "--embedding-size", "64", "--hidden-size", "64"],
}  # fmt: skip
SECONDS = 60_000
"""Milliseconds to wait for an answer: machines that run tests are slow."""
each_task = pytest.mark.parametrize("task", TRAIN)

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="neither Chromium nor Chrome is installed")


@dataclass
class App:
    process: subprocess.Popen[str]
    address: str


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        # Chromium's own sandbox is not available to root, in containers.
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="session")
def apps(runs: Path) -> Iterator[dict[str, App]]:
    """Train a model of each task on its sample when it is asked for, and serve it."""

    class Apps(dict):
        def __missing__(self, task: str) -> App:
            self[task] = serve(task, runs)
            return self[task]

    started = Apps()
    yield started
    for app in started.values():
        app.process.kill()
        app.process.wait()


def serve(task: str, runs: Path, *words: str) -> App:
    command = [sys.executable, "-m", task]
    environment = {name: value for name, value in os.environ.items() if name != "DLTASKS_DATA"}
    if not (runs / task).exists():
        train = [*command, "train", "--quiet", "--out", str(runs / task), *TRAIN[task]]
        subprocess.run(train, check=True, cwd=runs, env=environment)
    process = subprocess.Popen(
        [*command, "app", str(runs / task), "--no-browser", *words],
        cwd=runs, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    line = process.stdout.readline()
    address = re.search(r"http://127\.0\.0\.1:\d+", line)
    assert address is not None, line + process.communicate()[1]
    return App(process, address[0])


@pytest.fixture
def opened(browser: Browser, apps: dict[str, App]) -> Iterator:
    """Return a function that opens the app of a task; afterwards nothing may have gone to the network, or wrong."""
    wrong: list[str] = []
    contexts = []

    def open_page(task: str, **settings: object) -> Page:
        address = apps[task].address
        contexts.append(browser.new_context(**settings))  # type: ignore[arg-type]
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
        page.on(
            "request",
            lambda request: (
                None
                if request.url.startswith((address, "data:", "blob:"))
                else wrong.append(f"request: {request.url}")
            ),
        )
        page.goto(address)
        # The answer to the first example.
        page.locator("table.bars").first.wait_for(timeout=SECONDS)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert wrong == []


def submit(page: Page, button: str) -> None:
    page.get_by_role("button", name=button, exact=True).click()


def test_review_is_judged_and_its_words_are_colored(opened) -> None:
    page = opened("imdb_sentiment")
    page.get_by_label("Review").fill("The acting is awful and the story is <b>dull</b>.")
    submit(page, "Judge")
    word = page.locator(".review .against", has_text="awful")
    word.wait_for(timeout=SECONDS)
    assert "negative" in page.locator("table.bars tr").first.inner_text()
    assert "<b>dull" in page.locator(".review").inner_text()


def test_two_sentences_are_compared_with_both_attention_maps(opened) -> None:
    page = opened("esim")
    page.get_by_label("Premise").fill("A nurse sleeps outside tonight.")
    page.get_by_label("Hypothesis").fill("A nurse sleeps.")
    submit(page, "Compare")
    page.locator("table.heat >> text=tonight").first.wait_for(timeout=SECONDS)
    assert page.locator("table.heat").count() == 2
    assert page.locator("table.bars tr").count() == 3


def test_prompt_is_continued_with_the_next_words_beside_it(opened) -> None:
    page = opened("word_lm")
    page.get_by_label("Prompt").fill("the captain")
    submit(page, "Continue")
    # Its label goes to the copy button, which is in the label, too.
    text = page.locator("label", has_text="Generated text").locator("textarea")
    page.wait_for_function(
        "element => element.value.startsWith('the captain')",
        arg=text.element_handle(),
        timeout=SECONDS,
    )
    assert page.locator("table.bars tr").count() == 10


def test_image_is_classified_and_a_file_that_is_none_is_named(opened, tmp_path: Path) -> None:
    from PIL import Image

    page = opened("resnet_tiny")
    Image.new("L", (300, 200), 128).save(tmp_path / "grey.png")
    (tmp_path / "notes.png").write_text("not an image")
    for name in ("grey.png", "notes.png"):
        page.get_by_label("Remove Image").or_(page.get_by_label("Clear")).first.click()
        page.locator("input[type=file]").first.set_input_files(tmp_path / name)
        page.wait_for_timeout(1000)
        submit(page, "Classify")
    page.get_by_text("is not an image").wait_for(timeout=SECONDS)


def test_word_has_neighbors_and_an_unknown_one_a_message(opened) -> None:
    page = opened("cbow")
    page.get_by_label("Word").first.fill("qqqq")
    page.get_by_label("Word").first.press("Enter")
    page.get_by_text("No vector for 'qqqq'").wait_for(timeout=SECONDS)
    page.get_by_role("tab", name="Map").click()
    page.locator("svg.plot title").first.wait_for(state="attached", timeout=SECONDS)


@each_task
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_fits_a_phone(opened, task: str, scheme: str) -> None:
    phone = {"width": 390, "height": 844}
    page = opened(task, viewport=phone, color_scheme=scheme, is_mobile=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= phone["width"]
    is_dark = page.evaluate("document.body.classList.contains('dark')")
    assert is_dark == (scheme == "dark")


def test_app_listens_on_this_machine_alone_and_ends_at_ctrl_c(runs: Path) -> None:
    app = serve("cbow", runs)
    port = app.address.rpartition(":")[2]
    taken = subprocess.run(
        [sys.executable, "-m", "cbow", "app", str(runs / "cbow"), "--no-browser", "--port", port],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (taken.returncode, taken.stdout) == (2, "")
    assert taken.stderr.startswith(f"cbow: --port {port}: ") and taken.stderr.count("\n") == 1
    app.process.send_signal(signal.SIGINT)
    _, errors = app.process.communicate(timeout=60)
    assert (app.process.returncode, errors) == (0, "")
