"""Surprisals that add up to the evaluation's figure, and a page that can be read and is safe."""

from __future__ import annotations

import html
import math
import re

import numpy as np
import pytest
import torch
from toy_models import BigramModel, GruModel

from shared.errors import UserError
from shared.pages.plots import DARK, LIGHT
from shared.text.vocabulary import Vocabulary
from word_lm.commands.surprisal import LEVELS, SHADE, _level, write_page
from word_lm.measures.protocols import batch_1_perplexity
from word_lm.measures.surprisal import Surprise, surprisal

WORDS = ["<unk>", "<eos>", "the", "cat", "sat", "<b>&"]


@pytest.fixture
def vocabulary() -> Vocabulary:
    return Vocabulary(WORDS, [1] * len(WORDS))


@pytest.fixture
def rows() -> list[Surprise]:
    return [
        Surprise("the", 0.5, "the", 0.7, True),
        Surprise("zebra", 14.25, "cat", 0.25, False),
        Surprise("<b>&", 8.0, "<script>", 0.125, True),
        Surprise("<eos>", 3.0, "sat", 0.5, True),
    ]


@pytest.mark.parametrize("segment", [1, 7, 100])
def test_surprisals_add_up_to_the_nll_of_batch_1(vocabulary, segment):
    tokens = ["the", "cat", "sat", "<eos>"] * 12
    model = GruModel(len(WORDS))
    rows = surprisal(model, vocabulary, tokens, segment=segment)
    measured = batch_1_perplexity(model, vocabulary.ids(["<eos>", *tokens]))
    assert [row.token for row in rows] == tokens
    assert sum(row.bits for row in rows) * math.log(2) == pytest.approx(measured.nll, rel=1e-6)


def test_each_word_has_the_bits_of_its_probability_and_the_likeliest_guess():
    table = torch.tensor([[0.25, 0.75], [0.5, 0.5]])
    vocabulary = Vocabulary(["<eos>", "a"], [1, 1], unknown=None)
    rows = surprisal(BigramModel(table), vocabulary, ["<eos>", "a", "<eos>"])
    assert [row.bits for row in rows] == pytest.approx([2, -math.log2(0.75), 1], rel=1e-6)
    assert [row.probability for row in rows] == pytest.approx([0.25, 0.75, 0.5], rel=1e-6)
    assert rows[0].guess == "a" and rows[0].guess_probability == pytest.approx(0.75)


def test_an_unknown_word_keeps_its_spelling_and_is_marked(vocabulary):
    known, unknown = surprisal(GruModel(len(WORDS)), vocabulary, ["the", "zebra"])
    assert (known.is_known, unknown.is_known, unknown.token) == (True, False, "zebra")


def test_without_eos_the_first_word_is_not_predicted():
    vocabulary = Vocabulary(["a", "b"], [1, 1], unknown=None)
    model = BigramModel(torch.full((2, 2), 0.5))
    assert [row.token for row in surprisal(model, vocabulary, ["a", "b", "a"])] == ["b", "a"]
    with pytest.raises(UserError, match="1 token"):
        surprisal(model, vocabulary, ["a"])


def test_the_page_shows_every_word_with_its_figures_and_shade(tmp_path, rows):
    page = write_page(rows, tmp_path / "page.html", title="T").read_text(encoding="utf-8")
    words = re.findall(r'<span tabindex="-1" class="b(\d)" data-n="([^"]*)">([^<]*)</span>', page)
    assert [html.unescape(word) for *_, word in words] == ["the", "zebra", "<b>&", "↵"]
    assert [int(level) for level, *_ in words] == [0, 5, 3, 1]
    assert "14.2 bits" in words[1][1] and "read as <unk>" in html.unescape(words[1][1])
    assert "most probable: cat, 0.25" in words[1][1]
    assert page.index(">↵</span>") < page.index("<br>")  # lines stay lines


def test_words_cannot_put_markup_into_the_page(tmp_path, rows):
    page = write_page(rows, tmp_path / "page.html", title="<i>").read_text(encoding="utf-8")
    assert "<b>&" not in page and "<script" not in page and "<i>" not in page


def test_the_page_needs_no_network_and_no_script(tmp_path, rows):
    page = write_page(rows, tmp_path / "page.html").read_text(encoding="utf-8")
    assert "http" not in page and "<script" not in page and "@import" not in page
    assert ":focus::after" in page  # figures without a mouse


def test_levels_rise_with_the_bits():
    levels = [_level(Surprise("a", bits, "a", 0.1, True)) for bits in (0, 1.9, 2, 5, 8, 12, 13, 30)]
    assert levels == [0, 0, 1, 2, 3, 4, 5, 5]


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_text_is_readable_on_the_deepest_shade(palette):
    def rgb(name: str) -> np.ndarray:
        return np.array([int(palette[name][i : i + 2], 16) for i in (1, 3, 5)]) / 255

    def luminance(color: np.ndarray) -> float:  # WCAG 2, relative luminance
        linear = np.where(color <= 0.04045, color / 12.92, ((color + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    share = SHADE * len(LEVELS) / 100
    ground = luminance(share * rgb("s2") + (1 - share) * rgb("paper"))
    low, high = sorted([ground, luminance(rgb("ink"))])
    assert (high + 0.05) / (low + 0.05) > 4.5  # WCAG AA


def test_surprisal_writes_a_page_of_the_runs_text_or_of_a_file(word_lm, small_run, tmp_path):
    code, out, _ = word_lm("surprisal", small_run, "--words", 50, "--out", tmp_path / "a.html")
    assert code == 0 and "50 words" in out
    assert (tmp_path / "a.html").read_text(encoding="utf-8").count("data-n=") == 50
    assert word_lm("surprisal", small_run, "--words", 1, "--out", "c.html")[1].startswith(
        "1 word, "
    )
    (tmp_path / "text.txt").write_text("the zebraX\nthe\n", encoding="utf-8")
    word_lm("surprisal", small_run, "--text", tmp_path / "text.txt", "--out", tmp_path / "b.html")
    page = (tmp_path / "b.html").read_text(encoding="utf-8")
    assert ">zebraX</span>" in page and "read as &lt;unk&gt;" in page


def test_text_may_begin_with_blank_lines(word_lm, small_run, tmp_path):
    (tmp_path / "text.txt").write_text("\n\n = The captain = \n", encoding="utf-8")
    wanted = ["--text", "text.txt", "--words", 2, "--out", "page.html"]
    code, out, error = word_lm("surprisal", small_run, *wanted)
    assert (code, error) == (0, "") and out.startswith("2 words")
