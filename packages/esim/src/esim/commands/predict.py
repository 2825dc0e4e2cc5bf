"""The verb `predict`."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path

from esim.commands.options import PredictOptions
from esim.data.pairs import Source, read_pairs
from esim.data.tokens import split_typed, with_tokens
from esim.model.trained import TrainedModel, load_run
from esim.predict import Prediction, classify, predict_many
from shared.errors import UserError
from shared.text.text_files import as_they_arrive, standard_input
from shared.torch.device import choose_device

BATCH = 256
EXPECTED = "Expected a premise, a tab and a hypothesis."

Pair = tuple[str, str]


def run(options: PredictOptions) -> int:
    """Print labels and probabilities."""
    trained = load_run(options.run, device=choose_device("auto"))
    if options.premise is not None and options.hypothesis is not None:
        prediction = classify(trained, options.premise, options.hypothesis)
        _print_one(prediction, as_json=options.json)
        if options.attention:
            from esim.commands.attend import write_page  # matplotlib

            pair = (options.premise, options.hypothesis, "")
            page, image = write_page(trained, [pair], Path(options.attention))
            print(f"The attention is in {page}, as an image in {image}.", file=sys.stderr)
        return 0
    batches = (
        _file_batches(trained, options)
        if options.file
        else as_they_arrive(_pairs(standard_input(), split_typed(trained.config.tokenizer)), BATCH)
    )
    truncated = 0
    for batch in batches:
        for given, prediction in zip(batch, predict_many(trained, batch), strict=True):
            _print_row(prediction, given, as_json=options.json)
            truncated += prediction.truncated > 0
        sys.stdout.flush()
    if truncated:
        print(
            f"{truncated:,} pair{'s' * (truncated != 1)}: words beyond the first {trained.config.max_length} of a "
            "sentence were not read (the model's --max-length)",
            file=sys.stderr,
        )
    return 0


def _file_batches(trained: TrainedModel, options: PredictOptions) -> Iterator[list[Pair]]:
    source = Source(Path(options.file or ""))
    if source.path.is_dir() or source.suffix == ".zip":
        raise UserError(f"{source}: is a folder or a zip. Expected one file with pairs.")
    columns, on_bad_line = options.columns(trained.config), options.on_bad_line
    texts = read_pairs(source, columns, on_bad_line=on_bad_line, labels="ignored")
    kept = with_tokens(texts, split_typed(trained.config.tokenizer), source, on_bad_line)
    if bad := texts.bad + len(texts) - len(kept):
        lines = f"{bad:,} bad line{'s' * (bad != 1)}"
        print(f"{options.file}: {lines} skipped, so they have no answer.", file=sys.stderr)
    if not kept:
        print(f"{options.file}: holds no pair.", file=sys.stderr)
    pairs = ((texts.premises[number], texts.hypotheses[number]) for number in kept)
    while batch := list(islice(pairs, BATCH)):
        yield batch


def _pairs(lines: Iterable[str], split: Callable[[str], list[str]]) -> Iterator[Pair]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        cells = line.rstrip("\r\n").split("\t")
        if len(cells) != 2:
            raise UserError(
                f"standard input:{number}: has {len(cells)} column{'s' * (len(cells) != 1)}. {EXPECTED}"
            )
        if empty := [cell for cell in cells if not split(cell)]:
            raise UserError(f"standard input:{number}: {empty[0][:40]!r} has no words. {EXPECTED}")
        yield cells[0], cells[1]


def _print_one(prediction: Prediction, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(prediction.as_dict()))
        return
    width = max(map(len, prediction.probabilities))
    for name, probability in prediction.probabilities.items():
        print(f"{name:<{width}} {probability:.4f}{'  <-' if name == prediction.label else ''}")
    if prediction.unknown:
        print(f"unknown words: {' '.join(sorted(prediction.unknown))}", file=sys.stderr)
    if prediction.truncated:
        print(f"{prediction.truncated:,} words at the end were not read", file=sys.stderr)


def _print_row(prediction: Prediction, given: Pair, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(prediction.as_dict()))
        return
    values = "\t".join(f"{value:.4f}" for value in prediction.probabilities.values())
    # As they are given, to be joined with the table they come from; a row stays one line of columns.
    sentences = "\t".join(re.sub(r"[\t\r\n]", " ", sentence) for sentence in given)
    print(f"{prediction.label}\t{values}\t{sentences}")
