"""The report page: what is in it, what must not be, and that it never changes by itself."""

from __future__ import annotations

import builtins
import dataclasses
import html
import os
import re
import subprocess
import threading
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from shared.command.options import ReportOptions
from shared.errors import UserError
from shared.pages import plots
from shared.pages.plots import line_figure, svg
from shared.pages.report import Report, curve, make_page, run_page, save_plot
from shared.runs.run_directory import RunDirectory

pytestmark = pytest.mark.long

CURVES = {
    "train": ([1, 2, 3], [3.0, 2.0, 1.5]),
    "valid <&>": ([1, 2, 3], [3.1, float("nan"), float("inf")]),
}
VOID = {"meta", "img", "br", "link", "hr", "input"}


class Page(HTMLParser):
    """Collects what the tests ask about and checks that every tag is closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.attributes if key == name]


def full_report() -> Report:
    report = Report("A <title>", subtitle="sub & title")
    report.heading("Results <b>")
    report.text("1 < 2 & \"quotes\" 'too' <script>alert(1)</script>")
    report.code("cbow train --data <folder>")
    report.table(["name", "loss <nat>"], [["<unk>", 5.0444], ["b", 5.2]], caption="A & B")
    report.lines("Loss <1>", "epoch", "loss <nat>", CURVES, caption="two <curves>")
    report.lines("Again", "epoch", "loss", CURVES, log_x=True, log_y=True)
    report.scatter("Words", [0.0, 1.0, 2.0], [0.0, 1.0, 0.5], ["a<b", "电影", "c&d"])
    report.bars("Speed", {"a <b>": 3.0, "c": 1.0}, errors={"c": 0.5})
    report.image(b"\x89PNG", 'alt "text"', caption="picture <1>")
    report.html("<p>raw <em>html</em></p>")
    return report


def saved(report: Report, folder: Path) -> str:
    return report.save(folder / "report.html").read_text(encoding="utf-8")


def test_page_is_well_formed_and_whole(tmp_path: Path) -> None:
    page = Page(saved(full_report(), tmp_path))
    assert page.tags.count("svg") == 4
    assert page.tags.count("h1") == 1
    assert page.tags.count("table") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_page_loads_nothing_and_runs_nothing(tmp_path: Path) -> None:
    text = saved(full_report(), tmp_path)
    page = Page(text)
    assert not {"script", "link", "iframe", "object", "foreignobject"} & set(page.tags)
    for name in ("src", "href", "xlink:href", "srcset", "style"):
        for value in page.values(name):
            assert "http" not in value
            assert "//" not in value.removeprefix("data:image/png;base64,")
    assert "http" not in text
    assert "@import" not in text
    assert not [name for name, _ in page.attributes if name.startswith("on")]


def test_everything_given_is_escaped_but_raw_html(tmp_path: Path) -> None:
    text = saved(full_report(), tmp_path)
    page = Page(text)
    assert "<script" not in text
    for part in ("A <title>", "sub & title", "Results <b>", "<unk>", "loss <nat>", "A & B",
                 "two <curves>", "valid <&>", "a<b", "c&d", "a <b>", "picture <1>"):  # fmt: skip
        assert part in page.text
    assert "Loss <1>" in page.values("aria-label")
    assert 'alt "text"' in page.values("alt")
    assert "em" in page.tags


def test_ids_are_unique_and_every_reference_has_one(tmp_path: Path) -> None:
    text = saved(full_report(), tmp_path)
    page = Page(text)
    ids = page.values("id")
    assert len(ids) == len(set(ids)) > 20
    references = re.findall(r"url\(#([^)]+)\)", text) + [v[1:] for v in page.values("href")]
    assert references
    assert set(references) <= set(ids)


def test_same_calls_give_the_same_bytes(tmp_path: Path) -> None:
    first, second = saved(full_report(), tmp_path), saved(full_report(), tmp_path)
    assert first == second


def test_user_s_matplotlib_settings_change_nothing(tmp_path: Path) -> None:
    import matplotlib

    plain = saved(full_report(), tmp_path)
    with matplotlib.rc_context({"font.size": 30, "axes.xmargin": 0.3, "svg.fonttype": "path"}):
        assert saved(full_report(), tmp_path) == plain
        assert matplotlib.rcParams["font.size"] == 30  # and ours do not stay


def test_plots_take_their_colors_from_the_page(tmp_path: Path) -> None:
    text = saved(full_report(), tmp_path)
    for drawing in re.findall(r"<svg.*?</svg>", text, flags=re.DOTALL):
        assert not re.search(r"#[0-9a-f]{6}\b", drawing)
        assert "var(--" in drawing
        assert " width=" not in drawing.split(">", 1)[0]
    assert "@media screen and (prefers-color-scheme:dark)" in text
    assert plots.LIGHT.keys() == plots.DARK.keys()


def luminance(color: str) -> float:
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("palette", [plots.LIGHT, plots.DARK])
@pytest.mark.parametrize(
    "name, least", [("ink", 7), ("quiet", 4.5)] + [(f"s{i}", 3.0) for i in range(1, 7)]
)
def test_contrast_meets_wcag(palette: dict[str, str], name: str, least: float) -> None:
    bright, dark = sorted((luminance(palette[name]), luminance(palette["paper"])), reverse=True)
    assert (bright + 0.05) / (dark + 0.05) >= least


def cells(report: Report, tmp_path: Path) -> list[tuple[str, str]]:
    return re.findall(r"<td( class=\"n\")?>(.*?)</td>", saved(report, tmp_path))


def test_numbers_of_a_column_line_up_at_the_right(tmp_path: Path) -> None:
    report = Report("t")
    rows = [
        ["a", 5.0444, 205068, "8.28 %", None],
        ["b", 5.24, 7, "19.82 %", 3],
        ["c", True, 1, "-", 2],
    ]
    report.table(list("vwxyz"), rows)
    found = cells(report, tmp_path)
    assert [text for _, text in found[:10]] == [
        "a", "5.044", "205,068", "8.28 %", "–", "b", "5.240", "7", "19.82 %", "3",
    ]  # fmt: skip
    assert [bool(mark) for mark, _ in found[:5]] == [False, False, True, True, True]


@pytest.mark.parametrize(
    "value, text",
    [(5.04444, "5.044"), (1e-5, "1e-05"), (20.0, "20"), (9999, "9999"), (123456.7, "123,457"), (9999.4, "9999"),
     (9999.7, "10,000"), (-9999.5, "-10,000"), (0.99999, "1"),
     (float("nan"), "nan"), (float("inf"), "inf"), (-12345, "-12,345"), (0, "0")],
)  # fmt: skip
def test_number_is_written_for_readers(value: float, text: str) -> None:
    assert plots.number_text(value) == text


@pytest.mark.parametrize(
    "word", ["$_$", "\\alpha$x^", "a\nb", "\x00", "\ud800", "\x1b[0m", "\x85", "%s", ""]
)
def test_any_word_can_be_drawn_as_it_is(word: str, tmp_path: Path) -> None:
    report = Report(f"t {word}", f"s {word}")
    report.table([f"h {word}"], [[f"c {word}"]])
    report.scatter(f"m {word}", [0, 1], [0, 1], [word, "ok"])
    report.bars("b", {word: 1.0})
    curves = {word: ([1, 2], [1.0, 2.0]), "z": ([1, 2], [2.0, 1.0])}
    report.lines(f"l {word}", f"x {word}", f"y {word}", curves, png=tmp_path / "plot.png")
    text = saved(report, tmp_path)
    Page(text)
    assert plots.printable(word) in html.unescape(text)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", text)


def test_empty_text_cells_stay_empty(tmp_path: Path) -> None:
    report = Report("t")
    report.table(["a", "b"], [["", 1.5], ["x", ""]])
    assert [text for _, text in cells(report, tmp_path)] == ["", "1.5", "x", ""]


def test_row_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="1 cells, the header 2"):
        Report("t").table(["a", "b"], [["only"]])


@pytest.mark.parametrize("epochs", [[0.5, 1.5, 3.25, 4.0], [1.17, 2.33, 2.6, 3.0]])
def test_epochs_are_counted_in_whole_numbers(epochs: list[float], tmp_path: Path) -> None:
    report = Report("t")
    report.lines("Loss", "epoch", "loss", {"train": (epochs, [4.0, 3.0, 2.0, 1.0])})
    text = saved(report, tmp_path)
    assert ">2</text>" in text
    assert ">1.5</text>" not in text.split("epoch")[0]


def test_long_curve_stays_small_and_shows_its_spikes(tmp_path: Path) -> None:
    report = Report("t")
    ys = [1.0] * 100_000
    ys[50_000] = 99.0
    report.lines("Long", "step", "loss", {"train": (range(100_000), ys)})
    text = saved(report, tmp_path)
    assert len(text) < 100_000
    assert "band: lowest to highest" in text
    assert ">100</text>" in text  # the axis reaches the spike


def test_labels_never_overlap_and_left_out_ones_are_counted(tmp_path: Path) -> None:
    report = Report("t")
    report.scatter("Crowd", [0.0] * 12 + [1.0], [0.0] * 12 + [1.0], [f"word{i}" for i in range(13)])
    text = saved(report, tmp_path)
    shown = len(re.findall(r">word\d+</text>", text))
    assert shown < 13
    assert f"{13 - shown} of 13 labels are left out" in text
    assert ">word0</text>" in text
    assert ">word12</text>" in text
    # Each point has its label when it is pointed at, in order.
    assert re.findall(r"<title>(\w+)</title></use>", text) == [f"word{i}" for i in range(13)]


def test_scatter_is_also_written_as_a_file(tmp_path: Path) -> None:
    report = Report("t")
    report.scatter("empty", [], [], [])
    report.scatter("m", [0, 1], [0, 1], ["<b>", "电影"], png=tmp_path / "map.png")
    assert (tmp_path / "map.png").read_bytes()[:4] == b"\x89PNG"
    assert "<title>&lt;b&gt;</title>" in saved(report, tmp_path)


def test_negative_bars_and_a_single_point_are_drawn(tmp_path: Path) -> None:
    report = Report("t")
    report.bars("b", {"down": -2.0, "up": 1.0})
    report.lines("l", "x", "y", {"one": ([1], [2.0])})
    report.lines("none", "x", "y", {"empty": ([], [])})
    assert Page(saved(report, tmp_path)).tags.count("svg") == 3


def test_bars_round_to_their_deviation_and_wrap_long_names(tmp_path: Path) -> None:
    report = Report("t")
    report.bars("b", {"a name that is longer than a line": 72.6312, "c": -0.5}, errors={
        "a name that is longer than a line": 0.3742})  # fmt: skip
    text = saved(report, tmp_path)
    assert "72.63 ± 0.37" in text
    assert (
        ">a name that is longer than a</text>" in text or ">a name that is longer than a<" in text
    )
    assert "longer than a line<" not in text


def test_plot_file_is_a_png_and_the_same_every_time(tmp_path: Path) -> None:
    one = save_plot(tmp_path / "a" / "loss.png", "Loss", "epoch", "loss", CURVES)
    two = save_plot(tmp_path / "again.png", "Loss", "epoch", "loss", CURVES)
    assert one.read_bytes().startswith(b"\x89PNG\r\n")
    assert one.read_bytes() == two.read_bytes()


def test_without_matplotlib_plots_name_the_extra_and_pages_still_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_import = builtins.__import__

    def no_matplotlib(name: str, *rest: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real_import(name, *rest)

    monkeypatch.setattr(builtins, "__import__", no_matplotlib)
    report = Report("t")
    report.table(["a"], [[1]])
    report.save(tmp_path / "report.html")
    with pytest.raises(UserError, match="plots need matplotlib. Install it: pip install"):
        report.lines("l", "x", "y", CURVES)


def test_place_that_cannot_be_written_is_a_user_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="report.html"):
        Report("t").save(tmp_path / "file" / "report.html")


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of a made-up task."""

    data: str | None = None
    """Data."""
    rate: float = 0.1
    """Rate."""


