"""`make demo` and `make bench`: what they make of what the commands print. The commands themselves are stood in for."""

from __future__ import annotations

import importlib
import json
import math
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent

PRINTED = {  # by each verb `bench` with --json, as far as it is read
    "cbow": {
        "start_up": {"seconds": 0.05},
        "exact": {
            "ratio": {"numpy, dense update a word": 99.0, "numpy, dense update a sample": 25.0}
        },
        "sampling": {"ratio": {"gensim": 1.4}},
    },
    "esim": [{"vocabulary": 12000, "ratio": 3.0}, {"vocabulary": 42000, "ratio": 3.9}],
    "imdb_sentiment": {
        "ratios": {"coursework": 3.4, "padded": 1.5, "packed": 3.1, "handwritten": 2.0}
    },
    "resnet_tiny": {
        "devices": [{"wait_fraction": 0.0003}, {"wait_fraction": 0.002}],
        "peer": {"ratio": 2.1},
    },
    "word_lm": {
        "ratio": 2.2,
        "generation": {"ratio": 60.0},
        "busy": [{"speed": 1.0}, {"speed": 0.9}, {"speed": 0.5}],
    },
}

PROCESSES = ("1 busy process", "2 busy processes")
# A path with a space cannot stand in a first line, so the shell starts Python.
FIRST_LINES = """#!/bin/sh
'''exec' "{python}" "$0" "$@"
' '''
"""
STAND_IN = (
    FIRST_LINES
    + """
import json, sys
from pathlib import Path
words = sys.argv[1:]
if words[0] == "-c":  # asked whether there are data
    sys.exit(not {has_data})
if "--out" in words:
    out = Path(words[words.index("--out") + 1])
    out.mkdir(parents=True)
    data = {{"is_sample": not {has_data}}}
    (out / "summary.json").write_text(json.dumps({{"metrics": {metrics}, "data": data}}))
    (out / "synonyms.json").write_text('[["tea", ["coffee"]]]')
    (out / "report.html").write_text({page})
print("a line that is no result")
print(json.dumps({printed}))
sys.exit({code})
"""
)


@pytest.fixture
def tools(monkeypatch: pytest.MonkeyPatch) -> dict[str, ModuleType]:
    monkeypatch.syspath_prepend(ROOT / "tools")
    names = ("tables", "cards", "claims", "bench", "demo", "profile_parts")
    for name in names:
        monkeypatch.delitem(sys.modules, name, raising=False)
    return {name: importlib.import_module(name) for name in names}


def stand_in(
    root: Path, task: str, *, printed: Any = None, metrics: Any = None, code: int = 0, **more: Any
) -> None:
    """Write commands that print what they are told to where a task's environment would have its own."""
    page = (
        '<p class="headline"><strong>7 %</strong> of it</p>'
        '<svg class="plot"><g id="a"/><use href="#a"/></svg><svg class="plot">second</svg>'
    )
    text = STAND_IN.format(
        page=repr(page),
        python=sys.executable,
        printed=repr(printed),
        metrics=repr(metrics or {}),
        code=code,
        has_data=more.get("has_data", True),
    )
    for name in ("python", task.replace("_", "-")):
        path = root / ".venv" / task / "bin" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)


