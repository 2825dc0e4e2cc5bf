"""Downloads against servers on this machine that behave as badly as real ones."""

from __future__ import annotations

import hashlib
import http.server
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from shared.data import fetch as fetch_module
from shared.data.fetch import Source, fetch
from shared.errors import UserError
from shared.locks import NoLocks

DATA = bytes(range(256)) * 2000  # 512,000 bytes
Handler = http.server.BaseHTTPRequestHandler


@dataclass
class Server:
    """A web server whose pages are functions; `ranges` is what each request asked for."""

    url: str
    pages: dict[str, Callable[[Handler], None]]
    ranges: list[str | None] = field(default_factory=list)
    agents: list[str | None] = field(default_factory=list)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    record = Server("", {})

    class Pages(Handler):
        def do_GET(self) -> None:
            record.ranges.append(self.headers.get("Range"))
            record.agents.append(self.headers.get("User-Agent"))
            record.pages[self.path](self)

        def log_message(self, *args: object) -> None:
            pass

    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    running.daemon_threads = True
    threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True).start()
    record.url = f"http://127.0.0.1:{running.server_port}"
    yield record
    running.shutdown()
    running.server_close()


def answer(handler: Handler, body: bytes, status: int = 200, **headers: str) -> None:
    handler.send_response(status)
    for name, value in ({"Content_Length": str(len(body))} | headers).items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)


def whole(handler: Handler) -> None:
    """A server without Range."""
    answer(handler, DATA)


def by_range(handler: Handler) -> None:
    """A server with Range."""
    asked = handler.headers.get("Range")
    if asked is None:
        return answer(handler, DATA)
    start = int(asked.removeprefix("bytes=").removesuffix("-"))
    if start >= len(DATA):
        return answer(handler, b"", 416)
    span = f"bytes {start}-{len(DATA) - 1}/{len(DATA)}"
    answer(handler, DATA[start:], 206, Content_Range=span)


def cut_then(page: Callable[[Handler], None], at: int = 100_000) -> Callable[[Handler], None]:
    """The first answer promises everything and stops at `at` bytes."""
    seen: list[int] = []

    def handle(handler: Handler) -> None:
        if seen:
            return page(handler)
        seen.append(1)
        answer(handler, DATA[:at], Content_Length=str(len(DATA)))

    return handle


def missing(handler: Handler) -> None:
    answer(handler, b"not here", 404)


def login(handler: Handler) -> None:
    answer(handler, b"\n <!DOCTYPE html><html>log in</html>", Content_Type="application/zip")


def source(*urls: str, size: int | None = len(DATA), sha256: str = "") -> Source:
    digest = sha256 or hashlib.sha256(DATA).hexdigest()
    return Source("Test data", "data.zip", urls, digest, size, "Ask the teacher.")


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def left_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.endswith(".lock")}


def test_file_arrives_whole_under_its_name_only(server: Server, tmp_path: Path) -> None:
    server.pages["/f"] = whole
    path = fetch(source(server.url + "/f"), tmp_path / "new", quiet=True)
    assert path.read_bytes() == DATA
    assert left_in(tmp_path / "new") == {"data.zip"}


def test_server_sees_a_browser(server: Server, tmp_path: Path) -> None:
    server.pages["/f"] = whole
    fetch(source(server.url + "/f"), tmp_path, quiet=True)
    assert str(server.agents[0]).startswith("Mozilla/5.0")


def test_file_in_the_cache_is_not_fetched_again(server: Server, tmp_path: Path) -> None:
    (tmp_path / "data.zip").write_bytes(DATA)
    fetch(source(server.url + "/f"), tmp_path, quiet=True)
    assert server.ranges == []


def test_damaged_file_in_the_cache_is_replaced(server: Server, tmp_path: Path) -> None:
    server.pages["/f"] = whole
    (tmp_path / "data.zip").write_bytes(DATA[:-1] + b"x")
    assert fetch(source(server.url + "/f"), tmp_path, quiet=True).read_bytes() == DATA


