"""Perplexities that are known, tokens counted once, and protocols that differ only where they should."""

from __future__ import annotations

import json
import math
import re

import numpy as np
import pytest
import torch
from toy_models import BigramModel, CopyModel, GruModel

from shared.errors import UserError
from shared.torch.evaluation import evaluating
from word_lm.measures.protocols import (
    batch_1_perplexity,
    examples_perplexity,
    perplexity,
    read_column,
    sliding_window_perplexity,
    token_nll,
)
from word_lm.model.trained import load_run

PROTOCOLS = [examples_perplexity, batch_1_perplexity, sliding_window_perplexity]


@pytest.fixture
def text() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 7, size=523)


def one_by_one(model, ids, start_at=0) -> np.ndarray:
    """The nll of each token after the first, read one token at a time."""
    model.eval()
    state, found = model.init_state(1), []
    with torch.no_grad():
        for now, following in zip(ids[start_at:-1], ids[start_at + 1 :], strict=True):
            hidden, state = model(torch.tensor([[now]]), state)
            found.append(model.nll(hidden[0], torch.tensor([following])).item())
    return np.array(found)


@pytest.mark.parametrize("measure", PROTOCOLS)
def test_a_uniform_model_has_the_perplexity_of_its_vocabulary(measure, text):
    model = BigramModel(torch.full((7, 7), 1 / 7))
    assert measure(model, text).perplexity == pytest.approx(7, rel=1e-6)


@pytest.mark.parametrize("measure", PROTOCOLS)
def test_a_bigram_table_has_the_perplexity_that_paper_and_pencil_give(measure):
    table = torch.tensor([[0.25, 0.75], [0.5, 0.5]])
    text = np.array(
        [0, 1] * 40
    )  # 40 times 0 -> 1 (0.75), in 10 rows of 8 too; the rest is 1 -> 0 (0.5)
    result = measure(BigramModel(table), text)
    expected = -(40 * math.log(0.75) + (result.predicted - 40) * math.log(0.5))
    assert result.nll == pytest.approx(expected, rel=1e-6)
    assert result.perplexity == pytest.approx(math.exp(expected / result.predicted), rel=1e-6)


def test_the_examples_protocol_drops_what_pytorch_examples_drops():
    # WikiText-2's test text: 245,569 tokens.
    result = examples_perplexity(
        BigramModel(torch.full((1, 1), 1.0)), np.zeros(245_569, dtype=np.int32), segment=5000
    )
    assert (result.predicted, result.dropped) == (245_550, 19)


def test_the_examples_protocol_reads_each_row_from_an_empty_state_and_carries_it(text):
    model = GruModel(7)
    result = examples_perplexity(model, text, batch=10, segment=35)
    expected = sum(one_by_one(model, text[52 * row : 52 * row + 52]).sum() for row in range(10))
    assert result.nll == pytest.approx(expected, rel=1e-5)
    assert (result.predicted, result.dropped, result.cold_starts) == (510, 13, 10)


def test_how_many_tokens_are_scored_at_once_changes_nothing(text, monkeypatch):
    model = GruModel(7)
    whole = examples_perplexity(model, text, batch=10, segment=7)
    for count, first in ((1, 70), (100, 140), (140, 140)):  # a segment is 70 tokens
        seen: list[int] = []
        monkeypatch.setattr("word_lm.measures.protocols._TOGETHER", count)
        result = examples_perplexity(model, text, batch=10, segment=7, progress=seen.append)
        assert (result.nll, result.cold_starts) == (pytest.approx(whole.nll, rel=1e-6), 10)
        assert seen[0] == first and sum(seen) == result.predicted


def test_a_state_that_is_not_carried_is_counted_as_cold_starts(text):
    model = GruModel(7)
    lost = examples_perplexity(model, text, batch=10, segment=35, is_state_carried=False)
    rows = [text[52 * row : 52 * row + 52] for row in range(10)]
    expected = sum(
        one_by_one(model, row[:36]).sum() + one_by_one(model, row[35:]).sum() for row in rows
    )
    assert lost.nll == pytest.approx(expected, rel=1e-5)
    assert lost.cold_starts == 20 and "reset" in lost.protocol
    assert lost.nll != examples_perplexity(model, text, batch=10, segment=35).nll


@pytest.mark.parametrize("measure", [examples_perplexity, batch_1_perplexity])
def test_a_state_that_is_not_carried_is_said_to_be_lost_in_a_short_text_too(measure, text):
    assert "reset" in measure(GruModel(7), text[:60], is_state_carried=False).protocol
    assert "carried" in measure(GruModel(7), text[:60]).protocol


