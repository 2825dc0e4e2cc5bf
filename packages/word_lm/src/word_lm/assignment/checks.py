"""What is graded of the language model assignment, and the classic mistakes that are told apart.

Each function is asked with inputs drawn anew; its answers are compared with what the right way and each known mistake
give. Loops are asked with a small model that stands in for the Transformer.

Shapes: N tokens, B batch, T time in tokens, D size of a vector, V vocabulary size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from shared.teaching.assignment import AnyStudent, Assignment, Check, Score
from shared.teaching.compare import Way, judge
from shared.teaching.student import Calls
from shared.teaching.wire import Tensor as Sent
from word_lm.assignment.remarks import REMARKS

Most = Mapping[str, float]
Random = np.random.Generator

HELPERS = '''
class _Probe(torch.nn.Module):
    """Scores of the next word from the word before it alone."""

    def __init__(self, weights):
        super().__init__()
        self.weights = torch.nn.Parameter(weights.clone())
        self.unused = torch.nn.Parameter(torch.zeros(2))
        self.modes = []
        self.seen = []

    def forward(self, ids):
        self.modes.append([self.training, torch.is_grad_enabled()])
        self.seen.append(ids.reshape(-1).tolist())
        return self.weights[ids].reshape(-1, self.weights.shape[1])


def _probe_step(weights, data, targets, rate, clip):
    model = _Probe(weights)
    model.eval()
    losses = [float(train_step(model, data, targets, rate, clip)) for _ in range(2)]
    return losses, model.weights.detach(), all(mode[0] for mode in model.modes)


def _probe_evaluation(weights, source, bptt):
    model = _Probe(weights)
    model.train()
    value = float(evaluate(model, source, bptt))
    return value, model.modes


def _probe_text(weights, ids, words, temperature):
    model = _Probe(weights)
    new = generate(model, ids, words, temperature)
    return [int(i) for i in new], model.seen


def _probe_forward(sizes, arrays, ids):
    model = TransformerModel(*sizes, 0.0)
    model.eval()
    with torch.no_grad():
        for parameter, array in zip(model.parameters(), arrays):
            parameter.copy_(array)
        return model(ids)
'''


def check_batchify(student: AnyStudent, random: Random, most: Most) -> Mapping[str, Score]:
    """Ask with and without a rest."""
    cases = [(Sent(random.integers(0, 99, n)), b) for n, b in ((11, 2), (12, 3), (17, 4))]

    def way(cut: Callable[[np.ndarray, int], np.ndarray]) -> Callable[..., Any]:
        return lambda ids, b: cut(ids.array, b)

    def columns(x: np.ndarray, b: int) -> np.ndarray:
        rows = len(x) // b
        return x[: rows * b].reshape(b, rows).T

    ways = (
        Way(0, None, way(columns)),
        Way(1.5, "batchify_rows", way(lambda x, b: x[: len(x) // b * b].reshape(-1, b))),
        Way(1, "batchify_transposed", way(lambda x, b: columns(x, b).T)),
        Way(1, "batchify_end", way(lambda x, b: x[len(x) % b :].reshape(b, -1).T)),
    )
    return {"batchify": judge(student, "batchify", cases, ways, most["batchify"])}


def check_get_batch(student: AnyStudent, random: Random, most: Most) -> Mapping[str, Score]:
    """Ask inside and at the end of a text."""
    source = random.integers(0, 99, (8, 3))
    cases = [(Sent(source), i, 3) for i in (0, 2, 6)]

    def way(
        shift: int = 1, *, whole: bool = False, flat: bool = True, turned: bool = False
    ) -> Callable[..., Any]:
        def run(sent: Sent, i: int, bptt: int) -> Any:
            x = sent.array
            length = min(bptt, len(x) - i if whole else len(x) - 1 - i)
            targets = x[i + shift : i + shift + length]
            targets = targets.T if turned else targets
            return [x[i : i + length], targets.reshape(-1) if flat else targets]

        return run

    ways = (
        Way(0, None, way()),
        Way(1.5, "get_batch_shift", way(0)),
        Way(1.5, "get_batch_shift", way(0, whole=True)),
        Way(1, "get_batch_end", way(whole=True)),
        Way(0.5, "get_batch_flat", way(flat=False)),
        Way(1, "get_batch_order", way(turned=True)),
        Way(1.5, "get_batch_shift", way(2)),
    )

    def ask(calls: Calls, case: Sequence[Any]) -> Any:
        return list(calls.value("get_batch", *case))

    return {"get_batch": judge(student, "get_batch", cases, ways, most["get_batch"], ask=ask)}


def _table(
    length: int, size: int, *, base: float = 10000.0, halves: bool = False, swapped: bool = False, odd: bool = False,
    transposed: bool = False, from_one: bool = False, scale: float = 1.0,
) -> np.ndarray:  # fmt: skip
    """Return sinusoidal positions (Vaswani et al. 2017, section 3.5), right or with a mistake."""
    time = np.arange(length)[:, None] + from_one
    rates = base ** -(np.arange(0, size, 2) * scale / size)
    first, second = np.sin(time * rates), np.cos(time * rates)
    if odd:  # the exponent of an odd column is its own number
        second = np.cos(time * base ** -((np.arange(0, size, 2) + 1) / size))
    if swapped:
        first, second = second, first
    if halves:
        return np.concatenate([first, second], 1)
    table = np.zeros((length, size))
    table[:, 0::2], table[:, 1::2] = first, second
    return table.T if transposed else table


def check_positions(student: AnyStudent, random: Random, most: Most) -> Mapping[str, Score]:
    """Ask for two tables."""
    cases = [(int(random.integers(4, 9)), 6), (int(random.integers(10, 14)), 8)]
    ways = [Way(0, None, _table)]
    for cost, remark, options in (
        (1.5, "positions_swapped", {"swapped": True}),
        (1, "positions_halves", {"halves": True}),
        (1, "positions_base", {"base": 1000.0}),
        (1, "positions_odd", {"odd": True}),
        (1, "positions_from_one", {"from_one": True}),
        (1, "positions_transposed", {"transposed": True}),
        (1, "positions_exponent", {"scale": 2.0}),
        (1, "positions_exponent", {"scale": 0.5}),
    ):
        ways.append(Way(cost, remark, lambda n, d, options=options: _table(n, d, **options)))
    ways.append(
        Way(2, "positions_no_cos", lambda n, d: np.where(np.arange(d) % 2 == 0, _table(n, d), 0))
    )
    return {
        "positions": judge(student, "positions", cases, ways, most["positions"], tolerance=1e-4)
    }


def check_causal_mask(student: AnyStudent, random: Random, most: Most) -> Mapping[str, Score]:
    """Ask for two sizes; a mask of True for hidden positions is what torch takes as well."""
    cases = [(3,), (int(random.integers(4, 8)),)]

    def above(n: int, diagonal: int = 1) -> np.ndarray:
        return np.triu(np.ones((n, n)), diagonal) > 0

    def added(hole: np.ndarray, value: float = -np.inf) -> np.ndarray:
        return np.where(hole, value, 0.0)

    ways = (
        Way(0, None, lambda n: added(above(n))),
        Way(0, "mask_boolean", lambda n: above(n)),
        Way(0, "mask_finite", lambda n: added(above(n), -1e9)),
        Way(2.5, "mask_future", lambda n: added(above(n).T)),
        Way(2, "mask_itself", lambda n: added(above(n, 0))),
        Way(1.5, "mask_one_ahead", lambda n: added(above(n, 2))),
        Way(2, "mask_zero", lambda n: 1.0 - above(n)),
        Way(2, "mask_weak", lambda n: added(above(n), -1e-9)),
        Way(2, "mask_inverted", lambda n: added(~above(n))),
        Way(3, "mask_none", lambda n: np.zeros((n, n))),
    )
    return {
        "causal_mask": judge(
            student, "causal_mask", cases, ways, most["causal_mask"], tolerance=1e-12
        )
    }


def check_forward(student: AnyStudent, random: Random, most: Most) -> Mapping[str, Score]:
    """Have the model with our positions and mask score a batch."""
    sizes = [7, 4, 2, 5, 1]
    model = _Reference(*sizes)
    arrays = [
        Sent(random.normal(0, 0.5, tuple(p.shape)).astype(np.float32)) for p in model.parameters()
    ]
    with torch.no_grad():
        for parameter, array in zip(model.parameters(), arrays, strict=True):
            parameter.copy_(torch.from_numpy(array.array))
    ids = Sent(random.integers(0, 7, (5, 3)))

    def way(**options: Any) -> Callable[..., Any]:
        return lambda *_: model(torch.from_numpy(ids.array), **options).detach().numpy()

    ways = (
        Way(0, None, way()),
        Way(0, None, way(flat=False)),
        Way(1, "forward_no_root", way(root=False)),
        Way(1, "forward_no_positions", way(positioned=False)),
        Way(1.5, "forward_no_mask", way(masked=False)),
        Way(1, "forward_positions_batch", way(by_batch=True)),
        Way(0.5, "forward_softmax", way(softmax=True)),
        Way(1, "forward_root_late", way(late=True)),
    )
    stand_ins: dict[str, Callable[..., Any]] = {
        "positions": lambda n, d: Sent(_table(n, d).astype(np.float32)),
        "causal_mask": lambda n: Sent(np.triu(np.full((n, n), -np.inf, np.float32), 1)),
    }

    def ask(calls: Calls, case: Sequence[Any]) -> Any:
        return calls.value("_probe_forward", *case)

    case = [sizes, arrays, ids]
    score = judge(
        student,
        "forward",
        [case],
        ways,
        most["forward"],
        ask=ask,
        stand_ins=stand_ins,
        tolerance=1e-4,
    )
    return {"forward": score}


class _Reference(nn.Module):
    """The handout's model, with its parameters in the same order."""

    def __init__(self, ntoken: int, ninp: int, nhead: int, nhid: int, nlayers: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(ntoken, ninp)
        layer = nn.TransformerEncoderLayer(ninp, nhead, nhid, 0.0)
        self.encoder = nn.TransformerEncoder(layer, nlayers, enable_nested_tensor=False)
        self.decoder = nn.Linear(ninp, ntoken)
        self.eval()

    def forward(
        self, ids: Tensor, *, root: bool = True, positioned: bool = True, masked: bool = True, by_batch: bool = False,
        softmax: bool = False, late: bool = False, flat: bool = True,
    ) -> Tensor:  # fmt: skip
        T, B = ids.shape
        vectors = self.embedding(ids)
        size = vectors.shape[2]
        if root and not late:
            vectors = vectors * math.sqrt(size)
        if positioned:
            table = torch.from_numpy(_table(B if by_batch else T, size).astype(np.float32))
            vectors = vectors + (table[None] if by_batch else table[:, None])
        if late:
            vectors = vectors * math.sqrt(size)
        mask = torch.triu(torch.full((T, T), -torch.inf), 1)
        scores = self.decoder(self.encoder(vectors, mask if masked else None))
        scores = torch.softmax(scores, 2) if softmax else scores
        return scores.reshape(T * B, -1) if flat else scores


def check_train_step(student: AnyStudent, random: Random, most: Most) -> Mapping[str, Score]:
    """Have a table of scores take two steps with a clip that bites."""
    V = 6
    weights = random.normal(0, 1, (V, V)).astype(np.float32)
    data, targets = random.integers(0, V, (3, 2)), random.integers(0, V, 6)
    rate, clip = 2.0, 0.05

    def way(
        *, cleared: bool = True, clipped: str = "before", reduction: str = "mean", sign: float = -1.0,
        decayed: bool = False, stepped: bool = True, softmax: bool = False,
    ) -> Callable[..., Any]:  # fmt: skip
        def run(*_: Any) -> Any:
            parameter = torch.from_numpy(weights.copy()).requires_grad_()
            losses = []
            for _step in range(2):
                if cleared:
                    parameter.grad = None
                scores = parameter[torch.from_numpy(data)].reshape(-1, V)
                scores = torch.softmax(scores, 1) if softmax else scores
                loss = nn.functional.cross_entropy(
                    scores, torch.from_numpy(targets), reduction=reduction
                )
                loss.backward()
                assert parameter.grad is not None
                if clipped == "before":
                    nn.utils.clip_grad_norm_([parameter], clip)
                elif clipped == "value":
                    parameter.grad.clamp_(-clip, clip)
                if stepped:
                    with torch.no_grad():
                        parameter += sign * (1.0 if decayed else rate) * parameter.grad
                if clipped == "after":
                    nn.utils.clip_grad_norm_([parameter], clip)
                losses.append(loss.item())
            return [losses, parameter.detach().numpy()]

        return run

    ways = (
        Way(0, None, way()),
        Way(1.5, "step_no_zero_grad", way(cleared=False)),
        Way(1, "step_clip_after", way(clipped="after")),
        Way(1, "step_clip_after", way(clipped="none")),
        Way(1, "step_clip_value", way(clipped="value")),
        Way(1, "step_sum", way(reduction="sum")),
        Way(1.5, "step_ascent", way(sign=1.0)),
        Way(1.5, "step_rate", way(decayed=True)),
        Way(3, "step_none", way(stepped=False)),
        Way(1.5, "step_softmax", way(softmax=True)),
        Way(2, "step_no_zero_grad_clip_after", way(cleared=False, clipped="after")),
        Way(2, "step_no_zero_grad_clip_after", way(cleared=False, clipped="none")),
    )
    modes: list[bool] = []

    def ask(calls: Calls, case: Sequence[Any]) -> Any:
        losses, after, was_training = calls.value("_probe_step", *case)
        modes.append(was_training)
        return [losses, after]

    case = [Sent(weights), Sent(data), Sent(targets), rate, clip]
    score = judge(student, "train_step", [case], ways, most["train_step"], ask=ask)
    if score.points and not all(modes):
        score.lose(0.5, "step_mode")
    return {"train_step": score}


def check_evaluate(student: AnyStudent, random: Random, most: Most) -> Mapping[str, Score]:
    """Measure a text whose last batch is shorter; cutting batches is ours."""
    V = 6
    weights = random.normal(0, 1, (V, V)).astype(np.float32)
    source, bptt = random.integers(0, V, (9, 2)), 3
    parts = []
    for i in range(0, len(source) - 1, bptt):
        length = min(bptt, len(source) - 1 - i)
        scores = torch.from_numpy(weights)[torch.from_numpy(source[i : i + length])].reshape(-1, V)
        goal = torch.from_numpy(source[i + 1 : i + 1 + length].reshape(-1))
        parts.append(nn.functional.cross_entropy(scores, goal, reduction="none").numpy())
    every = np.concatenate(parts)
    means = [float(part.mean()) for part in parts]
    weighted = float(np.dot(means, [len(part) // 2 for part in parts]))
    ways = (
        Way(0, None, lambda *_: math.exp(every.mean())),
        Way(1, "evaluate_batch_means", lambda *_: math.exp(sum(means) / len(means))),
        Way(0.5, "evaluate_loss", lambda *_: float(every.mean())),
        Way(0.5, "evaluate_rows", lambda *_: math.exp(weighted / len(source))),
        Way(1, "evaluate_base", lambda *_: 2 ** float(every.mean())),
        Way(1, "evaluate_mean_of_perplexities", lambda *_: sum(map(math.exp, means)) / len(means)),
        Way(1, "evaluate_last", lambda *_: math.exp(means[-1])),
        Way(1, "evaluate_incomplete", lambda *_: math.exp(np.concatenate(parts[:-1]).mean())),
    )
    modes: list[Any] = []

    def ask(calls: Calls, case: Sequence[Any]) -> Any:
        value, seen = calls.value("_probe_evaluation", *case)
        modes.extend(seen)
        return value

    def get_batch(source: Any, i: int, bptt: int) -> tuple[Sent, Sent]:
        x = source.array if isinstance(source, Sent) else source.numpy()
        length = min(bptt, len(x) - 1 - i)
        return Sent(x[i : i + length]), Sent(x[i + 1 : i + 1 + length].reshape(-1))

    case = [Sent(weights), Sent(source), bptt]
    score = judge(
        student,
        "evaluate",
        [case],
        ways,
        most["evaluate"],
        ask=ask,
        stand_ins={"get_batch": get_batch},
        tolerance=1e-4,
    )
    if score.points and any(mode[0] for mode in modes):
        score.lose(0.5, "evaluate_mode")
    if score.points and any(mode[1] for mode in modes):
        score.lose(0.25, "evaluate_gradients")
    return {"evaluate": score}


def check_generate(student: AnyStudent, random: Random, most: Most) -> Mapping[str, Score]:
    """Look at the probabilities that are drawn from, and at what is read after each draw."""
    V, words, temperature = 6, 4, 0.5
    weights = random.normal(0, 1, (V, V)).astype(np.float32)
    start = random.permutation(V)[:3].tolist()  # the first is not the last
    drawn: list[np.ndarray] = []

    def draw(probabilities: Any) -> int:
        array = (
            probabilities.array
            if isinstance(probabilities, Sent)
            else probabilities.detach().numpy()
        )
        drawn.append(np.asarray(array, dtype=np.float64).reshape(-1))
        return (len(drawn) * 5 + 1) % V

    def chain(first: int, *, again: bool = True) -> list[int]:
        return [first, *((n * 5 + 1) % V if again else first for n in range(1, words))]

    def way(
        factor: float | None, *, again: bool = True, position: int = -1, probabilities: bool = True
    ) -> Callable[..., Any]:
        def run(*_: Any) -> Any:
            rows = []
            for word in chain(start[position], again=again):
                scores = weights[word].astype(np.float64) * (1.0 if factor is None else factor)
                heights = np.exp(scores)
                rows.append(heights / heights.sum() if probabilities else heights)
            return rows

        return run

    ways = (
        Way(0, None, way(1 / temperature)),
        Way(0, None, way(1 / temperature, probabilities=False)),
        Way(1, "generate_times", way(temperature)),
        Way(1, "generate_no_temperature", way(None)),
        Way(1, "generate_not_fed", way(1 / temperature, again=False)),
        Way(1, "generate_first_position", way(1 / temperature, position=0, again=False)),
    )
    extra: list[Any] = []

    def ask(calls: Calls, case: Sequence[Any]) -> Any:
        new, _ = calls.value("_probe_text", *case)
        extra.append(new)
        return list(drawn)

    case = [Sent(weights), start, words, temperature]
    score = judge(
        student,
        "generate",
        [case],
        ways,
        most["generate"],
        ask=ask,
        stand_ins={"draw": draw},
        tolerance=1e-4,
    )
    wanted = [(n * 5 + 1) % V for n in range(1, words + 1)]
    if score.points and extra and extra[0] != wanted:
        score.lose(0.5, "generate_returned")
    return {"generate": score}


ASSIGNMENT = Assignment(
    task="word_lm",
    folder=Path(__file__).parent,
    distributions=("numpy", "torch", "tqdm"),
    checks=(
        Check(("batchify",), check_batchify),
        Check(("get_batch",), check_get_batch),
        Check(("positions",), check_positions),
        Check(("causal_mask",), check_causal_mask),
        Check(("forward",), check_forward),
        Check(("train_step",), check_train_step),
        Check(("evaluate",), check_evaluate),
        Check(("generate",), check_generate),
    ),
    remarks=REMARKS,
    helpers=HELPERS,
    by_hand={"essay": 1.0},
    hidden=frozenset(
        {"step_clip_after", "step_mode", "evaluate_batch_means", "get_batch_end", "forward_no_mask"}
    ),
)
