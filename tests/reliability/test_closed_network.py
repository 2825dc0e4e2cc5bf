"""Without a network `fetch` of every command says what to do; nothing else asks for it.

What bad networks do to a download is tested beside `shared.data.fetch`.
"""

from __future__ import annotations

import importlib
import socket
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from attempts import attempt
from harm import NETWORK
from trainings import TASKS

from shared.data import datasets

SETS = {
    "cbow": "cbow",
    "esim": "snli",
    "imdb_sentiment": "aclImdb",
    "resnet_tiny": "tiny-imagenet-200",
    "word_lm": "wikitext-2",
}
FETCHES = [*((task, ()) for task in TASKS), ("imdb_sentiment", ("--glove",))]
each_fetch = pytest.mark.parametrize("task, more", FETCHES, ids=lambda value: "".join(value))
SECONDS = 30
"""`fetch` without a network says so within this time; it takes a fraction of it."""

Call = Callable[..., tuple[int, list[str]]]


@pytest.fixture
def call(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Call:
    """Return a caller of commands: task and words -> exit code and the lines on standard error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DLTASKS_DATA", str(tmp_path / "data"))

    def call(task: str, *words: str) -> tuple[int, list[str]]:
        capsys.readouterr()
        urllib.request.install_opener(None)  # type: ignore[arg-type]  # it keeps the proxies it began with
        code = importlib.import_module(f"{task}.cli").main(list(words))
        return code, capsys.readouterr().err.splitlines()

    return call


@pytest.mark.parametrize("task", TASKS)
def test_attempts_of_this_suite_end_where_they_ask_for_the_network(task: str) -> None:
    """So every training and evaluation in it shows that it needs none."""
    assert attempt(f"{task}.cli", ["fetch", "--quiet"])[0].code == NETWORK


@each_fetch
def test_unreachable_proxy_gives_the_steps_to_do_by_hand_at_once(
    task: str, more: tuple[str, ...], call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{probe.getsockname()[1]}"
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, closed)
    began = time.monotonic()
    code, lines = call(task, "fetch", "--quiet", *more)
    assert time.monotonic() - began < SECONDS
    assert code == 2
    last = lines[-1]
    assert last.startswith(f"{task.replace('_', '-')}: ") and "connection refused" in last
    source = datasets.SOURCES["glove.6B" if more else SETS[task]][0]
    assert f"By hand: download {source.urls[0]} , save it as {tmp_path / 'data'}" in last
    assert source.file in last and source.manual in last
    for url in source.urls:
        assert any(url.split("/")[2] in line for line in lines)
    left = [path for path in (tmp_path / "data").rglob("*") if path.is_file()]
    assert [path for path in left if path.suffix != ".lock"] == []


@each_fetch
def test_data_root_that_cannot_be_written_is_named_before_the_network_is_asked(
    task: str, more: tuple[str, ...], call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("mine")
    monkeypatch.setenv("DLTASKS_DATA", str(tmp_path / "file" / "data"))
    code, lines = call(task, "fetch", "--quiet", *more)
    assert code == 2 and len(lines) == 1
    assert str(tmp_path / "file") in lines[0] and "DLTASKS_DATA" in lines[0]