def test_cut_connection_is_resumed_where_it_broke(server: Server, tmp_path: Path) -> None:
    server.pages["/f"] = cut_then(by_range)
    path = fetch(source(server.url + "/f"), tmp_path, quiet=True)
    assert path.read_bytes() == DATA
    assert server.ranges == [None, "bytes=100000-"]


@pytest.mark.parametrize("size", [len(DATA), None])
def test_part_of_an_earlier_run_is_continued(
    server: Server, tmp_path: Path, size: int | None
) -> None:
    server.pages["/f"] = by_range
    (tmp_path / "data.zip.part").write_bytes(DATA[:7])
    path = fetch(source(server.url + "/f", size=size), tmp_path, quiet=True)
    assert path.read_bytes() == DATA
    assert server.ranges == ["bytes=7-"]


def test_server_without_range_starts_over(server: Server, tmp_path: Path) -> None:
    server.pages["/f"] = whole
    (tmp_path / "data.zip.part").write_bytes(DATA[:1000])
    assert fetch(source(server.url + "/f"), tmp_path, quiet=True).read_bytes() == DATA


def test_wrong_range_in_the_answer_starts_over(server: Server, tmp_path: Path) -> None:
    def other_range(handler: Handler) -> None:
        if handler.headers.get("Range"):
            return answer(handler, DATA, 206, Content_Range=f"bytes 0-{len(DATA) - 1}/{len(DATA)}")
        whole(handler)

    server.pages["/f"] = other_range
    (tmp_path / "data.zip.part").write_bytes(DATA[:1000])
    assert fetch(source(server.url + "/f"), tmp_path, quiet=True).read_bytes() == DATA


def test_416_for_a_whole_part_takes_it(server: Server, tmp_path: Path) -> None:
    server.pages["/f"] = by_range
    (tmp_path / "data.zip.part").write_bytes(DATA)
    fetch(source(server.url + "/f", size=None), tmp_path, quiet=True)
    assert server.ranges == [f"bytes={len(DATA)}-"]


def test_416_for_a_wrong_part_starts_over(server: Server, tmp_path: Path) -> None:
    server.pages["/f"] = by_range
    (tmp_path / "data.zip.part").write_bytes(DATA + b"too much")
    assert fetch(source(server.url + "/f"), tmp_path, quiet=True).read_bytes() == DATA


def test_part_with_wrong_bytes_is_thrown_away(server: Server, tmp_path: Path) -> None:
    server.pages["/f"] = by_range
    (tmp_path / "data.zip.part").write_bytes(b"x" * 1000)
    assert fetch(source(server.url + "/f"), tmp_path, quiet=True).read_bytes() == DATA
    assert server.ranges == ["bytes=1000-", None]


@pytest.mark.parametrize(
    "page, why",
    [
        (missing, "HTTP 404"),
        (login, "web page"),
        (lambda handler: answer(handler, b"x" * len(DATA)), "sha256"),
        (lambda handler: answer(handler, DATA[:9]), "offers 9 bytes"),
        (lambda handler: answer(handler, b"", Content_Length=str(len(DATA))), "cut the connection"),
    ],
)
def test_bad_mirror_is_named_and_the_next_one_used(
    server: Server,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    page: Callable[[Handler], None],
    why: str,
) -> None:
    server.pages |= {"/bad": page, "/good": by_range}
    path = fetch(source(server.url + "/bad", server.url + "/good"), tmp_path, quiet=True)
    assert path.read_bytes() == DATA
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "next mirror" in line]
    assert why in line


def test_web_page_is_never_kept_even_where_the_size_is_unknown(
    server: Server, tmp_path: Path
) -> None:
    server.pages["/bad"] = login
    with pytest.raises(UserError, match="web page"):
        fetch(source(server.url + "/bad", size=None), tmp_path, quiet=True)
    assert left_in(tmp_path) == set()


def test_wrong_file_never_gets_the_name(server: Server, tmp_path: Path) -> None:
    server.pages["/f"] = whole
    with pytest.raises(UserError, match="sha256"):
        fetch(source(server.url + "/f", sha256="0" * 64), tmp_path, quiet=True)
    assert left_in(tmp_path) == set()