@pytest.fixture
def root(tools: dict[str, ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for task, printed in PRINTED.items():
        stand_in(tmp_path, task, printed=printed)
    monkeypatch.setattr(tools["bench"], "ROOT", tmp_path)
    monkeypatch.setattr(tools["demo"], "ROOT", tmp_path)
    (tmp_path / "out").mkdir()
    return tmp_path


def rows_of(root: Path) -> dict[tuple[str, str, str], dict[str, str]]:
    rows = json.loads((root / "out" / "bench.json").read_text())["rows"]
    return {(row["task"], row["what"], row["peer"]): row for row in rows}


@pytest.mark.parametrize(
    "unit, claimed, target, measured, expected",
    [
        ("x", "1.9", 1.5, 1.5, "met"),
        ("x", "1.9", 1.5, 1.49, "missed"),
        ("x", "2.0", None, 1.6, "met"),  # no target: a fifth less than the claim still counts
        ("x", "2.0", None, 1.59, "missed"),
        ("s", "18", 30, 30.0, "met"),
        ("s", "18", 30, 30.1, "missed"),
        ("s", "8", None, 10.1, "missed"),
        ("%", "0.2", 1, 0.3, "met"),
        ("x", "1.9", 1.5, math.nan, "missed"),
    ],
)
def test_verdict_follows_the_target_and_else_the_claim(
    unit: str,
    claimed: str,
    target: float | None,
    measured: float,
    expected: str,
    tools: dict[str, ModuleType],
) -> None:
    claim = tools["claims"].Claim("", "", lambda printed: printed, claimed, target, unit)
    assert claim.verdict(measured) == expected


def test_bench_reads_every_claim_and_misses_are_no_failure(
    tools: dict[str, ModuleType], root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tools["bench"].main(root / "out") == 0
    rows = rows_of(root)
    assert len(rows) == sum(len(bench.claims) for bench in tools["claims"].BENCHES)
    assert {row["verdict"] for row in rows.values()} == {"met", "missed"}
    gensim = rows["cbow", "negative sampling", "gensim"]
    figures = [gensim[name] for name in ("data", "measured", "claimed", "target", "verdict")]
    assert figures == ["real", "1.40 x", "1.9 x", ">= 1.5 x", "missed"]
    by_hand = rows["imdb_sentiment", "LSTM written by hand", "torch's LSTM"]
    assert (by_hand["measured"], by_hand["verdict"]) == ("0.50 x", "met")
    wait = rows["resnet_tiny", "wait for data, fraction of a step", ""]
    assert (wait["measured"], wait["verdict"]) == ("0.20 %", "met")
    beside = [rows["word_lm", f"training beside {n}", "the idle machine"] for n in PROCESSES]
    assert [row["measured"] for row in beside] == ["0.90 x", "0.50 x"]
    assert [row["claimed"] for row in beside] == ["", ""]
    printed = capsys.readouterr().out
    page = (root / "out" / "bench.html").read_text()
    assert "<h1>dltasks bench</h1>" in page
    for row in rows.values():
        assert row["what"] in printed
        assert f"<td>{row['measured']}</td>" in page
    assert not (root / "out" / "scratch").exists()


def test_rows_of_bench_stand_beside_their_last_five_values(
    tools: dict[str, ModuleType], root: Path
) -> None:
    for number in range(7):
        stand_in(
            root, "cbow", printed=PRINTED["cbow"] | {"sampling": {"ratio": {"gensim": number}}}
        )
        assert tools["bench"].main(root / "out", tools["claims"].BENCHES[:1]) == 0
    row = rows_of(root)["cbow", "negative sampling", "gensim"]
    assert (row["measured"], row["before"]) == ("6.00 x", "1.00 2.00 3.00 4.00 5.00")
    assert len((root / "tools" / "bench_history.jsonl").read_text().splitlines()) == 7


def test_bench_that_does_not_run_fails_and_the_others_go_on(
    tools: dict[str, ModuleType], root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_in(root, "esim", printed=None, code=2)
    assert tools["bench"].main(root / "out") == 1
    rows = rows_of(root)
    assert {row["verdict"] for key, row in rows.items() if key[0] == "esim"} == {"failed"}
    assert (
        rows["word_lm", "generating 1,000 words, float32", "pytorch/examples"]["verdict"] == "met"
    )
    assert "failed with exit code 2" in capsys.readouterr().out


def test_bench_that_prints_no_result_fails(tools: dict[str, ModuleType], root: Path) -> None:
    script = root / ".venv" / "word_lm" / "bin" / "word-lm"
    script.write_text(FIRST_LINES.format(python=sys.executable) + "print('nothing to see')\n")
    assert tools["bench"].main(root / "out") == 1


def test_peer_that_is_not_installed_is_not_measured(
    tools: dict[str, ModuleType], root: Path
) -> None:
    stand_in(root, "cbow", printed=PRINTED["cbow"] | {"sampling": {"ratio": {}}})
    assert tools["bench"].main(root / "out") == 0
    row = rows_of(root)["cbow", "negative sampling", "gensim"]
    assert (row["measured"], row["verdict"]) == ("", "not measured")


def test_without_real_data_rows_say_so_and_absolute_times_are_left_out(
    tools: dict[str, ModuleType], root: Path
) -> None:
    stand_in(root, "cbow", printed=PRINTED["cbow"], has_data=False)
    assert tools["bench"].main(root / "out") == 0
    rows = {key: row for key, row in rows_of(root).items() if key[0] == "cbow"}
    assert {row["data"] for row in rows.values()} == {"sample"}
    assert rows["cbow", "baseline, 10 epochs, all in", ""]["verdict"] == "not measured"
    assert rows["cbow", "negative sampling", "gensim"]["verdict"] == "missed"


def test_claims_stand_in_the_readmes_as_bench_has_them(tools: dict[str, ModuleType]) -> None:
    for bench in tools["claims"].BENCHES:
        paths = (ROOT / "packages" / bench.task / "README.md", ROOT / "docs" / f"{bench.task}.md")
        readme = "".join(path.read_text("utf-8") for path in paths if path.exists())
        for claim in bench.claims:
            has_target_only = not claim.claimed and claim.target is not None
            assert has_target_only or f" {claim.claimed} " in readme, (bench.task, claim.what)


def test_bench_gives_flags_that_the_commands_have(tools: dict[str, ModuleType]) -> None:
    shared = ROOT / "shared" / "src" / "shared"
    for bench in tools["claims"].BENCHES:
        folder = ROOT / "packages" / bench.task / "src" / bench.task
        files = [
            folder / "config.py",
            folder / "commands" / "options.py",
            *shared.glob("*/options.py"),
        ]
        known = "\n".join(
            path.read_text(encoding="utf-8") for path in [*files, shared / "torch" / "config.py"]
        )
        for word in bench.words:
            if word.startswith("--"):
                assert f"    {word[2:].replace('-', '_')}: " in known, (bench.task, word)
        if "--recipe" in bench.words:
            recipe = bench.words[bench.words.index("--recipe") + 1]
            assert (folder / "recipes" / f"{recipe}.yaml").exists()


def all_right(tools: dict[str, ModuleType], root: Path, name: str, **more: Any) -> None:
    """Let every task give the figures that are expected of it."""
    for task in PRINTED:
        demos = [demo for demo in getattr(tools["demo"], name) if demo.task == task]
        stand_in(root, task, metrics={demo.metric: demo.expected for demo in demos}, **more)


def test_demo_compares_and_fails_when_a_figure_is_off(
    tools: dict[str, ModuleType], root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    demo = tools["demo"]
    all_right(tools, root, "DEMOS")
    assert demo.main(root / "out") == 0
    assert "OFF" not in capsys.readouterr().out
    stand_in(root, "esim", metrics={"valid_accuracy": 0.3})
    (root / "off").mkdir()
    assert demo.main(root / "off") == 1
    assert "OFF" in capsys.readouterr().out
    assert (root / "off" / "index.html").read_text().count('<b class="OFF">') == 1


def test_demo_has_a_card_for_each_run_with_its_figure_plot_command_and_output(
    tools: dict[str, ModuleType], root: Path
) -> None:
    demo = tools["demo"]
    all_right(tools, root, "DEMOS")
    demo.main(root / "out")
    page = (root / "out" / "index.html").read_text()
    cards = page.split("<section>")[1:]
    assert len(cards) == len(demo.DEMOS)
    for card, one in zip(cards, demo.DEMOS, strict=True):
        run = f"{one.task}/{one.words[1]}"
        assert f'href="{run}/report.html"' in card
        assert "<strong>7 %</strong>" in card and card.count("<svg") == 1
        assert f".venv/{one.task}/bin/" in card and "a line that is no result" in card
        assert f'id="{one.task}-{one.words[1]}-a"' in card  # ids of several plots do not meet
        assert f'href="#{one.task}-{one.words[1]}-a"' in card
    assert "made-up sample" in page


def test_demo_ends_with_three_commands_that_work_as_printed(
    tools: dict[str, ModuleType], root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each has been run; the folder that they are for is the checkout."""
    all_right(tools, root, "DEMOS")
    tools["demo"].main(root / "out")
    *_, last = capsys.readouterr().out.split(f"To try next, from {root}:\n")
    commands = last.splitlines()
    assert len(commands) == 3
    for command in commands:
        done = subprocess.run(command, shell=True, cwd=root, check=True, capture_output=True)
        assert done.stdout
    assert commands[0].endswith("cbow neighbors out/cbow/best tea")


def test_on_real_data_a_task_that_finds_none_is_named_and_not_compared(
    tools: dict[str, ModuleType], root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    demo = tools["demo"]
    all_right(tools, root, "REAL")
    stand_in(root, "resnet_tiny", metrics={"val_top1": 0.83}, has_data=False)
    assert demo.main(root / "out", is_real=True) == 0
    printed = capsys.readouterr().out
    assert "resnet_tiny had no data: .venv/resnet_tiny/bin/resnet-tiny fetch" in printed
    assert "OFF" not in printed and "--data" not in printed
    page = (root / "out" / "index.html").read_text()
    assert page.count('<b class="ok">') == len(demo.REAL) - 1
    assert page.count('<b class="no-data">') == 1


def test_page_shows_text_as_text(tools: dict[str, ModuleType], tmp_path: Path) -> None:
    page = tools["tables"].write_page(tmp_path / "p.html", "a < b", "{x}", ("h",), [("<b>",)])
    text = page.read_text()
    assert "<h1>a &lt; b</h1>" in text
    assert "<td>&lt;b&gt;</td>" in text
    assert "{x}" in text


def test_parts_of_a_profile_add_up_the_operations_of_torchs_table(
    tools: dict[str, ModuleType],
) -> None:
    table = """
    ----------------------  ------------  ------------  ------------
                      Name    Self CPU %      Self CPU   CPU total %
    ----------------------  ------------  ------------  ------------
               aten::addmm        40.50%      81.000ms        41.00%
                  aten::mm        20.00%      40.000ms        20.00%
    autograd::engine::evaluate_function: AddmmBackward0   1.50%   3.0ms   30.00%
               aten::copy_         8.00%      16.000ms         8.00%
    Optimizer.step#Adam.step        5.00%     10.000ms         5.00%
    ----------------------  ------------  ------------  ------------
    Self CPU time total: 200.000ms
    """
    module = tools["profile_parts"]
    parts = module.parts_of(table.splitlines())
    assert parts["matrix products and convolutions"] == 60.5
    assert parts["copies, indexing, layout"] == 8
    assert parts["optimizer and clipping"] == 5
    assert parts[module.BELOW] == pytest.approx(25)
    assert sum(parts.values()) == pytest.approx(100)
    with pytest.raises(ValueError, match="no table"):
        module.parts_of(["Self CPU time total: 200.000ms"])
