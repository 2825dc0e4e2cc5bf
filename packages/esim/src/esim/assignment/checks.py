"""What is graded of the ESIM assignment, and the classic mistakes that are told apart.

Layers are given parameters drawn anew; their outputs are compared with what the right way and each known mistake give.
`LocalInference` shows only its result, so every combination of mistakes in its three parts is tried.

Shapes: B batch, P and T tokens of premise and hypothesis, D size of a vector, H hidden size.
Equations: Chen et al. 2017, arXiv 1609.06038.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from esim.assignment.remarks import REMARKS
from shared.teaching.assignment import AnyStudent, Assignment, Check, Score
from shared.teaching.compare import Way, close, judge
from shared.teaching.student import Calls
from shared.teaching.wire import Tensor as Sent

Most = Mapping[str, float]
Random = np.random.Generator

HELPERS = '''
def _run_layer(kind, sizes, arrays, inputs):
    """Make a layer, give it parameters by shape, and return its output in evaluation mode, twice."""
    layer = globals()[kind](*sizes)
    layer.eval()
    rest = list(arrays)
    with torch.no_grad():
        for parameter in layer.parameters():
            for number, array in enumerate(rest):
                if array.shape == parameter.shape:
                    parameter.copy_(rest.pop(number))
                    break
        first = layer(*inputs)
        second = layer(*inputs)
    return first, second


class _Probe(torch.nn.Module):
    """A bag of words that notes its mode, so that a loop is all that is under test."""

    def __init__(self, weights):
        super().__init__()
        self.weights = torch.nn.Parameter(weights.clone())
        self.modes = []

    def forward(self, premise, hypothesis):
        self.modes.append([self.training, torch.is_grad_enabled()])
        return self.weights[premise].sum(dim=1) - self.weights[hypothesis].sum(dim=1)


def _probe_accuracy(weights, batches):
    net = _Probe(weights)
    net.train()
    value = evaluate_accuracy(batches, net, torch.device("cpu"))
    return float(value), net.modes, net.training


def _probe_training(weights, batches, rate):
    net = _Probe(weights)
    net.eval()
    optimizer = torch.optim.SGD(net.parameters(), lr=rate)
    loss = torch.nn.CrossEntropyLoss()
    history = train(batches, batches, net, loss, optimizer, torch.device("cpu"), 2)
    return [[float(x) for x in row] for row in history], net.weights.detach(), all(mode[0] for mode in net.modes)
'''


def _draw(random: Random, *shape: int) -> Sent:
    return Sent(random.normal(0, 0.8, shape).astype(np.float32))


def _tensor(value: Any) -> Tensor:
    return value if isinstance(value, Tensor) else torch.from_numpy(value.array)


def _ask_layer(calls: Calls, case: Sequence[Any]) -> Any:
    return list(calls.value("_run_layer", *case))


def _twice(function: Callable[..., Tensor]) -> Callable[..., Any]:
    """Return a way that takes a layer's case and gives its output twice."""

    def run(kind: str, sizes: list[int], arrays: list[Sent], inputs: list[Sent]) -> Any:
        output = function([_tensor(a) for a in arrays], *map(_tensor, inputs)).detach().numpy()
        return [output, output]

    return run


def _lstm_arrays(random: Random, inputs: int, hidden: int) -> list[Sent]:
    """Draw the parameters of a BiLSTM in the order of `nn.LSTM`."""
    shapes = ((4 * hidden, inputs), (4 * hidden, hidden), (4 * hidden,), (4 * hidden,))
    return [_draw(random, *shape) for _ in range(2) for shape in shapes]


def _bilstm(
    arrays: list[Tensor], x: Tensor, *, batch_first: bool = True, both: bool = True
) -> Tensor:
    hidden = arrays[1].shape[1]
    layer = nn.LSTM(arrays[0].shape[1], hidden, batch_first=batch_first, bidirectional=both)
    with torch.no_grad():
        for parameter, array in zip(layer.parameters(), arrays, strict=False):
            parameter.copy_(array)
        return layer(x)[0]


def check_encoding(student: AnyStudent, random: Random, most: Most) -> Mapping[str, Score]:
    """Have an input encoding layer read a batch."""
    D, H = int(random.integers(2, 4)), int(random.integers(2, 4))
    case = ["InputEncodingLayer", [D, H], _lstm_arrays(random, D, H), [_draw(random, 3, 5, D)]]
    ways = (
        Way(0, None, _twice(_bilstm)),
        Way(1.5, "encoding_axis", _twice(lambda a, x: _bilstm(a, x, batch_first=False))),
        Way(1.5, "encoding_one_direction", _twice(lambda a, x: _bilstm(a, x, both=False))),
        Way(1, "encoding_last", _twice(lambda a, x: _bilstm(a, x)[:, -1])),
    )
    score = judge(
        student,
        "InputEncodingLayer",
        [case],
        ways,
        most["encoding"],
        ask=_ask_layer,
        unknown="encoding_value",
    )
    return {"encoding": score}


