"""How surprising each word of a text is to a model, in bits, as rows and as a page.

Surprisal is -log2 p(word | words before it). A text's surprisals add up to its negative log-likelihood by the `batch-1`
protocol of `word_lm.measures.protocols`, in bits.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from shared.pages.report import Report
from shared.text.tokenizers import tokenizer
from shared.text.vocabulary import Vocabulary
from shared.torch.device import choose_device
from shared.torch.evaluation import evaluating
from word_lm.commands.evaluate import own_text
from word_lm.commands.options import SurprisalOptions
from word_lm.data.dataset import END_OF_LINE, encode_split, read_tokens
from word_lm.measures.protocols import SEGMENT, perplexity, read_row
from word_lm.model.base import LanguageModel
from word_lm.model.trained import load_run

LEVELS = (2, 4, 7, 10, 13)
"""Bits at which a word's shade deepens."""
SHADE = 10
"""Percent of color that each level adds; 5 levels leave the text readable in light and dark."""
MOST_SURPRISING = 20
"""Words in the page's table."""

_CONTEXT = 6  # words before a surprising one that the table shows


@dataclass(frozen=True)
class Surprise:
    """One word of a text and what the model thought of it."""

    token: str
    bits: float
    """-log2 of its probability."""
    guess: str
    """The word that the model held likeliest."""
    guess_probability: float
    is_known: bool
    """False: the vocabulary lacks the word, and the figures are those of `<unk>`."""

    @property
    def probability(self) -> float:
        """What the model gave the word, 0 to 1."""
        return 2.0**-self.bits

    @property
    def level(self) -> int:
        """Its shade, 0 to 5."""
        return sum(self.bits >= bits for bits in LEVELS)


def surprisal(
    model: LanguageModel,
    vocabulary: Vocabulary,
    tokens: Sequence[str],
    *,
    segment: int = SEGMENT,
    is_state_carried: bool = True,
) -> list[Surprise]:
    """Return the surprisal of each token of a text.

    Parameters
    ----------
    model : LanguageModel
    vocabulary : Vocabulary
    tokens : sequence of str (N,)
        Line ends as `<eos>`.
    segment : int
        Tokens read at once.
    is_state_carried : bool
        See `word_lm.measures.protocols.batch_1_perplexity`.

    Returns
    -------
    list of Surprise
        N of them: the model reads an `<eos>` before the text. In a vocabulary without `<eos>` the first token cannot be
        predicted, and there are N - 1.

    Raises
    ------
    UserError
        There is no token to predict.
    """
    ids = vocabulary.ids(tokens)
    start = vocabulary.id(END_OF_LINE) if END_OF_LINE in vocabulary else None
    predicted = iter(tokens if start is not None else tokens[1:])
    rows: list[Surprise] = []
    with evaluating(model):
        for part in read_row(
            model, ids, segment=segment, start=start, is_state_carried=is_state_carried
        ):
            best, guesses = model.log_probs(part.hidden).max(dim=1)
            columns = (part.nll.double().tolist(), guesses.tolist(), best.double().exp().tolist())
            for nats, guess, probability in zip(*columns, strict=True):
                token = next(predicted)
                word = vocabulary.tokens[guess]
                rows.append(
                    Surprise(token, nats / math.log(2), word, probability, token in vocabulary)
                )
    return rows


def write_page(
    rows: Sequence[Surprise], path: str | Path, *, title: str = "Surprisal", subtitle: str = ""
) -> Path:
    """Write a page that shows a text shaded by surprisal.

    Pointing at a word, or tapping it, shows its figures at the foot of the screen. The page needs no script and no
    network.

    Parameters
    ----------
    rows : sequence of Surprise
        At least one. A page of 10,000 words has about 1 MB.
    path : str or Path
    title, subtitle : str
    """
    bits = sum(row.bits for row in rows)
    page = Report(title, subtitle)
    page.table(
        ["what", "came out"],
        [
            ["words, line ends counted", f"{len(rows):,}"],
            ["mean surprisal", f"{bits / len(rows):.2f} bits"],
            ["perplexity of this text", f"{perplexity(bits * math.log(2), len(rows)):.1f}"],
            ["words that the vocabulary lacks", f"{sum(not row.is_known for row in rows):,}"],
        ],
    )
    page.heading("The text")
    page.text(
        "The stronger the color behind a word, the less the model expected it after the words before. Point at a word, "
        "or tap it, to see by how much, and what the model expected most."
    )
    page.html(f"<style>{_style()}</style>\n{_legend()}\n{_text(rows)}")
    page.heading("What surprised most")
    most = sorted(range(len(rows)), key=lambda i: -rows[i].bits)[:MOST_SURPRISING]
    page.table(
        ["after", "came", "bits", "expected", "its probability"],
        [
            [
                " ".join(_shown(row.token) for row in rows[max(0, i - _CONTEXT) : i]),
                _shown(rows[i].token),
                f"{rows[i].bits:.1f}",
                _shown(rows[i].guess),
                f"{rows[i].guess_probability:.3f}",
            ]
            for i in most
        ],
    )
    return page.save(path)


