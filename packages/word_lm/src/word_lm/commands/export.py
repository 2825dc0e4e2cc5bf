"""A trained model as an ONNX file, checked with onnxruntime.

The file reads a segment of a fixed number of words and columns. Inputs: `ids` int64 (T, B) and, for models whose state
has a fixed size, `state_0`, `state_1`, ... as `init_state` gives them. Outputs: `log_probs` float32 (T, B, V) and the
states after the segment, by the same names with `new_` before them. A Transformer reads each segment without a past.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from shared.files import write_json
from shared.torch.onnx_export import MODEL, export_module, require_onnx, write_checked
from word_lm import __version__
from word_lm.commands.options import ExportOptions
from word_lm.model.base import LanguageModel, State
from word_lm.model.trained import TrainedModel, load

PACKAGE = "dltasks-word-lm"


def run(options: ExportOptions) -> int:
    """Write a run's best model as ONNX (verb `export`)."""
    trained = load(options.run)
    out = Path(options.out) if options.out else trained.path / "onnx"
    difference = export(trained, out, words=options.words, columns=options.columns)
    print(
        f"{out}: model.onnx, vocab.txt and model.json. "
        f"onnxruntime's log-probabilities are torch's to {difference:.1e}."
    )
    return 0


def export(trained: TrainedModel, out: Path, *, words: int, columns: int) -> float:
    """Write `model.onnx`, the vocabulary and a description, checked with onnxruntime over two segments in a row.

    Parameters
    ----------
    trained : TrainedModel
    out : Path
        Folder, new or empty.
    words, columns : int
        T and B of the file.

    Returns
    -------
    float
        The largest difference of a log-probability.

    Raises
    ------
    UserError
        A package is missing, the folder is not empty, or the difference is above the tolerance.
    """
    require_onnx(PACKAGE)
    segment = _Segment(trained.model)
    example = _example(trained.model, words, columns)
    states = [f"state_{number}" for number in range(len(example) - 1)]
    inputs = ["ids", *states]

    def write(folder: Path) -> None:
        outputs = ["log_probs", *(f"new_{name}" for name in states)]
        export_module(segment, example, folder / MODEL, inputs, outputs)
        trained.vocabulary.save(folder / "vocab.txt")
        shapes = {name: list(value.shape) for name, value in zip(inputs, example, strict=True)}
        write_json(folder / "model.json", {"family": trained.config.model, "inputs": shapes})

    return write_checked(
        out,
        write,
        lambda session: _difference(session, segment, example),
        package=PACKAGE,
        version=__version__,
        figure="log-probabilities",
        facts={"family": trained.config.model},
    )


def _difference(session: Any, segment: nn.Module, example: tuple[Tensor, ...]) -> float:
    """Return how far onnxruntime's log-probabilities are from torch's; each carries its own state."""
    inputs = [entry.name for entry in session.get_inputs()]
    largest, theirs = 0.0, [tensor.numpy() for tensor in example]
    ours = example
    for _ in range(2):
        with torch.no_grad():
            expected = segment(*ours)
        got = session.run(None, dict(zip(inputs, theirs, strict=True)))
        largest = max(largest, float(np.abs(got[0] - expected[0].numpy()).max()))
        ours, theirs = (ours[0], *expected[1:]), [theirs[0], *got[1:]]
    return largest


class _Segment(nn.Module):
    """A model as a function of plain tensors."""

    def __init__(self, model: LanguageModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        time, batch = ids.shape
        initial = self.model.init_state(batch)
        before = _filled(initial, list(state)) if state else initial
        hidden, after = self.model(ids, before)
        log_probs = self.model.log_probs(hidden.flatten(0, 1)).view(time, batch, -1)
        return (log_probs, *(_flat(after) if state else ()))


def _example(model: LanguageModel, words: int, columns: int) -> tuple[Tensor, ...]:
    ids = torch.arange(words * columns).view(words, columns) % model.vocabulary_size
    # Copies: what the exporter meets twice, as a layer's h and c may be, becomes one input of the file.
    state = [tensor.clone() for tensor in _flat(model.init_state(columns))]
    # An empty cache of a Transformer grows; a state of a fixed size has entries from the start.
    return (ids, *state) if all(tensor.numel() for tensor in state) else (ids,)


def _flat(state: State) -> list[Tensor]:
    if isinstance(state, Tensor):
        return [state]
    return [tensor for part in state for tensor in _flat(part)]


def _filled(shape: Any, tensors: list[Tensor]) -> State:
    """Return a state of the same nesting made of tensors, which are taken from the front."""
    if isinstance(shape, Tensor):
        return tensors.pop(0)
    return tuple(_filled(part, tensors) for part in shape)