def check_composition(student: AnyStudent, random: Random, most: Most) -> Mapping[str, Score]:
    """Have a composition layer read a batch."""
    F, D, H = int(random.integers(4, 7)), int(random.integers(2, 4)), 3
    arrays = [_draw(random, D, F), _draw(random, D), *_lstm_arrays(random, D, H)]
    case = ["CompositionLayer", [F, D, H], arrays, [_draw(random, 3, 5, F)]]

    def way(activation: Callable[[Tensor], Tensor], **options: Any) -> Callable[..., Any]:
        return _twice(lambda a, x: _bilstm(a[2:], activation(x @ a[0].T + a[1]), **options))

    ways = (
        Way(0, None, way(torch.relu)),
        Way(0, "composition_no_relu", way(lambda x: x)),
        Way(1, "composition_axis", way(torch.relu, batch_first=False)),
        Way(1, "composition_axis", way(lambda x: x, batch_first=False)),
        Way(0.5, "composition_activation", way(torch.tanh)),
        Way(0.5, "composition_activation", way(torch.sigmoid)),
        Way(1, "composition_one_direction", way(torch.relu, both=False)),
        Way(1.5, "composition_no_lstm", _twice(lambda a, x: torch.relu(x @ a[0].T + a[1]))),
    )
    score = judge(
        student,
        "CompositionLayer",
        [case],
        ways,
        most["composition"],
        ask=_ask_layer,
        unknown="composition_value",
    )
    return {"composition": score}


def check_pooling(student: AnyStudent, random: Random, most: Most) -> Mapping[str, Score]:
    """Pool negative and positive values with padding that is not zero."""
    x = random.normal(-1, 0.5, (3, 5, 4)).astype(np.float32)
    mask = np.array([[1] * n + [0] * (5 - n) for n in (5, 3, 1)], dtype=np.float32)
    case = ["Pooling", [], [], [Sent(x), Sent(mask)]]

    def mean(x: Tensor, m: Tensor, kind: str = "right") -> Tensor:
        if kind == "plain":
            return x.mean(1)
        total = (x * m).sum(1)
        return (
            total / x.shape[1] if kind == "length" else total if kind == "sum" else total / m.sum(1)
        )

    def largest(x: Tensor, m: Tensor, kind: str = "right") -> Tensor:
        if kind == "plain":
            return x.max(1).values
        return (x * m if kind == "zeros" else x.masked_fill(m == 0, -torch.inf)).max(1).values

    def way(
        first: str = "right", second: str = "right", *, swapped: bool = False
    ) -> Callable[..., Any]:
        def pool(arrays: list[Tensor], x: Tensor, mask: Tensor) -> Tensor:
            parts = [mean(x, mask[..., None], first), largest(x, mask[..., None], second)]
            return torch.cat(parts[::-1] if swapped else parts, 1)

        return _twice(pool)

    ways = (
        Way(0, None, way()),
        Way(1, "pooling_mean", way("length")),
        Way(1, "pooling_sum", way("sum")),
        Way(1, "pooling_zeros", way(second="zeros")),
        Way(2, "pooling_mean_zeros", way("length", "zeros")),
        Way(2, "pooling_no_mask", way("plain", "plain")),
        Way(1, "pooling_mean_unmasked", way("plain")),
        Way(1, "pooling_largest_unmasked", way(second="plain")),
        Way(0.5, "pooling_order", way(swapped=True)),
        Way(1.5, "pooling_mean_alone", _twice(lambda a, x, m: mean(x, m[..., None]))),
        Way(1.5, "pooling_largest_alone", _twice(lambda a, x, m: largest(x, m[..., None]))),
    )
    score = judge(
        student, "Pooling", [case], ways, most["pooling"], ask=_ask_layer, unknown="pooling_value"
    )
    return {"pooling": score}


