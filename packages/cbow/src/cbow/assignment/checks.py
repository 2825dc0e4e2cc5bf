"""What is graded of the CBOW assignment, and the classic mistakes that are told apart.

One step of training shows only its result: the returned loss and what it did to U and V. So the check of a step
computes what each combination of mistakes would give, and takes the combination that explains the student's result
exactly; each TODO then loses points for its own mistake alone. What stays unexplained is lost.

Shapes: V vocabulary size, D embedding size, C context words. Equations: Rong 2014, arXiv 1411.2738.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cbow.model import reference
from shared.teaching.assignment import AnyStudent, Assignment, Check, Score, call
from shared.teaching.compare import close, numbers
from shared.teaching.student import Answer, CallFailed, Failure

Array = NDArray[np.floating[Any]]
_CLOSE = 1e-6


def check_one_hot(
    student: AnyStudent, random: np.random.Generator, most: Mapping[str, float]
) -> Mapping[str, Score]:
    """Compare `one_hot` with a vector of zeros and a one, at both ends and inside."""
    score = Score(most["one_hot"])
    size = int(random.integers(5, 12))
    for index in (int(random.integers(1, size - 1)), 0, size - 1):
        value = _answer(student, "one_hot", size, index).value
        vector = numbers(value)
        if vector is None:
            score.lose(1, "no_array", name="one_hot")
        elif vector.shape != (size,):
            score.lose(1, "one_hot_shape", shape=vector.shape, expected=(size,))
        elif not np.array_equal(vector, reference.one_hot(size, index)):
            score.lose(1, "one_hot_value")
    return {"one_hot": score}


def check_softmax(
    student: AnyStudent, random: np.random.Generator, most: Mapping[str, float]
) -> Mapping[str, Score]:
    """Check values (1 point), large scores (a half), and that the argument stays as it is (a half)."""
    score = Score(most["softmax"])
    scores = random.normal(0, 2, int(random.integers(4, 9)))
    scores[0] = abs(scores[0]) + 1  # the first case is not of negative scores alone
    for given in (scores, -np.abs(scores) - 1):
        answer = _answer(student, "softmax", given)
        value = numbers(answer.value)
        expected = reference.softmax(given)
        if value is None:
            return {"softmax": _lost(score, "no_array", name="softmax")}
        if value.shape != expected.shape:
            return {"softmax": _lost(score, "softmax_shape", shape=value.shape)}
        if not close(value, expected, _CLOSE):
            score.lose(
                1,
                "softmax_negative"
                if given is not scores and score.points == 2
                else "softmax_value",
            )
        changed = numbers(answer.arguments[0])
        if changed is None or not np.array_equal(changed, given):
            score.points -= 0.5 * (not _has(score, "softmax_in_place"))
            score.note("softmax_in_place")
    if not _has(score, "softmax_value") and not _has(score, "softmax_negative"):
        for shift in (1000.0, -1000.0):
            large = scores + shift
            try:
                value = numbers(_answer(student, "softmax", large).value)
            except CallFailed:
                value = None
            if value is None or not close(value, reference.softmax(large), _CLOSE):
                score.points -= 0.5 * (not _has(score, "softmax_overflow"))
                score.note("softmax_overflow")
    else:
        score.points = min(score.points, 0.5) if score.points else 0.0
    return {"softmax": score}


@dataclass(frozen=True)
class _Step:
    """One sample to train on."""

    U: Array
    V: Array
    context: tuple[int, ...]
    target: int
    rate: float


@dataclass(frozen=True)
class _Result:
    """What student code made of a step; a loss of None was no number."""

    loss: float | None
    U: Array
    V: Array


@dataclass(frozen=True)
class _Mistake:
    """One way to do a part: what it costs, what is said, and how it computes."""

    cost: float
    remark: str | None
    run: Callable[..., Any]


# Which ids are the context and the target.
_INPUTS: tuple[_Mistake, ...] = (
    _Mistake(0, None, lambda s: (s.context, s.target)),
    _Mistake(1.5, "inputs_repeats", lambda s: (tuple(dict.fromkeys(s.context)), s.target)),
    _Mistake(1.5, "inputs_last", lambda s: (s.context[:-1] or s.context, s.target)),
    _Mistake(1.5, "inputs_first_word", lambda s: (s.context[:1], s.target)),
    _Mistake(1.5, "inputs_without_first", lambda s: (s.context[1:] or s.context, s.target)),
    _Mistake(1.5, "inputs_with_target", lambda s: ((*s.context, s.target), s.target)),
    _Mistake(
        1.5, "inputs_off_by_one", lambda s: (tuple((c + 1) % len(s.U) for c in s.context), s.target)
    ),
    _Mistake(1.5, "inputs_target_is_context", lambda s: (s.context, s.context[0])),
    _Mistake(1.5, "inputs_target_off_by_one", lambda s: (s.context, (s.target + 1) % len(s.U))),
    _Mistake(3, "inputs_swapped", lambda s: ((s.target,), s.context[0])),
)

# The hidden layer (D,), and the probabilities (V,) from it.
_FORWARD: tuple[_Mistake, ...] = (
    _Mistake(0, None, lambda U, V, c, n: _forward(U[list(c)].mean(axis=0), V)),
    _Mistake(1.5, "forward_sum", lambda U, V, c, n: _forward(U[list(c)].sum(axis=0), V)),
    _Mistake(
        1.5, "forward_window", lambda U, V, c, n: _forward(U[list(c)].sum(axis=0) / (n + 1), V)
    ),
    _Mistake(2, "forward_max", lambda U, V, c, n: _forward(U[list(c)].max(axis=0), V)),
    _Mistake(2, "forward_first", lambda U, V, c, n: _forward(U[c[0]], V)),
    _Mistake(2, "forward_from_V", lambda U, V, c, n: _forward(V.T[list(c)].mean(axis=0), V)),
    _Mistake(2, "forward_to_U", lambda U, V, c, n: _forward(U[list(c)].mean(axis=0), U.T)),
    _Mistake(1.5, "forward_no_softmax", lambda U, V, c, n: _linear(U[list(c)].mean(axis=0), V)),
    _Mistake(1.5, "forward_sigmoid", lambda U, V, c, n: _sigmoid(U[list(c)].mean(axis=0), V)),
    _Mistake(1.5, "forward_tanh", lambda U, V, c, n: _forward(np.tanh(U[list(c)].mean(axis=0)), V)),
)

# The returned loss, from probabilities before (and after) the update.
_LOSS: tuple[_Mistake, ...] = (
    _Mistake(0, None, lambda p, t, after: -_log(p[t])),
    _Mistake(1.5, "loss_after", lambda p, t, after: -_log(after[t])),
    _Mistake(1, "loss_log2", lambda p, t, after: -_log(p[t]) / np.log(2)),
    _Mistake(1, "loss_log10", lambda p, t, after: -_log(p[t]) / np.log(10)),
    _Mistake(1.5, "loss_sign", lambda p, t, after: _log(p[t])),
    _Mistake(2, "loss_mean", lambda p, t, after: -_log(p[t]) / len(p)),
    _Mistake(2, "loss_all", lambda p, t, after: -sum(map(_log, p))),
    _Mistake(2, "loss_entropy", lambda p, t, after: -sum(x * _log(x) for x in p)),
    _Mistake(2, "loss_probability", lambda p, t, after: 1 - p[t]),
    _Mistake(2, "loss_no_log", lambda p, t, after: p[t]),
    _Mistake(2, "loss_squared", lambda p, t, after: float(((p - np.eye(len(p))[t]) ** 2).sum())),
    _Mistake(
        1.5,
        "loss_binary",
        lambda p, t, after: -_log(p[t]) - sum(_log(1 - x) for i, x in enumerate(p) if i != t),
    ),
    _Mistake(3, "loss_none", lambda p, t, after: None),
    _Mistake(3, "loss_zero", lambda p, t, after: 0.0),
)

# The change of V, from hidden layer, error p - y, rate.
_UPDATE_V: tuple[_Mistake, ...] = (
    _Mistake(0, None, lambda h, e, lr: -lr * np.outer(h, e)),
    _Mistake(1.5, "update_V_none", lambda h, e, lr: np.zeros((len(h), len(e)))),
    _Mistake(0.75, "update_sign", lambda h, e, lr: lr * np.outer(h, e)),
    _Mistake(0.75, "update_rate", lambda h, e, lr: -np.outer(h, e)),
    _Mistake(0.75, "update_rate_fixed", lambda h, e, lr: -0.1 * np.outer(h, e)),
    _Mistake(1, "update_V_target", lambda h, e, lr: -lr * np.outer(h, np.where(e < 0, e, 0))),
    _Mistake(1, "update_V_mean", lambda h, e, lr: -lr * np.outer(h, e) / len(e)),
    _Mistake(1, "update_V_error", lambda h, e, lr: -lr * np.outer(h, e + (e < 0))),
)

# The change of U, from V as it was and as it is, context, error, rate, and the number of all words.
_UPDATE_U: tuple[_Mistake, ...] = (
    _Mistake(0, None, lambda V, W, c, e, lr, n: _rows(n, c, -lr * (V @ e) / len(c))),
    _Mistake(0, "update_once", lambda V, W, c, e, lr, n: _rows(n, set(c), -lr * (V @ e) / len(c))),
    _Mistake(0.75, "update_C", lambda V, W, c, e, lr, n: _rows(n, c, -lr * (V @ e))),
    _Mistake(0.75, "update_C", lambda V, W, c, e, lr, n: _rows(n, set(c), -lr * (V @ e))),
    _Mistake(0.75, "update_order", lambda V, W, c, e, lr, n: _rows(n, c, -lr * (W @ e) / len(c))),
    _Mistake(0.75, "update_order", lambda V, W, c, e, lr, n: _rows(n, set(c), -lr * (W @ e) / len(c))),
    _Mistake(1.5, "update_U_none", lambda V, W, c, e, lr, n: np.zeros((n, len(V)))),
    _Mistake(0.75, "update_sign", lambda V, W, c, e, lr, n: _rows(n, c, lr * (V @ e) / len(c))),
    _Mistake(0.75, "update_rate", lambda V, W, c, e, lr, n: _rows(n, c, -(V @ e) / len(c))),
    _Mistake(0.75, "update_rate_fixed", lambda V, W, c, e, lr, n: _rows(n, c, -0.1 * (V @ e) / len(c))),
    _Mistake(1, "update_U_all", lambda V, W, c, e, lr, n: np.tile(-lr * (V @ e) / len(c), (n, 1))),
    _Mistake(1, "update_U_all", lambda V, W, c, e, lr, n: np.tile(-lr * (V @ e), (n, 1))),
    _Mistake(1, "update_U_first", lambda V, W, c, e, lr, n: _rows(n, c[:1], -lr * (V @ e) / len(c))),
)  # fmt: skip


def check_step(
    student: AnyStudent, random: np.random.Generator, most: Mapping[str, float]
) -> Mapping[str, Score]:
    """Explain the results of training steps by mistakes in the four parts, and give points for the rest."""
    scores = {name: Score(points) for name, points in most.items()}
    steps = list(_steps(random))
    results: list[_Result] = []
    for step in steps:
        try:
            results.append(_run(student, step))
        except CallFailed as failed:
            return _partly(failed.failure, most)
    finite = [
        result for result in results if np.isfinite(result.U).all() and np.isfinite(result.V).all()
    ]
    if len(finite) < len(results):
        for score in scores.values():
            _lost(score, "not_finite")
        return scores
    best = min(
        (_explain(steps, results, *pair) for pair in product(_INPUTS, _FORWARD)),
        key=lambda e: e.cost,
    )
    for name, (cost, remarks) in best.parts.items():
        scores[name].points -= cost
        for remark in remarks:
            scores[name].note(remark)
    if scores["loss"].points == most["loss"]:
        _check_rare(student, random, scores["loss"])
    return scores


@dataclass(frozen=True)
class _Explanation:
    """Costs and remarks by part."""

    parts: dict[str, tuple[float, list[str]]]

    @property
    def cost(self) -> float:
        return sum(cost for cost, _ in self.parts.values())


def _explain(
    steps: Sequence[_Step], results: Sequence[_Result], inputs: _Mistake, forward: _Mistake
) -> _Explanation:
    """Explain loss, V and U, given what the inputs and the forward pass are; what stays unexplained is lost."""
    facts = []
    for step in steps:
        context, target = inputs.run(step)
        hidden, p = forward.run(step.U, step.V, context, len(step.context))
        error = p - reference.one_hot(len(p), target)
        facts.append((step, context, target, hidden, p, error))

    def fits_V(way: _Mistake) -> bool:
        return all(
            close(r.V - s.V, way.run(h, e, s.rate), _CLOSE)
            for (s, _, _, h, _, e), r in zip(facts, results, strict=True)
        )

    def fits_U(way: _Mistake) -> bool:
        return all(
            close(r.U - s.U, way.run(s.V, r.V, c, e, s.rate, len(s.U)), _CLOSE)
            for (s, c, _, _, _, e), r in zip(facts, results, strict=True)
        )

    def fits_loss(way: _Mistake) -> bool:
        for (s, c, t, _, p, _), r in zip(facts, results, strict=True):
            after = forward.run(r.U, r.V, c, len(s.context))[1]
            expected = way.run(p, t, after)
            if expected is None or r.loss is None:
                if expected is not r.loss:
                    return False
            elif not (abs(expected - r.loss) <= _CLOSE * max(1, abs(expected))):  # false for NaN
                return False
        return True

    way_V, way_U, way_loss = (
        _first(_UPDATE_V, fits_V),
        _first(_UPDATE_U, fits_U),
        _first(_LOSS, fits_loss),
    )
    silent = {"update_V_none", "update_U_none", "loss_none", "loss_zero"}
    evidence = [
        way for way in (way_V, way_U, way_loss) if way is not None and way.remark not in silent
    ]
    parts: dict[str, tuple[float, list[str]]] = {}
    if evidence:
        parts["inputs"] = (inputs.cost, _said(inputs))
        parts["forward"] = (forward.cost, _said(forward))
    else:
        parts["inputs"] = (3, ["inputs_unclear"])
        parts["forward"] = (3, ["forward_unclear"])
    parts["loss"] = (way_loss.cost, _said(way_loss)) if way_loss else (3, ["loss_value"])
    cost, remarks = 0.0, []
    for way, remark in ((way_V, "update_V_value"), (way_U, "update_U_value")):
        cost += way.cost if way else 1.5
        remarks += _said(way) if way else [remark]
    parts["update"] = (cost, list(dict.fromkeys(remarks)))
    return _Explanation(parts)


def _check_rare(student: AnyStudent, random: np.random.Generator, score: Score) -> None:
    """A target of probability 0 must not make the loss infinite or stop training."""
    step = _step(random, context=1)
    step.V[:, step.target] = -1000 * np.sign(step.U[step.context[0]])
    try:
        result = _run(student, step)
    except CallFailed:
        result = None
    if result is None or result.loss is None or not np.isfinite(result.loss):
        score.note("loss_rare")


def _partly(failure: Failure, most: Mapping[str, float]) -> dict[str, Score]:
    """Score a step that ended in an exception: parts before an open TODO cannot be told from outside."""
    scores = {name: Score(0.0) for name in most}
    for score in scores.values():
        score.fail(failure)
    if failure.is_gap:
        name = failure.text.removeprefix("TODO ").strip()
        names = list(most)
        for before in names[: names.index(name)] if name in names else ():
            scores[before].remarks.clear()
            scores[before].note("step_unfinished", name=name)
    return scores


def _steps(random: np.random.Generator) -> Iterator[_Step]:
    """Draw contexts of several sizes, one with a repeated word, at two learning rates."""
    yield _step(random, context=4, rate=0.5)
    yield _step(random, context=3, rate=0.03)
    repeated = _step(random, context=3, rate=0.5)
    first, second = repeated.context[:2]
    yield _Step(
        repeated.U, repeated.V, (first, second, first, repeated.context[2]), repeated.target, 0.5
    )
    yield _step(random, context=1, rate=0.2)


def _step(random: np.random.Generator, *, context: int, rate: float = 0.5) -> _Step:
    words = int(random.integers(8, 12))
    size = int(random.integers(3, 6))
    chosen = random.choice(np.arange(1, words), context + 1, replace=False)
    U, V = random.uniform(-1, 1, (words, size)), random.uniform(-1, 1, (size, words))
    return _Step(
        U, V, tuple(map(int, chosen[:-1])), int(chosen[-1]), rate * float(random.uniform(0.9, 1.1))
    )


def _run(student: AnyStudent, step: _Step) -> _Result:
    """Have the student's code train on one step. The other TODOs are the reference's."""
    words = [f"w{number}" for number in range(1, len(step.U))]

    def action(calls: Any) -> _Result:
        vocab = calls.make("Vocab", [" ".join(words)])
        handle = calls.make("CBOW", vocab, step.U.shape[1])
        calls.set("U", step.U.copy(), of=handle)
        calls.set("V", step.V.copy(), of=handle)
        context = [f"w{index}" for index in step.context]
        loss = calls.value("train_one_step", context, f"w{step.target}", step.rate, of=handle)
        after = [numbers(calls.get(name, of=handle)) for name in ("U", "V")]
        for name, array, before in zip(("U", "V"), after, (step.U, step.V), strict=True):
            if array is None or array.shape != before.shape:
                raise CallFailed(
                    Failure("ValueError", f"{name} is no longer an array of shape {before.shape}")
                )
        assert after[0] is not None and after[1] is not None
        number = numbers(loss)
        value = number.item() if number is not None and number.size == 1 else None
        return _Result(value, after[0], after[1])

    return call(student, action, one_hot=reference.one_hot, softmax=reference.softmax)


def _answer(student: AnyStudent, name: str, *arguments: Any) -> Answer:
    """Call a function of the student's."""
    with student.check() as calls:
        return calls.call(name, *arguments)