def test_silent_mirror_is_left_after_the_timeout_and_its_bytes_are_kept(
    server: Server, tmp_path: Path
) -> None:
    stop = threading.Event()

    def silent(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(DATA)))
        handler.end_headers()
        handler.wfile.write(DATA[:5000])
        handler.wfile.flush()
        stop.wait(5)

    server.pages |= {"/silent": silent, "/good": by_range}
    urls = (server.url + "/silent", server.url + "/good")
    begin = time.monotonic()
    path = fetch(source(*urls), tmp_path, quiet=True, timeout=0.3)
    stop.set()
    assert path.read_bytes() == DATA
    assert time.monotonic() - begin < 3
    assert server.ranges == [None, "bytes=5000-"]


def test_dripping_mirror_is_left(server: Server, tmp_path: Path) -> None:
    def dripping(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(DATA)))
        handler.end_headers()
        for at in range(200):
            try:
                handler.wfile.write(DATA[at : at + 1])
                handler.wfile.flush()
            except OSError:
                return
            time.sleep(0.05)

    server.pages |= {"/slow": dripping, "/good": by_range}
    urls = (server.url + "/slow", server.url + "/good")
    begin = time.monotonic()
    assert fetch(source(*urls), tmp_path, quiet=True, timeout=0.4).read_bytes() == DATA
    assert time.monotonic() - begin < 4


def test_all_mirrors_closed_gives_one_line_that_says_what_to_do(
    server: Server, tmp_path: Path
) -> None:
    server.pages["/f"] = missing
    urls = (server.url + "/f", f"http://127.0.0.1:{closed_port()}/f")
    with pytest.raises(UserError) as caught:
        fetch(source(*urls), tmp_path, quiet=True)
    message = str(caught.value)
    assert "\n" not in message
    assert "HTTP 404" in message
    assert "connection refused" in message
    assert f"download {urls[0]} , save it as {tmp_path / 'data.zip'} and run" in message
    assert message.endswith("Ask the teacher.")


def test_file_put_there_by_hand_is_used_with_the_network_closed(tmp_path: Path) -> None:
    (tmp_path / "data.zip").write_bytes(DATA)
    assert fetch(source(f"http://127.0.0.1:{closed_port()}/f"), tmp_path).read_bytes() == DATA


def test_interrupt_keeps_the_part(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.pages["/f"] = by_range
    read = fetch_module._read
    calls: list[int] = []

    def interrupted(*args: object) -> bytes:
        calls.append(1)
        if len(calls) > 1:
            raise KeyboardInterrupt
        return read(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(fetch_module, "_read", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fetch(source(server.url + "/f"), tmp_path, quiet=True)
    kept = (tmp_path / "data.zip.part").read_bytes()
    assert kept
    assert DATA.startswith(kept)
    assert left_in(tmp_path) == {"data.zip.part"}


def test_two_at_once_fetch_one_file_once(server: Server, tmp_path: Path) -> None:
    def slowly(handler: Handler) -> None:
        time.sleep(0.3)
        whole(handler)

    server.pages["/f"] = slowly
    results: list[bytes] = []

    def work() -> None:
        results.append(fetch(source(server.url + "/f"), tmp_path, quiet=True).read_bytes())

    workers = [threading.Thread(target=work) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert results == [DATA] * 3
    assert len(server.ranges) == 1


def test_disk_without_locks_still_fetches(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(path: Path) -> None:
        raise NoLocks("no locks on this disk")

    server.pages["/f"] = whole
    monkeypatch.setattr(fetch_module, "acquire", no_locks)
    assert fetch(source(server.url + "/f"), tmp_path, quiet=True).read_bytes() == DATA
    assert left_in(tmp_path) == {"data.zip"}


def test_folder_that_cannot_be_written_is_a_user_error(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="DLTASKS_DATA"):
        fetch(source(server.url + "/f"), tmp_path / "file" / "folder", quiet=True)