def check_mlp(student: AnyStudent, random: Random, most: Most) -> Mapping[str, Score]:
    """Ask for scores in evaluation mode, twice: dropout must be off."""
    F, K, C = int(random.integers(4, 7)), int(random.integers(7, 10)), 3
    arrays = [_draw(random, K, F), _draw(random, K), _draw(random, C, K), _draw(random, C)]
    case = ["MLP", [F, K, C], arrays, [_draw(random, 4, F)]]

    def way(
        middle: Callable[[Tensor], Tensor], last: Callable[[Tensor], Tensor] = lambda x: x
    ) -> Callable[..., Any]:
        return _twice(lambda a, x: last(middle(x @ a[0].T + a[1]) @ a[2].T + a[3]))

    ways = (
        Way(0, None, way(torch.relu)),
        Way(0, "mlp_tanh", way(torch.tanh)),
        Way(0.5, "mlp_no_activation", way(lambda x: x)),
        Way(0.5, "mlp_softmax", way(torch.relu, lambda x: torch.softmax(x, 1))),
        Way(0.5, "mlp_softmax", way(torch.tanh, lambda x: torch.softmax(x, 1))),
        Way(0.5, "mlp_last_activation", way(torch.relu, torch.relu)),
    )

    def ask(calls: Calls, case: Sequence[Any]) -> Any:
        first, second = calls.value("_run_layer", *case)
        differs.append(not close(first, _array(second)))
        return [first, second]

    differs: list[bool] = []
    score = judge(student, "MLP", [case], ways, most["mlp"], ask=ask, unknown="mlp_value")
    if any(differs):
        score.remarks.clear()
        score.note("mlp_dropout")
        score.points = most["mlp"] / 2
    return {"mlp": score}


def _array(value: Any) -> np.ndarray:
    return value.array if isinstance(value, Sent) else value.detach().numpy()


# Local inference: three parts that show in one result.

Weights = tuple[Tensor, Tensor]


def _weights(
    p: Tensor, h: Tensor, p_mask: Tensor, h_mask: Tensor, *, hidden: float | None = -float("inf"),
    after: bool = False, swapped: bool = False, scale: bool = False,
) -> Weights:  # fmt: skip
    """Return the weights over the hypothesis and over the premise, each (B, P, T) (equations 11 to 13)."""
    scores = p @ h.transpose(1, 2)
    if scale:
        scores = scores / p.shape[2] ** 0.5
    over_h, over_p = h_mask[:, None, :] == 0, p_mask[:, :, None] == 0
    axes = (1, 2) if swapped else (2, 1)
    if hidden is None or after:
        parts = [torch.softmax(scores, axis) for axis in axes]
        if after:
            parts = [part * ~hole for part, hole in zip(parts, (over_h, over_p), strict=True)]
    else:
        parts = [
            torch.softmax(scores.masked_fill(hole, hidden), axis)
            for hole, axis in zip((over_h, over_p), axes, strict=True)
        ]
    return parts[0], parts[1]


_SCORES: tuple[tuple[float, str | None, dict[str, Any]], ...] = (
    (0, None, {}),
    (1.5, "scores_no_mask", {"hidden": None}),
    (1, "scores_mask_after", {"after": True}),
    (1, "scores_mask_zero", {"hidden": 0.0}),
    (1.5, "scores_axes", {"swapped": True}),
    (2, "scores_axes_no_mask", {"swapped": True, "hidden": None}),
    (0.5, "scores_scaled", {"scale": True}),
)

_ALIGNMENT: tuple[tuple[float, str | None, Callable[[Weights, Tensor, Tensor], Weights]], ...] = (
    (0, None, lambda w, p, h: (w[0] @ h, w[1].transpose(1, 2) @ p)),
    (1.5, "alignment_weights", lambda w, p, h: (w[0] @ h, w[0].transpose(1, 2) @ p)),
    (1.5, "alignment_weights", lambda w, p, h: (w[1] @ h, w[1].transpose(1, 2) @ p)),
    (2, "alignment_crossed", lambda w, p, h: (w[1] @ h, w[0].transpose(1, 2) @ p)),
    (3, "alignment_none", lambda w, p, h: (p, h)),
)

_ENHANCEMENT: tuple[tuple[float, str | None, Callable[[Tensor, Tensor], list[Tensor]]], ...] = (
    (0, None, lambda a, b: [a, b, a - b, a * b]),
    (0.5, "enhancement_sign", lambda a, b: [a, b, b - a, a * b]),
    (0.5, "enhancement_absolute", lambda a, b: [a, b, (a - b).abs(), a * b]),
    (0.5, "enhancement_sum", lambda a, b: [a, b, a + b, a * b]),
    (0.5, "enhancement_order", lambda a, b: [a, b, a * b, a - b]),
    (0.5, "enhancement_order", lambda a, b: [b, a, a - b, a * b]),
    (1, "enhancement_missing", lambda a, b: [a, b, a - b]),
    (1, "enhancement_missing", lambda a, b: [a, b, a * b]),
    (1, "enhancement_missing", lambda a, b: [a, b]),
)