def test_a_model_that_keeps_no_state_is_said_to_reset_it(text):
    model = BigramModel(torch.full((7, 7), 1 / 7))
    assert "reset" in examples_perplexity(model, text).protocol
    assert batch_1_perplexity(model, text, segment=100).cold_starts == 6


def test_batch_1_predicts_all_but_the_first_token_whatever_the_segment(text):
    model = GruModel(7)
    expected = one_by_one(model, text)
    for segment in (1, 35, 10_000):
        result = batch_1_perplexity(model, text, segment=segment)
        assert result.nll == pytest.approx(expected.sum(), rel=1e-5)
        assert (result.predicted, result.dropped, result.cold_starts) == (522, 1, 1)
    assert token_nll(model, text) == pytest.approx(expected, rel=1e-4)


def test_batch_1_without_a_carried_state_starts_from_zero_in_each_segment(text):
    model = GruModel(7)
    result = batch_1_perplexity(model, text, segment=100, is_state_carried=False)
    parts = [one_by_one(model, text[start : start + 101]) for start in range(0, 522, 100)]
    assert result.nll == pytest.approx(np.concatenate(parts).sum(), rel=1e-5)
    assert result.cold_starts == 6 and "reset" in result.protocol
    each = token_nll(model, text, segment=100, is_state_carried=False)
    assert each == pytest.approx(np.concatenate(parts), rel=1e-4)


def test_with_a_start_token_every_token_is_predicted(text):
    model = GruModel(7)
    with evaluating(model):
        nll = torch.cat([part.nll for part in read_column(model, text, start=3)])
    assert nll.numpy() == pytest.approx(one_by_one(model, np.array([3, *text])), rel=1e-4)


def test_examples_with_one_row_is_batch_1(text):
    model = GruModel(7)
    one, other = examples_perplexity(model, text, batch=1), batch_1_perplexity(model, text)
    assert one.nll == pytest.approx(other.nll, rel=1e-7) and one.predicted == other.predicted


@pytest.mark.parametrize(
    "window, stride",
    [(8, 3), (8, 8), (8, 1), (50, 7), (522, 10), (9999, 5), (99, 64)],
)
def test_the_sliding_window_scores_each_token_once_with_the_context_it_promises(
    text, window, stride
):
    class Contexts(BigramModel):  # gives each target the nll 1000 ** its position + its context
        def forward(self, ids, state):
            time = torch.arange(len(ids))[:, None].expand_as(ids)
            return torch.stack([ids + 1, time + 1], dim=-1).double(), None

        def nll(self, hidden, targets):
            assert torch.equal(hidden[:, 0].long(), targets)  # ids count up: the target is the next
            seen.extend(zip(targets.tolist(), hidden[:, 1].long().tolist(), strict=True))
            return torch.zeros(len(targets), dtype=torch.float64) + 2.0 ** -targets.double()

    seen: list[tuple[int, int]] = []
    ids = np.arange(40)
    result = sliding_window_perplexity(
        Contexts(torch.full((1, 1), 1.0)), ids, window=window, stride=stride, batch=3
    )
    # A sum of different powers of two is exact only if each is in it once.
    assert result.nll == sum(2.0**-target for target in range(1, 40))
    assert result.predicted == 39
    longest = dict(sorted(seen))  # the longest context that any window has for a target
    assert f"sliding window of {min(window, 39)}" in result.protocol
    promised = int(re.search(r"(\S+) or more tokens", result.protocol).group(1))
    assert promised == min(window, 39) - min(stride, window, 39) + 1 >= 1
    first = min(window, 39)
    for target in range(1, 40):
        assert longest[target] >= (target if target <= first else window - stride + 1)


def test_the_sliding_window_gives_a_model_of_short_reach_all_it_needs():
    text = np.tile(np.arange(5), 30)
    model = CopyModel(vocabulary=5, reach=5)
    enough = sliding_window_perplexity(model, text, window=8, stride=4, batch=4)
    expected = -(
        4 * math.log(1 / 5) + 145 * math.log(0.9)
    )  # the first 4 targets have too short a past
    assert enough.nll == pytest.approx(expected, rel=1e-6)
    short = sliding_window_perplexity(model, text, window=8, stride=5, batch=4)
    assert short.nll > enough.nll  # some tokens have 4 words of context only


