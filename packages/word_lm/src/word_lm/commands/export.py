"""A trained model as an ONNX file, checked with onnxruntime.

The file reads a segment of a fixed number of words and columns. Inputs: `ids` int64 (T, B) and, for models whose state
has a fixed size, `state_0`, `state_1`, ... as `init_state` gives them. Outputs: `log_probs` float32 (T, B, V) and the
states after the segment, by the same names with `new_` before them. A Transformer reads each segment without a past.
"""

from __future__ import annotations

import importlib.util
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from shared.errors import UserError
from shared.files import whole_folder, write_json
from word_lm.commands.options import ExportOptions
from word_lm.model.base import LanguageModel, State
from word_lm.model.trained import TrainedModel, load_run

TOLERANCE = 1e-4
"""Largest difference between onnxruntime's log-probabilities and torch's."""


def run(options: ExportOptions) -> int:
    """Write a run's best model as ONNX (verb `export`)."""
    trained = load_run(options.model)
    out = Path(options.out) if options.out else trained.path / "onnx"
    worst = export(trained, out, words=options.words, columns=options.columns)
    print(
        f"{out}: model.onnx, vocab.txt and model.json. onnxruntime's log-probabilities are torch's to {worst:.1e}."
    )
    return 0


def export(trained: TrainedModel, out: Path, *, words: int, columns: int) -> float:
    """Write `model.onnx`, the vocabulary and a description, and check what onnxruntime makes of it.

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
        A package is missing, the folder is not empty, or the difference is above `TOLERANCE`.
    """
    missing = [
        name
        for name in ("onnx", "onnxruntime", "onnxscript")
        if importlib.util.find_spec(name) is None
    ]
    if missing:
        raise UserError(
            f'{", ".join(missing)} not installed. Run: pip install "dltasks-word-lm[onnx]"'
        )
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out}: is not empty. Choose another --out.")
    segment = _Segment(trained.model)
    example = _example(trained.model, words, columns)
    names = [f"state_{place}" for place in range(len(example) - 1)]
    with whole_folder(out) as folder:
        path = folder / "model.onnx"
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # the exporter's own, about its own parts
            torch.onnx.export(
                segment,
                example,
                str(path),
                dynamo=True,
                verbose=False,
                external_data=False,
                input_names=["ids", *names],
                output_names=["log_probs", *(f"new_{name}" for name in names)],
            )
        trained.vocabulary.save(folder / "vocab.txt")
        shapes = {
            name: list(tensor.shape) for name, tensor in zip(["ids", *names], example, strict=True)
        }
        write_json(folder / "model.json", {"family": trained.config.model, "inputs": shapes})
        worst = largest_difference(path, segment, example)
        if not worst <= TOLERANCE:
            raise UserError(
                f"onnxruntime's log-probabilities differ from torch's by {worst:.1e}, more than {TOLERANCE:.0e}. "
                "Nothing was written; report the versions of torch and onnxruntime."
            )
    return worst


def largest_difference(path: Path, segment: nn.Module, example: tuple[Tensor, ...]) -> float:
    """Return how far onnxruntime's log-probabilities are from torch's, over two segments in a row."""
    import onnxruntime  # type: ignore[import-untyped]

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    inputs = [entry.name for entry in session.get_inputs()]
    worst, theirs = 0.0, [tensor.numpy() for tensor in example]
    ours = example
    for _ in range(2):
        with torch.no_grad():
            expected = segment(*ours)
        found = session.run(None, dict(zip(inputs, theirs, strict=True)))
        worst = max(worst, float(np.abs(found[0] - expected[0].numpy()).max()))
        ours, theirs = (ours[0], *expected[1:]), [theirs[0], *found[1:]]
    return worst


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