def check_inference(student: AnyStudent, random: Random, most: Most) -> Mapping[str, Score]:
    """Explain one result by a combination of mistakes in scores, alignment and enhancement."""
    B, P, T, D = 3, 4, 6, 3
    p, h = _draw(random, B, P, D), _draw(random, B, T, D)
    masks = [
        Sent(np.array([[1] * n + [0] * (size - n) for n in lengths], dtype=np.float32))
        for size, lengths in ((P, (4, 2, 1)), (T, (3, 6, 2)))
    ]
    with student.check() as calls:
        answer = calls.value("_run_layer", "LocalInference", [], [], [p, h, *masks])[0]
    tensors = [_tensor(part) for part in (p, h, *masks)]
    # What padded tokens of a sentence get is never used, so it may be anything.
    real = [_tensor(mask).bool().numpy() for mask in masks]
    scores = {name: Score(points) for name, points in most.items()}
    best: tuple[float, list[tuple[str, float, str | None]]] | None = None
    for (c1, r1, options), (c2, r2, align), (c3, r3, enhance) in product(
        _SCORES, _ALIGNMENT, _ENHANCEMENT
    ):
        cost = c1 + c2 + c3
        if best is not None and cost >= best[0]:
            continue
        aligned = align(_weights(*tensors, **options), tensors[0], tensors[1])
        expected = [
            torch.cat(enhance(a, b), 2).numpy() for a, b in zip(tensors[:2], aligned, strict=True)
        ]
        if _fits(answer, expected, real):
            best = cost, [("scores", c1, r1), ("alignment", c2, r2), ("enhancement", c3, r3)]
    if best is None:
        for name, score in scores.items():
            score.lose(score.points, f"{name}_value")
        return scores
    for name, cost, remark in best[1]:
        if remark:
            scores[name].lose(cost, remark)
    return scores


def _fits(answer: Any, expected: list[np.ndarray], real: list[np.ndarray]) -> bool:
    if not isinstance(answer, (list, tuple)) or len(answer) != 2:
        return False
    for part, wanted, mask in zip(answer, expected, real, strict=True):
        if not isinstance(part, (Sent, Tensor)):
            return False
        array = _array(part)
        if array.shape != wanted.shape or not close(array[mask], wanted[mask]):
            return False
    return True


# Training and measuring


def _batches(random: Random) -> list[list[Sent]]:
    return [
        [
            Sent(random.integers(0, 9, (size, 3))),
            Sent(random.integers(0, 9, (size, 2))),
            Sent(random.integers(0, 3, size)),
        ]
        for size in (5, 1, 2)
    ]


def check_evaluate_accuracy(student: AnyStudent, random: Random, most: Most) -> Mapping[str, Score]:
    """Measure a bag of words on batches of different sizes, and look at its mode."""
    weights = random.normal(size=(9, 3)).astype(np.float32)
    while True:  # batches whose accuracies differ, so that the mean of means is another number
        batches = _batches(random)
        hits = [_hits(torch.from_numpy(weights), batch) for batch in batches]
        sizes = [len(batch[2].array) for batch in batches]
        rates = [hit / size for hit, size in zip(hits, sizes, strict=True)]
        if (
            len(
                {round(x, 6) for x in (sum(rates) / 3, sum(hits) / sum(sizes), rates[-1], 0.0, 1.0)}
            )
            == 5
        ):
            break
    modes: list[Any] = []

    def ask(calls: Calls, case: Sequence[Any]) -> Any:
        value, seen, training = calls.value("_probe_accuracy", *case)
        modes.append((seen, training))
        return value

    fraction = sum(hits) / sum(sizes)
    ways = (
        Way(0, None, lambda *_: fraction),
        Way(1, "accuracy_batch_means", lambda *_: sum(rates) / len(rates)),
        Way(0.5, "accuracy_percent", lambda *_: 100 * fraction),
        Way(1, "accuracy_count", lambda *_: float(sum(hits))),
        Way(1, "accuracy_last", lambda *_: rates[-1]),
        Way(1, "accuracy_batches", lambda *_: sum(hits) / len(sizes)),
    )
    case = [Sent(weights), batches]
    score = judge(
        student,
        "evaluate_accuracy",
        [case],
        ways,
        most["evaluate_accuracy"],
        ask=ask,
        unknown="accuracy_value",
    )
    for seen, training in modes if score.points else ():
        if any(mode[0] for mode in seen):
            score.lose(0.5, "accuracy_mode")
        elif not training:
            score.lose(0.25, "accuracy_mode_kept")
        if any(mode[1] for mode in seen):
            score.lose(0.25, "accuracy_gradients")
    return {"evaluate_accuracy": score}


