"""The verb `predict`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from esim.commands.options import PredictOptions
from esim.data.pairs import Source, read_pairs
from esim.model.trained import load_run
from esim.predict import Prediction, classify, predict_many
from shared.errors import UserError
from shared.text.text_files import standard_input
from shared.torch.device import choose_device

BATCH = 256
EXPECTED = "Expected a premise, a tab and a hypothesis."


def run(options: PredictOptions) -> int:
    """Print labels and probabilities (verb `predict`)."""
    trained = load_run(options.run, device=choose_device("auto"))
    if options.premise is not None and options.hypothesis is not None:
        found = classify(trained, options.premise, options.hypothesis)
        _print_one(found, as_json=options.json)
        if options.attention:
            from esim.commands.attend import write_page  # matplotlib

            page, picture = write_page([found], Path(options.attention))
            print(f"The attention is in {page}, as a picture in {picture}.", file=sys.stderr)
        return 0
    pairs = _file_pairs(options.file) if options.file else _input_pairs(standard_input())
    for some in _chunks(pairs, BATCH):
        for found in predict_many(trained, some):
            _print_row(found, as_json=options.json)
    return 0


def _file_pairs(name: str) -> Iterator[tuple[str, str]]:
    texts = read_pairs(Source(Path(name)), needs_label=False)
    return zip(texts.premises, texts.hypotheses, strict=True)


def _input_pairs(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        cells = line.rstrip("\r\n").split("\t")
        if len(cells) != 2 or not all(cell.strip() for cell in cells):
            raise UserError(f"standard input:{number}: has {len(cells)} columns. {EXPECTED}")
        yield cells[0], cells[1]


def _chunks(pairs: Iterator[tuple[str, str]], size: int) -> Iterator[list[tuple[str, str]]]:
    while some := list(islice(pairs, size)):
        yield some


def _print_one(found: Prediction, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(found.as_dict()))
        return
    for name, chance in found.probabilities.items():
        print(f"{name:<13} {chance:.4f}{'  <-' if name == found.label else ''}")
    if found.unknown:
        print(f"unknown words: {' '.join(sorted(found.unknown))}", file=sys.stderr)


def _print_row(found: Prediction, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(found.as_dict()))
        return
    chances = "\t".join(f"{chance:.4f}" for chance in found.probabilities.values())
    print(f"{found.label}\t{chances}\t{' '.join(found.premise)}\t{' '.join(found.hypothesis)}")
