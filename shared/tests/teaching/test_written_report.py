"""The report to write has empty tables for students, and a run's figures for the teacher."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from shared.errors import UserError
from shared.teaching.written_report import blank, filled

TEXT = """1. **Training.** Fill in.

   {run: table epoch train_loss exp:valid_loss}

   {run: curves train_loss valid_loss}
"""


@pytest.fixture
def run(tmp_path: Path) -> Path:
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.yaml").write_text("seed: 1\n")
    summary = {"task": "word_lm", "recipe": "laptop", "data": {"name": "sample"}, "seed": 1}
    (run / "summary.json").write_text(json.dumps(summary))
    records = [
        {"step": 10, "epoch": 1.0, "train_loss": 3.0},
        {"step": 10, "epoch": 1.0, "valid_loss": 2.0},
        {"step": 20, "epoch": 2.0, "train_loss": 2.5},
        {"step": 20, "epoch": 2.0, "valid_loss": 0.0},
    ]
    (run / "metrics.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
    return run


def test_students_get_empty_tables() -> None:
    text = blank(TEXT, "zh")
    assert "   | 轮次 | 训练损失 | 验证困惑度 |\n   | --- | --- | --- |\n   |  |  |  |" in text
    assert "\n   （在此画出曲线）\n" in text
    assert "{run" not in text


def test_a_runs_figures_fill_in_the_tables_and_curves(run: Path, tmp_path: Path) -> None:
    text = filled(TEXT, run, "word_lm", "en", tmp_path)
    assert "   | 1 | 3.000 | 7.39 |\n   | 2 | 2.500 | 1.00 |" in text
    assert "Run: recipe laptop, data sample, seed 1." in text
    assert "![training loss, validation loss](report-curves-1.png)" in text
    assert (tmp_path / "report-curves-1.png").read_bytes().startswith(b"\x89PNG")


def test_a_long_run_has_a_dozen_rows_with_the_first_and_the_last(run: Path, tmp_path: Path) -> None:
    records = [{"step": n, "epoch": n, "train_loss": 1.0, "valid_loss": 1.0} for n in range(1, 101)]
    (run / "metrics.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
    rows = [
        line
        for line in filled(TEXT, run, "word_lm", "en", tmp_path).splitlines()
        if "1.000" in line
    ]
    assert len(rows) == 12
    assert rows[0].startswith("   | 1 |")
    assert rows[-1].startswith("   | 100 |")


def test_a_run_of_another_task_or_without_the_figure_is_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="run of word_lm"):
        filled(TEXT, run, "esim", "en", tmp_path)
    with pytest.raises(UserError, match="recall_at_40"):
        filled("{run: table epoch recall_at_40}", run, "word_lm", "en", tmp_path)