def _hits(weights: Tensor, batch: Sequence[Sent]) -> int:
    premise, hypothesis, label = map(_tensor, batch)
    scores = weights[premise].sum(1) - weights[hypothesis].sum(1)
    return int((scores.argmax(1) == label).sum())


def check_train(student: AnyStudent, random: Random, most: Most) -> Mapping[str, Score]:
    """Have a bag of words trained for two epochs on batches of different sizes; measuring is ours."""
    weights = random.normal(size=(9, 3)).astype(np.float32)
    batches, rate, measured = _batches(random), 0.3, 0.625

    def way(
        *, cleared: bool = True, stepped: bool = True, means: str = "pairs", hits_of: str = "epoch",
        softmax: bool = False,
    ) -> Callable[..., Any]:  # fmt: skip
        def run(*_case: Any) -> Any:
            parameter = torch.from_numpy(weights.copy()).requires_grad_()
            history = []
            for _epoch in range(2):
                losses: list[float] = []
                sizes: list[int] = []
                hits: list[int] = []
                for batch in batches:
                    premise, hypothesis, label = map(_tensor, batch)
                    if cleared:
                        parameter.grad = None
                    scores = parameter[premise].sum(1) - parameter[hypothesis].sum(1)
                    loss = nn.functional.cross_entropy(
                        torch.softmax(scores, 1) if softmax else scores, label
                    )
                    loss.backward()
                    if stepped:
                        assert parameter.grad is not None
                        with torch.no_grad():
                            parameter -= rate * parameter.grad
                    losses.append(loss.item())
                    sizes.append(len(label))
                    hits.append(int((scores.argmax(1) == label).sum()))
                mean = {
                    "pairs": float(np.dot(losses, sizes)) / sum(sizes),
                    "batches": sum(losses) / len(losses),
                    "sum": sum(losses),
                    "last": losses[-1],
                    "mixed": sum(losses) / sum(sizes),
                }[means]
                accuracy = hits[-1] / sizes[-1] if hits_of == "last" else sum(hits) / sum(sizes)
                history.append(
                    [mean, float(sum(hits)) if hits_of == "count" else accuracy, measured]
                )
            return [history, parameter.detach().numpy()]

        return run

    ways = (
        Way(0, None, way()),
        Way(1.5, "train_no_zero_grad", way(cleared=False)),
        Way(3, "train_no_step", way(stepped=False)),
        Way(1, "train_batch_means", way(means="batches")),
        Way(1, "train_sum", way(means="sum")),
        Way(1, "train_last", way(means="last")),
        Way(1, "train_mixed", way(means="mixed")),
        Way(1, "train_last_accuracy", way(hits_of="last")),
        Way(0.5, "train_count", way(hits_of="count")),
        Way(1.5, "train_softmax", way(softmax=True)),
        Way(2, "train_no_zero_grad_batch_means", way(cleared=False, means="batches")),
    )
    modes: list[Any] = []

    def ask(calls: Calls, case: Sequence[Any]) -> Any:
        history, after, was_training = calls.value("_probe_training", *case)
        modes.append(was_training)
        return [history, after]

    case = [Sent(weights), batches, rate]
    stand_ins = {"evaluate_accuracy": lambda *arguments, **options: measured}
    score = judge(
        student, "train", [case], ways, most["train"], ask=ask, stand_ins=stand_ins, tolerance=1e-4
    )
    if score.points and not all(modes):
        score.lose(0.5, "train_mode")
    return {"train": score}


ASSIGNMENT = Assignment(
    task="esim",
    folder=Path(__file__).parent,
    distributions=("numpy", "torch", "tqdm"),
    checks=(
        Check(("encoding",), check_encoding),
        Check(("scores", "alignment", "enhancement"), check_inference),
        Check(("composition",), check_composition),
        Check(("pooling",), check_pooling),
        Check(("mlp",), check_mlp),
        Check(("evaluate_accuracy",), check_evaluate_accuracy),
        Check(("train",), check_train),
    ),
    remarks=REMARKS,
    helpers=HELPERS,
    hidden=frozenset(
        {
            "encoding_axis",
            "composition_axis",
            "scores_mask_after",
            "pooling_mean",
            "pooling_zeros",
            "train_mode",
        }
    ),
)
