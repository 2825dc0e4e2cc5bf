"""Perplexity by context: exactly so many words are seen, and the curve is flat beyond a model's reach."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from toy_models import BigramModel, CopyModel, GruModel

from shared.errors import UserError
from word_lm.commands.context import table, write
from word_lm.measures.context import ContextCurve, context_curve, sampled_positions
from word_lm.measures.protocols import token_nll

PERIODIC = np.tile(np.arange(6), 100)


def test_the_curve_is_flat_from_the_models_true_reach_on():
    curve = context_curve(
        CopyModel(vocabulary=6, reach=6), PERIODIC, (1, 2, 5, 6, 7, 20), positions=150
    )
    assert curve.perplexity == pytest.approx([6, 6, 6, 1 / 0.9, 1 / 0.9, 1 / 0.9], rel=1e-5)
    assert curve.gain == pytest.approx([np.log(6 * 0.9)] * 3 + [0] * 3, abs=1e-6)
    assert curve.enough == 6 and curve.positions == 150


def test_a_model_that_sees_one_word_is_flat_from_the_start():
    table_ = torch.softmax(torch.randn(6, 6, generator=torch.Generator().manual_seed(0)), 1)
    curve = context_curve(BigramModel(table_), PERIODIC, (1, 3, 50))
    assert curve.perplexity == pytest.approx([curve.perplexity[0]] * 3, rel=1e-6)
    assert curve.enough == 1 and curve.gain_error == pytest.approx([0, 0, 0], abs=1e-7)


def test_the_model_sees_exactly_the_last_words_from_an_empty_state():
    class Watched(GruModel):
        def forward(self, ids, state):
            assert not state.any()
            seen.append(ids)
            return super().forward(ids, state)

    seen: list[torch.Tensor] = []
    ids = np.arange(50)  # each token is its own place
    context_curve(Watched(50), ids, (4,), positions=9, batch_tokens=12)
    assert [part.shape for part in seen] == [(4, 3)] * 3  # windows of 4, 12 tokens at once
    windows = torch.cat(seen, dim=1).T
    for window, target in zip(
        windows.tolist(), sampled_positions(50, 4, 9, seed=1).tolist(), strict=True
    ):
        assert window == list(range(target - 4, target))


@pytest.mark.parametrize("batch_tokens", [1, 64, 100_000])
def test_the_figures_are_those_of_reading_each_window_by_itself(batch_tokens):
    ids = np.random.default_rng(0).integers(0, 9, size=80)
    model = GruModel(9)
    curve = context_curve(model, ids, (1, 5), positions=20, batch_tokens=batch_tokens)
    for length, figure in zip(curve.lengths, curve.perplexity, strict=True):
        each = [
            token_nll(model, ids[target - length : target + 1])[-1]
            for target in sampled_positions(80, 5, 20, seed=1)
        ]
        assert figure == pytest.approx(np.exp(np.mean(each)), rel=1e-5)


def test_positions_are_seeded_distinct_and_have_the_longest_context():
    places = sampled_positions(1000, 200, 300, seed=1)
    assert len(set(places.tolist())) == 300 and places.min() >= 200 and places.max() <= 999
    assert np.array_equal(places, sampled_positions(1000, 200, 300, seed=1))
    assert not np.array_equal(places, sampled_positions(1000, 200, 300, seed=2))
    assert sampled_positions(10, 4, 300, seed=1).tolist() == [4, 5, 6, 7, 8, 9]  # all there are


def test_the_error_of_the_gain_is_that_of_paired_differences():
    ids = np.random.default_rng(0).integers(0, 9, size=60)
    model = GruModel(9)
    curve = context_curve(model, ids, (2, 8), positions=30)
    places = sampled_positions(60, 8, 30, seed=1)
    short, long = (
        np.array([token_nll(model, ids[t - length : t + 1])[-1] for t in places])
        for length in (2, 8)
    )
    assert curve.gain[0] == pytest.approx((short - long).mean(), abs=1e-6)
    assert curve.gain_error[0] == pytest.approx((short - long).std() / np.sqrt(30), rel=1e-3)


def test_enough_is_judged_from_the_long_end():
    # It dips below the limit at 2, rises again at 4: 8 is where it stays.
    curve = ContextCurve((1, 2, 4, 8, 16), (9.0, 5.0, 7.0, 5.04, 5.0), (0,) * 5, (0,) * 5, 10, 1)
    assert curve.enough == 8


@pytest.mark.parametrize(
    "lengths, positions, match",
    [((0, 1), 5, "1 or more"), ((), 5, "1 or more"), ((1,), 0, "1 or more"), ((600,), 5, "600")],
)
def test_lengths_that_cannot_be_measured_are_refused(lengths, positions, match):
    with pytest.raises(UserError, match=match):
        context_curve(CopyModel(6, 2), PERIODIC, lengths, positions=positions)


def test_a_model_is_shown_no_more_than_it_learned_to_read_at_once():
    ids = np.random.default_rng(0).integers(0, 9, size=80)
    whole = context_curve(GruModel(9), ids, (1, 4, 6, 9, 12), positions=20)
    cut = context_curve(GruModel(9), ids, (1, 4, 6, 9, 12), positions=20, max_words=6)
    assert cut.perplexity[:3] == whole.perplexity[:3]
    assert cut.perplexity[3:] == (cut.perplexity[2],) * 2 != whole.perplexity[3:]
    between = context_curve(GruModel(9), ids, (4, 9, 12), positions=20, max_words=6)
    assert between.perplexity[1:] == (cut.perplexity[2],) * 2


def test_the_table_has_a_row_a_length_and_a_column_a_model():
    curves = {
        "lstm": ContextCurve((1, 8), (200.0, 100.0), (0.69, 0.0), (0.1, 0.0), 10, 1),
        "cnn": ContextCurve((1, 8), (150.0, 149.0), (0.01, 0.0), (0.1, 0.0), 10, 1),
    }
    header, rows = table(curves)
    assert header == ["words of context", "lstm", "cnn"]
    assert rows == [[1, "200.0", "150.0"], [8, "100.0", "149.0"], ["enough (within 1 %)", "8", "1"]]


def test_page_plot_and_json_are_written(tmp_path):
    pytest.importorskip("matplotlib")
    curve = context_curve(CopyModel(6, 6), PERIODIC, (1, 6, 20), positions=50)
    page = write({"copy": curve, "other": curve}, tmp_path)
    content = json.loads((tmp_path / "context.json").read_text())
    assert (
        content["copy"]["perplexity"] == list(curve.perplexity) and content["copy"]["enough"] == 6
    )
    text = page.read_text(encoding="utf-8")
    assert "<svg" in text and "6.0" in text and "enough" in text
    assert (tmp_path / "context.png").read_bytes()[1:4] == b"PNG"


def test_context_compares_runs_and_names_them(word_lm, small_run, tmp_path):
    pytest.importorskip("matplotlib")
    wanted = ["--lengths", "[1,4,16]", "--tokens", 50, "--out", tmp_path, "--json"]
    code, out, _ = word_lm("context", small_run, small_run, *wanted)
    found = json.loads(out)
    assert code == 0 and list(found) == ["lstm", f"lstm ({small_run.name})"]
    assert found["lstm"]["lengths"] == [1, 4, 16] and found["lstm"]["positions"] == 50
    assert (tmp_path / "context.html").is_file()


def test_page_goes_into_the_run_that_a_folder_of_runs_stands_for(word_lm, small_run, tmp_path):
    run = tmp_path / "runs" / "one"
    shutil.copytree(small_run, run)
    assert word_lm("context", "runs", "--lengths", "1,2", "--tokens", 20, "--json")[0] == 0
    assert (run / "context.html").is_file()
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["one"]


def test_runs_of_one_name_all_stay_in_the_table(word_lm, small_run, tmp_path):
    wanted = ["--lengths", "[1,2]", "--tokens", 20, "--out", tmp_path, "--json"]
    found = json.loads(word_lm("context", small_run, small_run, small_run, *wanted)[1])
    named = f"lstm ({small_run.name})"
    assert list(found) == ["lstm", named, f"{named} 2"]


def test_runs_with_other_vocabularies_are_not_compared(word_lm, small_run, sample_folder, tmp_path):
    size = ["--embedding-size", 8, "--hidden-size", 8, "--steps", 2, "--quiet", "--device", "cpu"]
    other = ["--data", sample_folder, "--max-vocab-size", 40, "--out", tmp_path / "other"]
    assert word_lm("train", *other, *size)[0] == 0
    code, _, error = word_lm("context", small_run, tmp_path / "other", "--out", tmp_path)
    assert code == 2 and "another vocabulary" in error and error.count("\n") == 1
