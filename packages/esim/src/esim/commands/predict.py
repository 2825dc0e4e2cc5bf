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
    """Print labels and probabilities."""
    trained = load_run(options.run, device=choose_device("auto"))
    if options.premise is not None and options.hypothesis is not None:
        prediction = classify(trained, options.premise, options.hypothesis)
        _print_one(prediction, as_json=options.json)
        if options.attention:
            from esim.commands.attend import write_page  # matplotlib

            page, image = write_page([prediction], Path(options.attention))
            print(f"The attention is in {page}, as an image in {image}.", file=sys.stderr)
        return 0
    pairs = _file_pairs(options.file) if options.file else _input_pairs(standard_input())
    for batch in _batches(pairs, BATCH):
        for prediction in predict_many(trained, batch):
            _print_row(prediction, as_json=options.json)
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


def _batches(pairs: Iterator[tuple[str, str]], size: int) -> Iterator[list[tuple[str, str]]]:
    while batch := list(islice(pairs, size)):
        yield batch


def _print_one(prediction: Prediction, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(prediction.as_dict()))
        return
    for name, probability in prediction.probabilities.items():
        print(f"{name:<13} {probability:.4f}{'  <-' if name == prediction.label else ''}")
    if prediction.unknown:
        print(f"unknown words: {' '.join(sorted(prediction.unknown))}", file=sys.stderr)


def _print_row(prediction: Prediction, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(prediction.as_dict()))
        return
    values = "\t".join(f"{value:.4f}" for value in prediction.probabilities.values())
    sentences = "\t".join(" ".join(words) for words in (prediction.premise, prediction.hypothesis))
    print(f"{prediction.label}\t{values}\t{sentences}")
