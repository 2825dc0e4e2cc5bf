"""A trained model as an ONNX file for pairs of any number and length, checked with onnxruntime.

The graph is written node by node with ONNX's own bidirectional LSTM, which takes lengths, so one file serves batches
of any size. Inputs: `premises` int64 (B, Tp), `premise_lengths` int64 (B), `hypotheses` int64 (B, Th),
`hypothesis_lengths` int64 (B), ids as in vocab.txt, lengths >= 1. Outputs: `probabilities` float32 (B, 3) in the order
of model.json, `over_hypothesis` float32 (B, Tp, Th), `over_premise` float32 (B, Th, Tp).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from esim import __version__
from esim.commands.options import ExportOptions
from esim.data.labels import LABELS
from esim.data.stems import UNKNOWN_ID
from esim.model.bilstm import BiLSTM
from esim.model.esim import Esim
from esim.model.trained import TrainedModel, load_run
from shared.errors import UserError
from shared.files import write_json
from shared.torch.onnx_export import (
    MODEL,
    largest_difference,
    require_onnx,
    save_graph,
    write_checked,
)

PACKAGE = "dltasks-esim"
OPSET, IR = 17, 9
LOWEST = -1e30
_UNKNOWN_BY_STEM = (
    "id 0; give a word that is not in vocab.txt the id of a known one with its stem, if any. This is nearly what "
    "`esim predict` does, which also matches unknown words of both sentences by their stems"
)


def run(options: ExportOptions) -> int:
    """Write a run's best model as ONNX."""
    trained = load_run(options.run)
    out = Path(options.out) if options.out else trained.path / "onnx"
    difference = export(trained, out)
    print(
        f"{out}: model.onnx, vocab.txt and model.json. "
        f"onnxruntime's probabilities are torch's to {difference:.1e}."
    )
    return 0


def export(trained: TrainedModel, out: Path) -> float:
    """Write `model.onnx`, the vocabulary and a description, checked with onnxruntime on batches of several sizes.

    Parameters
    ----------
    trained : TrainedModel
    out : Path
        Folder, new or empty.

    Returns
    -------
    float
        The largest difference of a probability or an attention weight.

    Raises
    ------
    UserError
        A package is missing, the folder is not empty, the model has a defect on purpose, or the difference is above
        the tolerance.
    """
    require_onnx(PACKAGE, is_traced=False)
    if trained.config.batch_axis or not trained.config.mask:
        raise UserError(
            f"{trained.path}: its scores depend on the other pairs of a batch, on purpose (ablation). "
            "Export a run with mask and without --batch-axis."
        )

    def write(folder: Path) -> None:
        save_graph(_Graph(trained.model).build(), folder / MODEL)
        trained.vocabulary.save(folder / "vocab.txt")
        facts = {
            "labels": list(trained.config.label_names),
            "inputs": {
                "premises": "int64 (B, Tp): ids as in vocab.txt",
                "premise_lengths": "int64 (B,): words of each premise, at least 1",
                "hypotheses": "int64 (B, Th)",
                "hypothesis_lengths": "int64 (B,)",
            },
            "outputs": {
                "probabilities": "float32 (B, 3), in the order of labels",
                "over_hypothesis": "float32 (B, Tp, Th): attention of each premise word",
                "over_premise": "float32 (B, Th, Tp): attention of each hypothesis word",
            },
            "tokenizer": trained.config.tokenizer,
            "unknown_words": _UNKNOWN_BY_STEM if trained.config.stem_backoff else "id 0",
            "opset": OPSET,
        }
        write_json(folder / "model.json", facts)

    return write_checked(
        out,
        write,
        lambda session: largest_difference(session, _cases(trained.model)),
        package=PACKAGE,
        version=__version__,
        figure="probabilities",
    )