def test_the_three_protocols_agree_where_context_does_not_matter(text):
    table = torch.softmax(torch.randn(7, 7, generator=torch.Generator().manual_seed(0)), dim=1)
    model = BigramModel(table)
    whole = batch_1_perplexity(model, text)
    assert sliding_window_perplexity(model, text).nll == pytest.approx(whole.nll, rel=1e-6)
    rows = examples_perplexity(model, text)
    not_predicted = [*(52 * row + 51 for row in range(9)), *range(519, 522)]
    lost = sum(token_nll(model, text)[target] for target in not_predicted)
    assert rows.nll == pytest.approx(whole.nll - lost, rel=1e-6)


@pytest.mark.parametrize("measure", PROTOCOLS)
def test_dropout_is_off_while_measuring_and_on_again_after(measure, text):
    model = GruModel(7).train()
    assert measure(model, text) == measure(model, text)
    assert model.training


def test_sums_are_kept_in_double_precision():
    class Flat(BigramModel):
        def nll(self, hidden, targets):
            return torch.full((len(targets),), 0.1)

    model = Flat(torch.full((1, 1), 1.0))
    result = batch_1_perplexity(model, np.zeros(300_001, dtype=np.int64), segment=300_000)
    assert result.nll == pytest.approx(300_000 * float(np.float32(0.1)), rel=1e-12)


@pytest.mark.parametrize("measure", PROTOCOLS)
@pytest.mark.parametrize("length", [0, 1])
def test_a_text_without_anything_to_predict_is_refused(measure, length):
    with pytest.raises(UserError, match=f"{length} tokens"):
        measure(GruModel(7), np.zeros(length, dtype=np.int64))


def test_a_stride_beyond_the_window_would_skip_tokens_and_is_refused(text):
    with pytest.raises(UserError, match="stride"):
        sliding_window_perplexity(GruModel(7), text, window=4, stride=5)


def test_a_perplexity_beyond_a_float_is_infinite():
    assert perplexity(1e6, 1) == math.inf


# The verb


def test_evaluate_finds_the_figure_that_training_wrote_down(word_lm, small_run):
    code, out, _ = word_lm("evaluate", small_run, "--json")
    metrics = json.loads((small_run / "summary.json").read_text())["metrics"]
    found = json.loads(out)
    assert code == 0 and found["ppl"] == pytest.approx(metrics["test_ppl"], rel=1e-5)
    assert found["figures"][0]["protocol"] == metrics["protocol"]


def test_each_protocol_and_adaptation_has_a_labelled_line(word_lm, small_run):
    wanted = ["--protocols", "[batch10,batch1,sliding]", "--cache", "--dynamic", "--ngram"]
    code, out, _ = word_lm("evaluate", small_run, *wanted)
    lines = out.splitlines()
    labels = [
        *("examples", "batch-1", "sliding window", "neural cache", "dynamic", "Kneser-Ney"),
        "interpolated with the 5-gram",
    ]
    assert code == 0 and all(line.startswith("ppl ") for line in lines)
    for label, line in zip(labels, lines, strict=True):
        assert label in line and "tokens predicted" in line


def test_settings_chosen_on_the_text_that_is_measured_are_said_to_be(
    word_lm, small_run, sample_folder
):
    # The same text may be named by its folder, or by its file.
    named = [
        (split, data) for split in ("valid", "test") for data in ([], ["--data", sample_folder])
    ]
    named.append(("test", ["--data", sample_folder / "valid.txt"]))
    for split, data in named:
        is_said = split == "valid" or (data and data[1].name == "valid.txt")
        wanted = ["--cache", "--ngram", "--split", split, *data]
        plain, cache, ngram, mixture = word_lm("evaluate", small_run, *wanted)[1].splitlines()
        for line in (cache, mixture):
            assert ("chosen on this very text" in line) == bool(is_said)
        assert "chosen" not in plain + ngram


def test_a_model_that_forgets_is_measured_in_the_segments_it_learned(
    word_lm, tmp_path, sample_folder
):
    size = ["--model", "transformer", "--embedding-size", 8, "--hidden-size", 8, "--heads", 1]
    run = ["--data", sample_folder, "--out", "run", "--no-carry", "--bptt", 17, "--steps", 5]
    assert word_lm("train", "--quiet", "--device", "cpu", *size, *run)[0] == 0
    wanted = ["--protocols", "[batch10,batch1,sliding]", "--cache", "--dynamic", "--json"]
    figures = json.loads(word_lm("evaluate", "run", *wanted)[1])["figures"]
    trained = json.loads((tmp_path / "run" / "summary.json").read_text())["metrics"]
    assert figures[0]["perplexity"] == pytest.approx(trained["test_ppl"], rel=1e-6)
    assert "segments of 17" in figures[0]["protocol"] and "window of 17" in figures[2]["protocol"]
    assert "segments of 17" in figures[4]["protocol"]
    starts = [figure["cold_starts"] for figure in figures]
    assert starts[1] == starts[3] == starts[4] > starts[2] == 1