def _text(rows: Sequence[Surprise]) -> str:
    parts = []
    for row in rows:
        figures = f"{_shown(row.token)}: {row.bits:.1f} bits, probability {row.probability:.2g}"
        if not row.is_known:
            figures += " (read as <unk>)"
        figures += f" · expected most: {_shown(row.guess)}, {row.guess_probability:.2g}"
        # Not in the order of the tab key, which would stop at every word; but a click or tap reaches it.
        parts.append(
            f'<span tabindex="-1" class="b{row.level}" data-n="{html.escape(figures)}">'
            f"{html.escape(_shown(row.token))}</span>"
        )
        if row.token == END_OF_LINE:
            parts.append("<br>")
    return '<p class="words">' + "\n".join(parts) + "</p>"


def _legend() -> str:
    ends = (0, *LEVELS)
    names = [f"{low}–{high}" for low, high in zip(ends, LEVELS, strict=False)] + [f"{LEVELS[-1]}+"]
    marks = " ".join(f'<span class="b{level}">{name}</span>' for level, name in enumerate(names))
    return f'<p class="words legend">bits: {marks}</p>'


def _style() -> str:
    # The page's own colors, so that it follows the reader's light or dark setting.
    shades = "".join(
        f".words .b{level}{{background:color-mix(in srgb,var(--s2) {SHADE * level}%,var(--paper))}}\n"
        for level in range(1, len(LEVELS) + 1)
    )
    return (
        ".words{line-height:1.9;hyphens:none}\n"
        ".words span{padding:.1em .18em;border-radius:.2em}\n"
        f"{shades}"
        ".words span[data-n]:hover,.words span[data-n]:focus{outline:2px solid var(--ink)}\n"
        ".words span[data-n]:hover::after,.words span[data-n]:focus::after{content:attr(data-n);position:fixed;"
        "left:0;right:0;bottom:0;padding:.7rem 1rem;background:var(--ink);color:var(--paper);line-height:1.4;"
        "text-align:center;z-index:1}\n"
    )


def _shown(token: str) -> str:
    return "↵" if token == END_OF_LINE else token


def run(options: SurprisalOptions) -> int:
    """Write the page of a text (verb `surprisal`)."""
    trained = load_run(options.model, device=choose_device("auto"))
    if options.text is None:
        ids = own_text(trained).splits["test"][: options.words]
        tokens = [trained.vocabulary.tokens[word] for word in ids]
    else:
        encode_split(
            options.text, "test", trained.vocabulary, trained.config.tokenizer
        )  # refuses what is no text
        pieces = read_tokens(Path(options.text), tokenizer(trained.config.tokenizer))
        tokens = list(islice((token for piece in pieces for token in piece), options.words))
    config = trained.config
    rows = surprisal(
        trained.model,
        trained.vocabulary,
        tokens,
        segment=config.bptt,
        is_state_carried=config.carry,
    )
    bits = sum(row.bits for row in rows)
    path = Path(options.out) if options.out else trained.path / "surprisal.html"
    name = Path(options.text).name if options.text else "test text"
    page = write_page(
        rows,
        path,
        title=f"Surprisal: {name}",
        subtitle=f"{trained.config.model}, {trained.path.name}",
    )
    print(f"{len(rows):,} words, {bits / len(rows):.2f} bits each. The page is {page}.")
    return 0