def _cases(model: Esim) -> Iterator[tuple[dict[str, NDArray[np.int64]], list[NDArray[Any]]]]:
    """Yield made-up batches of several sizes and lengths, and torch's probabilities and attention for each."""
    random = np.random.default_rng(1)
    words = model.encoding.embedding.num_embeddings
    for pairs, longest in ((1, 1), (1, 9), (4, 12)):
        inputs: dict[str, NDArray[np.int64]] = {}
        masks = []
        for name, plural, width in (
            ("premise", "premises", longest),
            ("hypothesis", "hypotheses", max(1, longest // 2)),
        ):
            lengths = random.integers(1, width + 1, pairs)
            lengths[0] = width
            inputs[plural] = random.integers(0, words, (pairs, width))
            inputs[f"{name}_lengths"] = lengths
            masks.append((np.arange(width) < lengths[:, None])[..., None])  # (B, T, 1)
        with torch.no_grad():
            scores, over_hypothesis, over_premise = model.with_attention(
                torch.from_numpy(inputs["premises"]),
                inputs["premise_lengths"],
                torch.from_numpy(inputs["hypotheses"]),
                inputs["hypothesis_lengths"],
            )
        yield (
            inputs,
            [
                scores.softmax(1).numpy(),
                over_hypothesis.numpy() * masks[0],
                over_premise.numpy() * masks[1],
            ],
        )


class _Graph:
    """Writes the nodes of ESIM, with the names of the paper's parts before them."""

    def __init__(self, model: Esim) -> None:
        self.model = model
        self.nodes: list[Any] = []
        self.constants: dict[str, NDArray[Any]] = {}

    def build(self) -> Any:
        """Return the ONNX model."""
        from onnx import TensorProto, helper, numpy_helper

        self._write()
        whole, real = TensorProto.INT64, TensorProto.FLOAT
        inputs = [
            helper.make_tensor_value_info("premises", whole, ["B", "Tp"]),
            helper.make_tensor_value_info("premise_lengths", whole, ["B"]),
            helper.make_tensor_value_info("hypotheses", whole, ["B", "Th"]),
            helper.make_tensor_value_info("hypothesis_lengths", whole, ["B"]),
        ]
        outputs = [
            helper.make_tensor_value_info("probabilities", real, ["B", len(LABELS)]),
            helper.make_tensor_value_info("over_hypothesis", real, ["B", "Tp", "Th"]),
            helper.make_tensor_value_info("over_premise", real, ["B", "Th", "Tp"]),
        ]
        weights = [numpy_helper.from_array(value, name) for name, value in self.constants.items()]
        graph = helper.make_graph(self.nodes, "esim", inputs, outputs, weights)
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
        made.ir_version = (
            IR  # onnx writes its newest otherwise, which onnxruntimes of last year refuse
        )
        return made

    def _write(self) -> None:
        model = self.model
        sides = {
            "a": ("premises", "premise_lengths"),
            "b": ("hypotheses", "hypothesis_lengths"),
        }
        table = self.constant("embedding", model.encoding.embedding.weight)
        masks, words = {}, {}
        for side, (ids, lengths) in sides.items():
            masks[side] = self._mask(side, ids, lengths)  # bool (B, T)
            words[side] = self.op("Gather", [table, ids], axis=0)  # (B, T, D)
        same = []
        if model.encoding.has_matches or model.encoding.has_relations:
            same = self._same(sides, masks)
        relations = self._relations(sides, masks, words, same)
        if model.encoding.has_matches:
            matches = self._matches(same)
            words = {s: self.op("Concat", [words[s], matches[s]], axis=2) for s in sides}
        encoded = {
            side: self._bilstm("encoding", model.encoding.bilstm, words[side], lengths)
            for side, (_, lengths) in sides.items()
        }  # (B, T, 2 H)
        scores = self.op(
            "MatMul", [encoded["a"], self.op("Transpose", [encoded["b"]], perm=[0, 2, 1])]
        )
        for number, relation in enumerate(relations):
            weight = self.constant(
                f"relation_weight_{number}", model.local_inference.weight[number]
            )
            scores = self.op("Add", [scores, self.op("Mul", [relation, weight])])
        over = {
            "a": self._softmax(scores, masks["b"], masks["a"], "over_hypothesis"),
            "b": self._softmax(
                self.op("Transpose", [scores], perm=[0, 2, 1]),
                masks["a"],
                masks["b"],
                "over_premise",
            ),
        }
        last = self.constant("axis_2", np.array([2]))
        flipped = [self.op("Transpose", [relation], perm=[0, 2, 1]) for relation in relations]
        pooled = []
        for side, other in (("a", "b"), ("b", "a")):
            aligned = self.op("MatMul", [over[side], encoded[other]])
            own = encoded[side]
            difference, product = self.op("Sub", [own, aligned]), self.op("Mul", [own, aligned])
            related = [
                self.op("ReduceSum", [self.op("Mul", [over[side], relation]), last], keepdims=1)
                for relation in (relations if side == "a" else flipped)
            ]  # each (B, T, 1)
            compared = self.op("Concat", [own, aligned, difference, product, *related], axis=2)
            projected = self._linear("projection", model.composition.projection, compared)
            if model.composition.has_relu:
                projected = self.op("Relu", [projected])
            lengths = sides[side][1]
            composed = self._bilstm("composition", model.composition.bilstm, projected, lengths)
            pooled += self._pool(composed, masks[side], lengths)
        vector = self.op("Concat", pooled, axis=1)  # (B, 8 H)
        _, first, activation, _, second = model.classifier.layers
        name = "Relu" if isinstance(activation, torch.nn.ReLU) else "Tanh"
        hidden = self.op(name, [self._linear("classifier_1", first, vector)])
        scores = self._linear("classifier_2", second, hidden)
        self.op("Softmax", [scores], "probabilities", axis=1)

    def _mask(self, side: str, ids: str, lengths: str) -> str:
        width = self.op("Gather", [self.op("Shape", [ids]), self.constant("one", np.int64(1))])
        zero, one = self.constant("zero", np.int64(0)), self.constant("one", np.int64(1))
        positions = self.op("Range", [zero, width, one])
        return self.op("Less", [positions, self._unsqueeze(lengths, 1)], f"is_{side}")

    def _both(self, masks: dict[str, str]) -> str:
        """Return where both words are real, (B, Tp, Th)."""
        return self.op("And", [self._unsqueeze(masks["a"], 2), self._unsqueeze(masks["b"], 1)])

    def _same(self, sides: dict[str, tuple[str, str]], masks: dict[str, str]) -> list[str]:
        """Return which words are the same, and which have the same stem, float (B, Tp, Th) each."""
        stems = self.constant("stems", self.model.encoding.get_buffer("stems"))
        unknown, both = self.constant("unknown", np.int64(UNKNOWN_ID)), self._both(masks)
        same = []
        for is_stem in (False, True):
            marks = {}
            for number, (side, (ids, _)) in enumerate(sides.items()):
                values = self.op("Gather", [stems, ids]) if is_stem else ids
                nothing = self.constant(f"nothing_{side}", np.int64(-1 - number))
                marks[side] = self.op("Where", [self.op("Equal", [ids, unknown]), nothing, values])
            a, b = self._unsqueeze(marks["a"], 2), self._unsqueeze(marks["b"], 1)
            equal = self.op("And", [self.op("Equal", [a, b]), both])
            same.append(self.op("Cast", [equal], to=1))
        return same

    def _matches(self, same: list[str]) -> dict[str, str]:
        """Return the match features of each side, (B, T, 2)."""
        matches = {}
        for side, axis in (("a", 2), ("b", 1)):
            parts = [self.op("ReduceMax", [s], axes=[axis], keepdims=0) for s in same]
            matches[side] = self.op("Concat", [self._unsqueeze(p, 2) for p in parts], axis=2)
        return matches

    def _relations(
        self,
        sides: dict[str, tuple[str, str]],
        masks: dict[str, str],
        words: dict[str, str],
        same: list[str],
    ) -> list[str]:
        """Return the lexical relations, float (B, Tp, Th) each; none without the setting."""
        if not self.model.encoding.has_relations:
            return []
        unknown = self.constant("unknown", np.int64(UNKNOWN_ID))
        nothing = self.constant("nothing", np.float32(0))
        unit = {}
        for side, (ids, _) in sides.items():
            normalized = self.op("LpNormalization", [words[side]], axis=2, p=2)
            is_unknown = self._unsqueeze(self.op("Equal", [ids, unknown]), 2)
            unit[side] = self.op("Where", [is_unknown, nothing, normalized])
        cosine = self.op("MatMul", [unit["a"], self.op("Transpose", [unit["b"]], perm=[0, 2, 1])])
        return [*same, self.op("Where", [self._both(masks), cosine, nothing])]

    def _softmax(self, scores: str, over: str, own: str, name: str) -> str:
        lowest = self.constant("lowest", np.float32(LOWEST))
        shown = self.op("Where", [self._unsqueeze(over, 1), scores, lowest])
        weights = self.op("Softmax", [shown], axis=2)
        nothing = self.constant("nothing", np.float32(0))  # rows of padding have no attention
        return self.op("Where", [self._unsqueeze(own, 2), weights, nothing], name)

    def _bilstm(self, name: str, module: Any, states: str, lengths: str) -> str:
        assert isinstance(module, BiLSTM)
        w_in, w_state, bias = (self.constant(f"{name}_{n}", v) for n, v in _lstm_weights(module))
        first = self.op("Transpose", [states], perm=[1, 0, 2])  # time first
        sizes = self.op("Cast", [lengths], to=6)  # int32
        read = self.op(
            "LSTM", [first, w_in, w_state, bias, sizes],
            direction="bidirectional", hidden_size=module.lstm.hidden_size,
        )  # (T, 2, B, H)  # fmt: skip
        both = self.op("Transpose", [read], perm=[2, 0, 1, 3])
        shape = self.constant(f"{name}_shape", np.array([0, 0, 2 * module.lstm.hidden_size]))
        return self.op("Reshape", [both, shape])

    def _pool(self, states: str, mask: str, lengths: str) -> list[str]:
        real = self._unsqueeze(mask, 2)
        nothing, lowest = (
            self.constant("nothing", np.float32(0)),
            self.constant("lowest", np.float32(LOWEST)),
        )
        axis = self.constant("axis_1", np.array([1]))
        total = self.op("ReduceSum", [self.op("Where", [real, states, nothing]), axis], keepdims=0)
        count = self._unsqueeze(self.op("Cast", [lengths], to=1), 1)
        most = self.op(
            "ReduceMax", [self.op("Where", [real, states, lowest])], axes=[1], keepdims=0
        )
        return [self.op("Div", [total, count]), most]

    def _linear(self, name: str, layer: Any, states: str) -> str:
        weight = self.constant(f"{name}_weight", layer.weight.t())
        return self.op(
            "Add", [self.op("MatMul", [states, weight]), self.constant(f"{name}_bias", layer.bias)]
        )

    def _unsqueeze(self, name: str, axis: int) -> str:
        return self.op("Unsqueeze", [name, self.constant(f"axis_{axis}", np.array([axis]))])

    def constant(self, name: str, value: Any) -> str:
        """Note a weight or number by name, once."""
        if isinstance(value, Tensor):
            value = value.detach().cpu().contiguous().numpy()
        self.constants.setdefault(name, np.ascontiguousarray(value).reshape(np.shape(value)))
        return name

    def op(self, kind: str, inputs: list[str], name: str | None = None, **attributes: Any) -> str:
        """Add a node with one output and return the output's name."""
        from onnx import helper

        name = name or f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name


def _lstm_weights(module: BiLSTM) -> list[tuple[str, NDArray[np.float32]]]:
    """Return input weights, recurrent weights and biases as ONNX orders them: input, output, forget, cell."""

    def ordered(name: str) -> NDArray[np.float32]:
        sides = []
        for side in ("", "_reverse"):
            value = getattr(module.lstm, f"{name}_l0{side}").detach().cpu().numpy()
            i, f, g, o = np.split(value, 4)
            sides.append(np.concatenate([i, o, f, g]))
        return np.stack(sides)

    bias = np.concatenate([ordered("bias_ih"), ordered("bias_hh")], axis=1)
    return [("w_in", ordered("weight_ih")), ("w_state", ordered("weight_hh")), ("bias", bias)]