@pytest.mark.parametrize("family", ["transformer", "modern_transformer"])
def test_transformer_that_forgets_keeps_no_more_words_than_it_learned_to_read(
    family, word_lm, sample_folder
):
    """Trained on segments of 6 words, it would generate from distances that it never met."""
    size = ["--model", family, "--embedding-size", 8, "--hidden-size", 8, "--heads", 1, "--bptt", 6]
    for out, more in (("forgets", ["--no-carry"]), ("carries", [])):
        run = ["--data", sample_folder, "--out", out, "--steps", 1, "--evaluate-every", 1, *more]
        assert word_lm("train", "--quiet", "--device", "cpu", *size, *run)[0] == 0
    assert load_run("forgets").model.memory == 6
    assert load_run("carries").model.memory == load_run("forgets").config.memory == 256


def test_transformer_is_measured_at_no_position_that_it_has_not_learned(
    word_lm, tmp_path, sample_folder
):
    size = ["--model", "transformer", "--embedding-size", 8, "--hidden-size", 8, "--heads", 1]
    run = ["--data", sample_folder, "--out", "run", "--bptt", 6, "--memory", 12, "--steps", 5]
    assert word_lm("train", "--quiet", "--device", "cpu", *size, *run)[0] == 0
    figures = json.loads(word_lm("evaluate", "run", "--protocols", "sliding", "--json")[1])
    assert "window of 12" in figures["figures"][0]["protocol"]
    wanted = ["--lengths", "4,12,30", "--tokens", 50, "--json"]
    (curve,) = json.loads(word_lm("context", "run", *wanted)[1]).values()
    assert curve["max_words"] == 12
    assert curve["perplexity"][0] != curve["perplexity"][1] == curve["perplexity"][2]


def test_window_without_the_sliding_protocol_is_refused(word_lm):
    code, _, error = word_lm("evaluate", "run", "--window", 64)
    assert code == 2 and "--window is 64" in error and "--protocols sliding" in error


def test_any_folder_with_the_split_can_be_measured(word_lm, small_run, sample_folder, tmp_path):
    (tmp_path / "test.txt").write_bytes((sample_folder / "test.txt").read_bytes())
    own, other = (
        json.loads(word_lm("evaluate", small_run, "--json", *data)[1])
        for data in ([], ["--data", tmp_path])
    )
    assert other["ppl"] == own["ppl"]


def test_a_run_whose_data_has_changed_is_not_measured_with_the_wrong_ids(
    word_lm, tmp_path, sample_folder
):
    data, run = tmp_path / "data", tmp_path / "run"
    data.mkdir()
    for name in ("train", "valid", "test"):
        (data / f"{name}.txt").write_bytes((sample_folder / f"{name}.txt").read_bytes())
    size = ["--embedding-size", 8, "--hidden-size", 8]
    assert word_lm("train", "--data", data, "--out", run, "--epochs", 1, "--quiet", *size)[0] == 0
    with (data / "train.txt").open("a", encoding="utf-8") as file:
        file.write("newword " * 5000 + "\n")
    code, _, error = word_lm("evaluate", run)
    assert code == 2 and "changed" in error and len(error.splitlines()) == 1


def test_run_whose_data_is_gone_says_how_each_verb_takes_another(word_lm, tmp_path, sample_folder):
    text, run = tmp_path / "text.txt", tmp_path / "run"
    text.write_bytes((sample_folder / "valid.txt").read_bytes())
    size = ["--embedding-size", 8, "--hidden-size", 8, "--steps", 2, "--device", "cpu", "--quiet"]
    assert word_lm("train", "--data", "text.txt", "--out", run, *size)[0] == 0
    text.rename(tmp_path / "elsewhere.txt")
    for verb, option in (("evaluate", "--data"), ("context", "--data"), ("surprisal", "--text")):
        code, _, error = word_lm(verb, run)
        assert code == 2 and error.count("\n") == 1
        assert "was trained on text.txt, which is not found from here" in error
        more = ["--lengths", "1,2"] if verb == "context" else []
        assert option in error and word_lm(verb, run, option, "elsewhere.txt", *more)[0] == 0