def _has(score: Score, key: str) -> bool:
    return any(remark.key == key for remark in score.remarks)


def _lost(score: Score, key: str, **values: Any) -> Score:
    score.lose(score.points, key, **values)
    return score


def _first(ways: Sequence[_Mistake], fits: Callable[[_Mistake], bool]) -> _Mistake | None:
    return next((way for way in ways if fits(way)), None)


def _said(way: _Mistake) -> list[str]:
    return [way.remark] if way.remark else []


def _log(x: float) -> float:
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.log(x))


def _rows(count: int, ids: Any, change: Array) -> Array:
    """Return a matrix (count, D) in which each row is the change as often as its id occurs."""
    rows = np.zeros((count, len(change)))
    for index in ids:
        rows[index] += change
    return rows


def _forward(hidden: Array, V: Array) -> tuple[Array, Array]:
    return hidden, reference.softmax(hidden @ V)


def _linear(hidden: Array, V: Array) -> tuple[Array, Array]:
    return hidden, hidden @ V


def _sigmoid(hidden: Array, V: Array) -> tuple[Array, Array]:
    return hidden, 1 / (1 + np.exp(-(hidden @ V)))


REMARKS = {
    "no_array": {"en": "{name}: does not return numbers", "zh": "{name}：返回值不是数值数组"},
    "one_hot_shape": {
        "en": "one_hot: the shape is {shape}, expected {expected}",
        "zh": "one_hot：形状为 {shape}，应为 {expected}",
    },
    "one_hot_value": {
        "en": "one_hot: not zeros with a one at the index",
        "zh": "one_hot：应当只有下标处为 1，其余为 0",
    },
    "softmax_shape": {
        "en": "softmax: the result has shape {shape}, not that of the scores",
        "zh": "softmax：结果形状为 {shape}，与得分的形状不同",
    },
    "softmax_value": {"en": "softmax: wrong probabilities", "zh": "softmax：概率计算错误"},
    "softmax_negative": {
        "en": "softmax: wrong where all scores are negative",
        "zh": "softmax：所有得分为负时结果错误",
    },
    "softmax_overflow": {
        "en": "softmax: overflows for large scores; subtract the largest score first",
        "zh": "softmax：得分很大时溢出；应先减去最大的得分",
    },
    "softmax_in_place": {
        "en": "softmax: the input array was changed",
        "zh": "softmax：传入的数组被修改了",
    },
    "not_finite": {
        "en": "a step makes U or V infinite or NaN",
        "zh": "训练一步后 U 或 V 出现 inf 或 NaN",
    },
    "step_unfinished": {
        "en": "cannot be graded before {name} is done",
        "zh": "完成 {name} 之后才能评分",
    },
    "inputs_unclear": {
        "en": "inputs: the step does not use the context and target words",
        "zh": "输入：这一步没有用到上下文词和目标词",
    },
    "inputs_repeats": {
        "en": "inputs: a word that occurs twice in the context is used once",
        "zh": "输入：上下文中重复出现的词只用了一次",
    },
    "inputs_last": {
        "en": "inputs: the last context word is left out",
        "zh": "输入：漏掉了最后一个上下文词",
    },
    "inputs_first_word": {
        "en": "inputs: only the first context word is used",
        "zh": "输入：只用了第一个上下文词",
    },
    "inputs_without_first": {
        "en": "inputs: the first context word is left out",
        "zh": "输入：漏掉了第一个上下文词",
    },
    "inputs_with_target": {
        "en": "inputs: the target word is among the context words",
        "zh": "输入：目标词被当作上下文词",
    },
    "inputs_off_by_one": {
        "en": "inputs: indices of the context are off by one",
        "zh": "输入：上下文词的下标偏移了 1",
    },
    "inputs_target_is_context": {
        "en": "inputs: the first context word is taken for the target",
        "zh": "输入：把第一个上下文词当成了目标词",
    },
    "inputs_target_off_by_one": {
        "en": "inputs: the index of the target is off by one",
        "zh": "输入：目标词的下标偏移了 1",
    },
    "inputs_swapped": {
        "en": "inputs: context and target are swapped",
        "zh": "输入：上下文词与目标词颠倒了",
    },
    "forward_unclear": {
        "en": "forward: neither the loss nor the update fits the model's hidden layer and probabilities",
        "zh": "前向：损失与更新都与模型的隐藏层和概率不符",
    },
    "forward_sum": {
        "en": "forward: the hidden layer is the sum of the context rows, not their mean",
        "zh": "前向：隐藏层是上下文行的和，而不是平均值",
    },
    "forward_window": {
        "en": "forward: the sum of the context rows is divided by a wrong number",
        "zh": "前向：上下文行之和除以了错误的个数",
    },
    "forward_max": {
        "en": "forward: the hidden layer is the maximum of the context rows, not their mean",
        "zh": "前向：隐藏层是上下文行的最大值，而不是平均值",
    },
    "forward_first": {
        "en": "forward: the hidden layer is one row of U, not the mean of the context rows",
        "zh": "前向：隐藏层只是 U 的一行，而不是上下文行的平均值",
    },
    "forward_from_V": {
        "en": "forward: the hidden layer is made of columns of V, not of rows of U",
        "zh": "前向：隐藏层由 V 的列计算，应当用 U 的行",
    },
    "forward_to_U": {
        "en": "forward: the scores are made with U, not with V",
        "zh": "前向：得分由 U 计算，应当用 V",
    },
    "forward_no_softmax": {
        "en": "forward: the scores are not turned into probabilities by softmax",
        "zh": "前向：得分没有经过 softmax 变成概率",
    },
    "forward_sigmoid": {
        "en": "forward: sigmoid in place of softmax",
        "zh": "前向：用了 sigmoid 而不是 softmax",
    },
    "forward_tanh": {
        "en": "forward: CBOW has no activation function in its hidden layer",
        "zh": "前向：CBOW 的隐藏层没有激活函数",
    },
    "loss_value": {
        "en": "loss: not the cross entropy of the target word",
        "zh": "损失：不是目标词的交叉熵",
    },
    "loss_after": {
        "en": "loss: computed after the update, must be before",
        "zh": "损失：在更新之后计算，应在更新之前",
    },
    "loss_log2": {
        "en": "loss: base 2, expected the natural logarithm",
        "zh": "损失：用了以 2 为底的对数，应为自然对数",
    },
    "loss_log10": {
        "en": "loss: base 10, expected the natural logarithm",
        "zh": "损失：用了以 10 为底的对数，应为自然对数",
    },
    "loss_sign": {"en": "loss: the minus sign is missing", "zh": "损失：缺少负号"},
    "loss_mean": {"en": "loss: divided by the vocabulary size", "zh": "损失：多除以了词表大小"},
    "loss_all": {
        "en": "loss: summed over all words, not only the target",
        "zh": "损失：对所有词求和，应只取目标词",
    },
    "loss_entropy": {
        "en": "loss: the entropy of the prediction, not the cross entropy with the target",
        "zh": "损失：算成了预测分布的熵，而不是与目标词的交叉熵",
    },
    "loss_probability": {
        "en": "loss: 1 - p, expected -ln p",
        "zh": "损失：用了 1 - p，应为 -ln p",
    },
    "loss_no_log": {
        "en": "loss: the probability itself; the logarithm is missing",
        "zh": "损失：返回了概率本身，缺少对数",
    },
    "loss_squared": {
        "en": "loss: squared error, expected cross entropy",
        "zh": "损失：用了平方误差，应为交叉熵",
    },
    "loss_binary": {
        "en": "loss: binary cross entropy of every word, expected that of the target alone",
        "zh": "损失：对每个词都算了二元交叉熵，应只取目标词",
    },
    "loss_none": {"en": "loss: nothing, or no number, is returned", "zh": "损失：没有返回数值"},
    "loss_zero": {"en": "loss: always 0", "zh": "损失：始终为 0"},
    "loss_rare": {
        "en": "loss: infinite where the target's probability rounds to 0 (no points lost)",
        "zh": "损失：目标词概率舍入为 0 时损失为无穷大（不扣分）",
    },
    "update_V_none": {"en": "update: V is not updated", "zh": "更新：V 没有更新"},
    "update_U_none": {"en": "update: U is not updated", "zh": "更新：U 没有更新"},
    "update_V_value": {"en": "update: wrong gradient of V", "zh": "更新：V 的梯度错误"},
    "update_U_value": {"en": "update: wrong gradient of U", "zh": "更新：U 的梯度错误"},
    "update_sign": {
        "en": "update: the sign is wrong; the step goes uphill",
        "zh": "更新：符号错误，沿梯度上升",
    },
    "update_rate": {"en": "update: the learning rate is not used", "zh": "更新：没有使用学习率"},
    "update_rate_fixed": {
        "en": "update: a fixed learning rate in place of the argument",
        "zh": "更新：学习率写死了，应使用参数",
    },
    "update_V_target": {
        "en": "update: only the target's column of V is updated",
        "zh": "更新：只更新了 V 中目标词的列",
    },
    "update_V_mean": {
        "en": "update: the gradient of V is divided by the vocabulary size",
        "zh": "更新：V 的梯度多除以了词表大小",
    },
    "update_V_error": {
        "en": "update: the error is p, expected p minus the one-hot target",
        "zh": "更新：误差用了 p，应为 p 减去 one-hot 目标",
    },
    "update_once": {
        "en": "update: a repeated context word is moved once; its gradient counts each time (no points lost)",
        "zh": "更新：重复的上下文词只更新了一次，梯度应按次数累加（不扣分）",
    },
    "update_C": {
        "en": "update: the gradient of U is not divided by the number of context words",
        "zh": "更新：U 的梯度没有除以上下文词的个数",
    },
    "update_order": {
        "en": "update: V is updated before the gradient of U is computed from it",
        "zh": "更新：在用 V 计算 U 的梯度之前就更新了 V",
    },
    "update_U_all": {
        "en": "update: all rows of U are moved, not only those of the context",
        "zh": "更新：U 的所有行都被更新，应只更新上下文词的行",
    },
    "update_U_first": {
        "en": "update: only the first context word's row of U is moved",
        "zh": "更新：只更新了第一个上下文词的行",
    },
}

ASSIGNMENT = Assignment(
    task="cbow",
    folder=Path(__file__).parent,
    distributions=("numpy", "tqdm"),
    checks=(
        Check(("one_hot",), check_one_hot),
        Check(("softmax",), check_softmax),
        Check(("inputs", "forward", "loss", "update"), check_step),
    ),
    remarks=REMARKS,
    hidden=frozenset(
        {"softmax_overflow", "softmax_in_place", "softmax_negative", "update_once", "loss_rare"}
    ),
)