def run_of(folder: Path, config: Settings) -> RunDirectory:
    with RunDirectory.start("task", config, out=str(folder), resume=False, quiet=True) as run:
        run.write_summary({"recipe": "laptop", "metrics": {}})
    return RunDirectory.read(folder, task="task")


def test_page_of_a_run_begins_with_its_recipe_and_its_figure(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", Settings())
    facts = [["steps", "12"], ("images per second", None), ["loss <nats>", 0.123456]]
    page = run_page("my-task", run, facts, subtitle="some data", headline=("73.77 %", "accuracy"))
    text = saved(page, tmp_path)
    words = Page(text).text
    assert "<h1>my-task: laptop</h1>" in text
    assert words.index("73.77") < words.index("steps") < words.index("images per second")
    assert "<td>–</td>" in text
    assert "<td>0.1235</td>" in text
    assert "loss &lt;nats&gt;" in text


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in the file system here")
def test_page_for_a_pipe_has_no_plots_beside_it(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", Settings())
    (tmp_path / "pipes").mkdir()
    os.mkfifo(tmp_path / "pipes" / "p")

    def write_page(run: RunDirectory, out: Path) -> Path:
        page = run_page("task", run, [])
        page.lines("Loss", "epoch", "loss", CURVES, png=out.parent / "loss.png")
        return page.save(out)

    read: list[str] = []
    reader = threading.Thread(
        target=lambda: read.append((tmp_path / "pipes" / "p").read_text()), daemon=True
    )
    reader.start()
    options = ReportOptions(str(run.path), str(tmp_path / "pipes" / "p"))
    assert make_page(options, "task", write_page) == 0
    reader.join()
    assert read[0].startswith("<!DOCTYPE html>")
    assert [path.name for path in (tmp_path / "pipes").iterdir()] == ["p"]


def test_command_to_run_again_is_whole_wherever_it_is_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "a b"
    (place / "corpus").mkdir(parents=True)
    monkeypatch.chdir(place)
    config = Settings(data="corpus")
    run = run_of(Path("run"), config)
    page = Report("t")
    page.run_again("my-task train", run, config)
    text = html.unescape(saved(page, tmp_path))
    (command,) = re.findall(r"<pre><code>(.*?)</code>", text.split("<details>")[0], re.DOTALL)
    monkeypatch.chdir("/")
    script = command.replace("my-task train --config", "ls corpus; cat")
    done = subprocess.run(script, shell=True, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "data: corpus" in done.stdout
    assert "<summary>All settings</summary>" in text
    assert "rate: 0.1" in text.split("<summary>")[1]


def test_curve_leaves_out_records_without_the_figure() -> None:
    records = [{"epoch": 1, "a": 0.5}, {"epoch": 2}, {"epoch": 3, "a": None}, {"epoch": 4, "a": 1}]
    assert curve(records, "a", 100) == ([1, 4], [50.0, 100])
    assert curve(records, "b") == ([], [])


def test_learning_rate_is_drawn_only_if_it_changes(tmp_path: Path) -> None:
    page = Report("t")
    page.learning_rate([{"epoch": 1, "learning_rate": 0.1}, {"epoch": 2, "learning_rate": 0.1}])
    assert "<svg" not in saved(page, tmp_path)
    page.learning_rate([{"epoch": 1, "learning_rate": 0.1}, {"epoch": 2, "learning_rate": 0.2}])
    assert saved(page, tmp_path).count("<svg") == 1


def test_plot_of_a_page_can_be_a_file_too(tmp_path: Path) -> None:
    page = Report("t")
    page.lines("Loss", "epoch", "loss", CURVES, png=tmp_path / "loss.png")
    alone = save_plot(tmp_path / "alone.png", "Loss", "epoch", "loss", CURVES)
    assert (tmp_path / "loss.png").read_bytes() == alone.read_bytes()


def test_label_of_an_axis_is_not_cut_off() -> None:
    """With these numbers a layout by another number of ticks left too little room for it."""
    curves = {"train": ([1, 2], [4.69, 3.78]), "hold-out": ([1, 2, 2.92], [4.07, 2.96, 2.7])}
    drawing = svg(line_figure("epoch", "nats", curves, False, False), "Loss", "a")
    (middle,) = re.findall(r"rotate\(-90 ([\d.]+)", drawing)
    assert float(middle) > 9  # of text 9 high


@pytest.mark.parametrize("highest", [50, 1e6])
def test_labels_of_a_logarithmic_axis_do_not_overlap(highest: float) -> None:
    rates = [highest ** (number / 9) for number in range(10)]
    figure = line_figure("learning rate", "loss", {"a": (rates, rates)}, True, False)
    figure.canvas.draw()
    (axes,) = figure.axes
    boxes = [
        label.get_window_extent()
        for place, label in zip(axes.get_xticks(), axes.get_xticklabels(), strict=True)
        if axes.get_xlim()[0] <= place <= axes.get_xlim()[1]
    ]
    assert len(boxes) >= 3
    assert all(left.x1 < right.x0 for left, right in pairwise(boxes))
