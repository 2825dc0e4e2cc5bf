"""A trained model as an ONNX file, checked with onnxruntime.

The file reads a segment of a fixed number of words and columns. Inputs: `ids` int64 (T, B) and the state, `state_0`,
`state_1`, ..., all zeros before a text. Outputs: `log_probs` float32 (T, B, V) and the state after the segment, by the
same names with `new_` before them.

A Transformer's cache grows, which a file of fixed sizes cannot. There the state has room for `memory` words, right
aligned, and its last tensor says how many of them are in use.

Shapes: T words, B columns, V words of the vocabulary, M words of a Transformer's memory, E model width.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shared.files import write_json
from shared.torch.onnx_export import MODEL, export_module, require_onnx, write_checked
from word_lm import __version__
from word_lm.commands.options import ExportOptions
from word_lm.model.attention import causal_mask
from word_lm.model.base import LanguageModel, State
from word_lm.model.trained import TrainedModel, load_run
from word_lm.model.transformer import ModernTransformer, Transformer, sinusoids

PACKAGE = "dltasks-word-lm"


def run(options: ExportOptions) -> int:
    """Write a run's best model as ONNX (verb `export`)."""
    trained = load_run(options.run)
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
    segment = _segment_of(trained.model)
    ids = torch.arange(words * columns).view(words, columns) % trained.model.vocabulary_size
    example = (ids, *segment.initial(columns))
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


def _difference(session: Any, segment: _Segment, example: tuple[Tensor, ...]) -> float:
    """Return how far onnxruntime's log-probabilities are from torch's; each carries its own state."""
    inputs = [entry.name for entry in session.get_inputs()]
    largest, theirs = 0.0, [tensor.numpy() for tensor in example]
    ours = example
    for _ in range(3):
        with torch.no_grad():
            expected = segment(*ours)
        got = session.run(None, dict(zip(inputs, theirs, strict=True)))
        largest = max(largest, float(np.abs(got[0] - expected[0].numpy()).max()))
        ours, theirs = (ours[0], *expected[1:]), [theirs[0], *got[1:]]
    return largest


class _Segment(nn.Module):
    """A model whose state has a fixed size, as a function of plain tensors."""

    def __init__(self, model: LanguageModel) -> None:
        super().__init__()
        self.model = model

    def initial(self, columns: int) -> list[Tensor]:
        """Return the state before a text: zeros in all families."""
        # Copies: what the exporter meets twice, as a layer's h and c may be, becomes one input of the file.
        return [tensor.clone() for tensor in _flat(self.model.init_state(columns))]

    def forward(self, ids: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        before = _filled(self.model.init_state(ids.shape[1]), list(state))
        hidden, after = self.model(ids, before)
        return (self._log_probs(hidden), *_flat(after))

    def _log_probs(self, hidden: Tensor) -> Tensor:
        time, batch, _ = hidden.shape
        return self.model.log_probs(hidden.flatten(0, 1)).view(time, batch, -1)


class _TransformerSegment(_Segment):
    """The coursework's Transformer; the state is the last M words (M, B), and how many of them are in use ().

    The words in use are read again with each segment, which gives what the cache of keys and values gives.
    """

    model: Transformer

    def initial(self, columns: int) -> list[Tensor]:
        words = torch.zeros(self.model.memory, columns, dtype=torch.int64)
        return [words, torch.zeros((), dtype=torch.int64)]

    def forward(self, ids: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        model, (words, used) = self.model, state
        time, memory = len(ids), model.memory
        # As in `Transformer.encode`: a full memory starts again from the last half of its words.
        kept = max(0, min(memory // 2, memory - time))
        used = torch.where(used + time > memory, torch.minimum(used, used.new_tensor(kept)), used)
        window = torch.cat([words, ids])  # (M + T, B)
        index = torch.arange(memory + time)
        first = memory - used  # index of the first word in use
        positions = sinusoids(0, memory + time, model.width)[(index - first).clamp(min=0)]
        states = model.embedding(window) * math.sqrt(model.width) + positions[:, None]
        # Words out of use attend to themselves alone, so that no row of the softmax is empty.
        mask = causal_mask(memory + time, 0) & (index >= first) | torch.eye(memory + time).bool()
        empty = states[:0]
        for block in model.blocks:
            states, _ = block(states, (empty, empty), mask)
        log_probs = self._log_probs(states[memory:])
        return log_probs, window[time:], (used + time).clamp(max=memory)


class _ModernTransformerSegment(_Segment):
    """The modern Transformer; the state is keys and values (M, B, E) per layer, and how many are in use ()."""

    model: ModernTransformer

    def initial(self, columns: int) -> list[Tensor]:
        model = self.model
        tensors = [
            torch.zeros(model.memory, columns, model.width) for _ in range(2 * len(model.blocks))
        ]
        return [*tensors, torch.zeros((), dtype=torch.int64)]

    def forward(self, ids: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        model, (*cache, used) = self.model, state
        time, memory = len(ids), model.memory
        is_used = torch.arange(memory + time) >= memory - used
        mask = causal_mask(time, memory, memory) & is_used
        states = F.rms_norm(model.embedding(ids), (model.width,))
        after: list[Tensor] = []
        for number, block in enumerate(model.blocks):
            past = (cache[2 * number], cache[2 * number + 1])
            states, (keys, values) = block(states, past, mask)
            after += [keys[time:], values[time:]]
        log_probs = self._log_probs(model.norm(states))
        return log_probs, *after, (used + time).clamp(max=memory)


def _segment_of(model: LanguageModel) -> _Segment:
    if isinstance(model, Transformer):
        return _TransformerSegment(model)
    if isinstance(model, ModernTransformer):
        return _ModernTransformerSegment(model)
    return _Segment(model)


def _flat(state: State) -> list[Tensor]:
    if isinstance(state, Tensor):
        return [state]
    return [tensor for part in state for tensor in _flat(part)]


def _filled(shape: Any, tensors: list[Tensor]) -> State:
    """Return a state of the same nesting whose tensors are taken from the front of the list."""
    if isinstance(shape, Tensor):
        return tensors.pop(0)
    return tuple(_filled(part, tensors) for part in shape)
