"""What is graded of the sentiment assignment, and the classic mistakes that are told apart.

Each function is asked with inputs drawn anew; its answers are compared with what the right way and each known mistake
give.

Shapes: B batch, T time in tokens, D size of a word vector, H hidden size, K units of the head, V vocabulary size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from imdb_sentiment.assignment.remarks import REMARKS
from shared.teaching.assignment import AnyStudent, Assignment, Check, Score
from shared.teaching.compare import Way, judge
from shared.teaching.student import Calls
from shared.teaching.wire import Tensor as Sent

Most = Mapping[str, float]
Random = np.random.Generator


def _words(random: Random, count: int) -> list[str]:
    return ["".join(chr(97 + int(n)) for n in random.integers(0, 26, 5)) for _ in range(count)]


# Text


def check_rating(student: AnyStudent, random: Random, most: Most) -> Mapping[str, Score]:
    """Ask for names with one and two digits; ids hold digits too."""
    names = [f"{random.integers(0, 12500)}_{stars}.txt" for stars in (1, 4, 7, 10, 10)]
    ways = (
        Way(0, None, lambda name: int(name.split("_")[1].split(".")[0])),
        Way(1, "rating_one_digit", lambda name: int(name.split(".")[0][-1])),
        Way(1, "rating_one_digit", lambda name: int(name.split("_")[1][0])),
        Way(1, "rating_id", lambda name: int(name.split("_")[0])),
        Way(0.5, "rating_text", lambda name: name.split("_")[1].split(".")[0]),
    )
    return {"rating": judge(student, "rating", [(name,) for name in names], ways, most["rating"])}


def check_tokens(student: AnyStudent, random: Random, most: Most) -> Mapping[str, Score]:
    """Ask for punctuation, case, line breaks, several spaces, digits and letters beyond ASCII."""
    import re

    a, b, c, d = _words(random, 4)
    texts = [
        f"{a.title()}, {b}!",
        f"{a}<br /><br />{b} 10/10",
        f"it's {c}--{d}...  {a}\t{b}",
        f"Caf\u00e9 {d.upper()}",
        "",
    ]
    ways = (
        Way(0, None, lambda text: re.sub(r"\W", " ", text.lower()).split()),
        Way(0.5, "tokens_case", lambda text: re.sub(r"\W", " ", text).split()),
        Way(0.5, "tokens_empty", lambda text: re.split(r"\W", text.lower())),
        Way(0.5, "tokens_empty", lambda text: re.sub(r"\W", " ", text.lower()).split(" ")),
        Way(0.5, "tokens_glued", lambda text: re.sub(r"[^\w\s]", "", text.lower()).split()),
        Way(1, "tokens_punctuation", lambda text: text.lower().split()),
        Way(0.5, "tokens_ascii", lambda text: re.sub(r"[^a-z0-9_]", " ", text.lower()).split()),
        Way(0.5, "tokens_digits", lambda text: re.sub(r"[^a-z]", " ", text.lower()).split()),
    )
    return {"tokens": judge(student, "tokens", [(text,) for text in texts], ways, most["tokens"])}


def check_length_limit(student: AnyStudent, random: Random, most: Most) -> Mapping[str, Score]:
    """Ask for a few lists of lengths, small ones too, where the two sorts of deviation differ."""
    cases = [([int(n) for n in random.integers(5, 900, size)],) for size in (3, 4, 40)]
    ways = (
        Way(0, None, lambda x: int(np.mean(x) + 2 * np.std(x))),
        Way(0.5, "limit_sample", lambda x: int(np.mean(x) + 2 * np.std(x, ddof=1))),
        Way(0.5, "limit_rounding", lambda x: float(np.mean(x) + 2 * np.std(x))),
        Way(0.5, "limit_rounding", lambda x: int(np.ceil(np.mean(x) + 2 * np.std(x)))),
        Way(1, "limit_one", lambda x: int(np.mean(x) + np.std(x))),
        Way(1, "limit_variance", lambda x: int(np.mean(x) + 2 * np.var(x))),
        Way(1, "limit_max", lambda x: max(x)),
        Way(1, "limit_mean", lambda x: int(np.mean(x))),
    )
    return {"length_limit": judge(student, "length_limit", cases, ways, most["length_limit"])}


def check_pad(student: AnyStudent, random: Random, most: Most) -> Mapping[str, Score]:
    """Ask for shorter, longer and equal lists, and an empty one; the argument must stay as it is."""
    drawn = [[int(n) for n in random.integers(1, 99, size)] for size in (3, 9, 6, 0)]
    cases = [(ids, 6) for ids in drawn]

    def zeros(ids: list[int], limit: int) -> list[int]:
        return [0] * max(0, limit - len(ids))

    ways = (
        Way(0, None, lambda ids, n: zeros(ids, n) + ids[:n]),
        Way(1, "pad_behind", lambda ids, n: ids[:n] + zeros(ids, n)),
        Way(1, "pad_last", lambda ids, n: zeros(ids, n) + ids[-n:]),
        Way(1, "pad_not_cut", lambda ids, n: zeros(ids, n) + ids),
        Way(1, "pad_not_filled", lambda ids, n: ids[:n]),
        Way(1, "pad_one", lambda ids, n: [1] * len(zeros(ids, n)) + ids[:n]),
        Way(1, "pad_one_less", lambda ids, n: zeros(ids, n) + ids[: n - 1]),
        Way(2, "pad_behind_not_cut", lambda ids, n: ids + zeros(ids, n)),
    )
    score = judge(student, "pad", cases, ways, most["pad"])
    if score.points:
        with student.check() as calls:
            if list(calls.call("pad", list(drawn[0]), 6).arguments[0]) != drawn[0]:
                score.lose(0.5, "pad_in_place")
    return {"pad": score}


def check_load_vectors(student: AnyStudent, random: Random, most: Most) -> Mapping[str, Score]:
    """Ask with a word that holds spaces, one that is missing, one that repeats, and a line for the padding."""
    words = ["<pad>", *_words(random, 3), ". . .", "missing"]
    size = int(random.integers(3, 6))
    named = [words[2], ". . .", "other", "<pad>", words[1], words[3]]
    lines = [f"{word} {' '.join(f'{x:.4f}' for x in random.normal(size=size))}" for word in named]

    def table(
        lines: list[str],
        *,
        spaced: bool = True,
        shift: int = 0,
        padding: bool = False,
        drawn: bool = False,
    ) -> Any:
        matrix = np.zeros((len(words), size))
        for line in lines:
            parts = line.split(" ")
            word = " ".join(parts[:-size]) if spaced else parts[0]
            if not spaced and len(parts) != size + 1:
                continue
            if word in words and (padding or word != "<pad>"):
                matrix[(words.index(word) + shift) % len(words)] = [float(x) for x in parts[-size:]]
        return matrix

    def by_line(lines: list[str], _words: Any, _size: Any) -> Any:
        matrix = np.zeros((len(words), size))
        for row, line in enumerate(lines[: len(words)]):
            matrix[row] = [float(x) for x in line.split(" ")[-size:]]
        return matrix

    ways = (
        Way(0, None, lambda lines, w, n: table(lines)),
        Way(1.5, "vectors_spaces", lambda lines, w, n: table(lines, spaced=False)),
        Way(1, "vectors_padding", lambda lines, w, n: table(lines, padding=True)),
        Way(2, "vectors_spaces", lambda lines, w, n: table(lines, spaced=False, padding=True)),
        Way(3, "vectors_order", by_line),
        Way(2, "vectors_shifted", lambda lines, w, n: table(lines, shift=1)),
        Way(2, "vectors_transposed", lambda lines, w, n: table(lines).T),
        Way(1.5, "vectors_split", lambda lines, w, n: _raise(ValueError)),
    )
    score = judge(
        student, "load_vectors", [(lines, words, size)], ways, most["load_vectors"], tolerance=1e-4
    )
    return {"load_vectors": score}


def _raise(error: type[Exception]) -> None:
    raise error


# The LSTM


def _gates(x: Tensor, h: Tensor, W: Tensor, U: Tensor, b: Tensor) -> tuple[Tensor, ...]:
    return tuple((x @ W.T + h @ U.T + b).chunk(4, dim=1))


def _cell(
    x: Tensor,
    h: Tensor,
    c: Tensor,
    W: Tensor,
    U: Tensor,
    b: Tensor,
    *,
    order: str = "ifgo",
    candidate: Callable[[Tensor], Tensor] = torch.tanh,
    out: Callable[[Tensor], Tensor] = torch.tanh,
    forget: Callable[[Tensor], Tensor] = torch.sigmoid,
    keep: bool = True,
    old: bool = False,
) -> tuple[Tensor, Tensor]:
    """Return h and c after one step, in the right way or with a mistake (equations 1 to 6 of `model/lstm.py`)."""
    gate = dict(zip(order, _gates(x, h, W, U, b), strict=True))
    i, f, o = torch.sigmoid(gate["i"]), forget(gate["f"]), torch.sigmoid(gate["o"])
    new = (f * c if keep else 0 * c) + i * candidate(gate["g"])
    return o * out(c if old else new), new


def _same(x: Tensor) -> Tensor:
    return x


_CELLS: tuple[tuple[float, str | None, dict[str, Any]], ...] = (
    (0, None, {}),
    (2, "cell_order_if", {"order": "figo"}),
    (2, "cell_order_go", {"order": "ifog"}),
    (2, "cell_order", {"order": "iogf"}),
    (2, "cell_order", {"order": "gifo"}),
    (1, "cell_candidate", {"candidate": torch.sigmoid}),
    (1, "cell_candidate", {"candidate": _same}),
    (1, "cell_candidate", {"candidate": torch.relu}),
    (1, "cell_no_tanh", {"out": _same}),
    (1, "cell_no_tanh", {"out": torch.sigmoid}),
    (1, "cell_forget", {"forget": torch.tanh}),
    (1, "cell_forget_inverted", {"forget": lambda f: 1 - torch.sigmoid(f)}),
    (2, "cell_no_memory", {"keep": False}),
    (1, "cell_old", {"old": True}),
)


def check_lstm_cell(student: AnyStudent, random: Random, most: Most) -> Mapping[str, Score]:
    """Ask for two steps of different sizes."""
    cases = []
    for _ in range(2):
        B, D, H = (int(random.integers(2, 5)) for _ in range(3))
        shapes = ((B, D), (B, H), (B, H), (4 * H, D), (4 * H, H), (4 * H,))
        cases.append([_draw(random, *shape) for shape in shapes])

    def way(options: dict[str, Any]) -> Callable[..., Any]:
        return lambda *case: [t.numpy() for t in _cell(*map(_tensor, case), **options)]

    def without(index: int) -> Callable[..., Any]:
        def run(*case: Any) -> Any:
            tensors = [_tensor(part) for part in case]
            tensors[index] = torch.zeros_like(tensors[index])
            return [t.numpy() for t in _cell(*tensors)]

        return run

    ways = [Way(cost, remark, way(options)) for cost, remark, options in _CELLS]
    right = ways[0].run
    ways.append(Way(1, "cell_swapped", lambda *case: right(*case)[::-1]))
    ways.append(Way(2, "cell_only_h", lambda *case: right(*case)[0]))
    ways.append(Way(1, "cell_no_bias", without(5)))
    ways.append(Way(2, "cell_no_recurrence", without(1)))
    return {"lstm_cell": judge(student, "lstm_cell", cases, ways, most["lstm_cell"])}


def _lstm(
    x: Tensor,
    lengths: Tensor,
    layers: Any,
    *,
    masked: bool = True,
    backward: str = "right",
    stacked: bool = True,
    carried: bool = False,
) -> Tensor:
    """Return the final states, in the right way or with a mistake."""
    B, T = x.shape[:2]
    start = None
    for number, directions in enumerate(layers):
        outputs, finals = [], []
        for direction, weights in enumerate(directions):
            h = c = x.new_zeros(B, weights[1].shape[1])
            if carried and start is not None:
                h, c = start
            states: list[Tensor] = [h] * T
            order = range(T) if direction == 0 or backward == "forward" else reversed(range(T))
            for t in order:
                new_h, new_c = _cell(x[:, t], h, c, *weights)
                is_real = (
                    (t < lengths).unsqueeze(1) if masked else torch.ones(B, 1, dtype=torch.bool)
                )
                h, c = torch.where(is_real, new_h, h), torch.where(is_real, new_c, c)
                states[t] = h
            start = (h, c)
            outputs.append(torch.stack(states, 1))
            last = states[-1] if masked else h
            finals.append(last if backward == "last" and direction == 1 else h)
        if stacked or number == 0:
            x = torch.cat(outputs, 2)
    if backward == "none":
        return torch.cat([finals[0], torch.zeros_like(finals[0])], 1)
    return torch.cat(finals[::-1] if backward == "swapped" else finals, 1)


def _last_position(x: Tensor, lengths: Tensor, layers: Any) -> Tensor:
    """Return the output at the last position of the padded batch: what the original read."""
    B, T = x.shape[:2]
    for directions in layers:
        outputs = []
        for direction, weights in enumerate(directions):
            h = c = x.new_zeros(B, weights[1].shape[1])
            states: list[Tensor] = [h] * T
            for t in range(T) if direction == 0 else reversed(range(T)):
                h, c = _cell(x[:, t], h, c, *weights)
                states[t] = h
            outputs.append(torch.stack(states, 1))
        x = torch.cat(outputs, 2)
    return x[:, -1]


def check_lstm(student: AnyStudent, random: Random, most: Most) -> Mapping[str, Score]:
    """Ask for one and two layers over sequences of different lengths; the cell is ours."""
    cases = []
    for count in (1, 2):
        B, T, D, H = 3, 5, int(random.integers(2, 4)), int(random.integers(2, 4))
        layers = []
        for number in range(count):
            inputs = D if number == 0 else 2 * H
            layers.append(
                [
                    [_draw(random, 4 * H, inputs), _draw(random, 4 * H, H), _draw(random, 4 * H)]
                    for _ in range(2)
                ]
            )
        lengths = Sent(np.array([5, 2, 1]))
        cases.append([_draw(random, B, T, D), lengths, layers])

    def way(function: Callable[..., Tensor], **options: Any) -> Callable[..., Any]:
        def run(x: Any, lengths: Any, layers: Any) -> Any:
            weights = [[[_tensor(w) for w in direction] for direction in layer] for layer in layers]
            return function(_tensor(x), torch.from_numpy(lengths.array), weights, **options).numpy()

        return run

    ways = (
        Way(0, None, way(_lstm)),
        Way(1.5, "lstm_last_position", way(_last_position)),
        Way(1, "lstm_padding", way(_lstm, masked=False)),
        Way(1.5, "lstm_one_direction", way(_lstm, backward="none")),
        Way(1, "lstm_backward_forward", way(_lstm, backward="forward")),
        Way(1, "lstm_backward_last", way(_lstm, backward="last")),
        Way(0.5, "lstm_order", way(_lstm, backward="swapped")),
        Way(1.5, "lstm_carried", way(_lstm, carried=True)),
    )
    stand_in = {
        "lstm_cell": lambda *parts: tuple(Sent(t.numpy()) for t in _cell(*map(_tensor, parts)))
    }
    return {"lstm": judge(student, "lstm", cases, ways, most["lstm"], stand_ins=stand_in)}


# Head and training


def check_head(student: AnyStudent, random: Random, most: Most) -> Mapping[str, Score]:
    """Ask for the scores of two batches."""
    cases = [_head_case(random) for _ in range(2)]

    def way(
        middle: Callable[[Tensor], Tensor], last: Callable[[Tensor], Tensor] = _same
    ) -> Callable[..., Any]:
        def run(*case: Any) -> Any:
            states, W1, b1, W2, b2 = map(_tensor, case)
            return last(middle(states @ W1.T + b1) @ W2.T + b2).numpy()

        return run

    softmax, log_softmax = partial(torch.softmax, dim=1), partial(torch.log_softmax, dim=1)
    ways = (
        Way(0, None, way(torch.tanh)),
        Way(1, "head_softmax", way(torch.tanh, softmax)),
        Way(0, "head_log_softmax", way(torch.tanh, log_softmax)),
        Way(1, "head_softmax", way(torch.tanh, partial(torch.softmax, dim=0))),
        Way(1, "head_activation", way(torch.relu)),
        Way(1, "head_activation", way(torch.sigmoid)),
        Way(1, "head_no_activation", way(_same)),
        Way(1, "head_last_activation", way(torch.tanh, torch.tanh)),
        Way(1, "head_last_activation", way(torch.tanh, torch.sigmoid)),
    )
    return {"head": judge(student, "head", cases, ways, most["head"])}


def _head_case(random: Random) -> list[Any]:
    B, F, K, C = (
        int(random.integers(2, 5)),
        int(random.integers(3, 6)),
        4,
        int(random.integers(2, 4)),
    )
    return [_draw(random, *shape) for shape in ((B, F), (K, F), (K,), (C, K), (C,))]


HELPERS = '''
class _Probe(torch.nn.Module):
    """A bag of words, so that a training loop is all that is under test."""

    def __init__(self, weights):
        super().__init__()
        self.weights = torch.nn.Parameter(weights.clone())
        self.modes = []

    def forward(self, ids, lengths):
        self.modes.append(self.training)
        return self.weights[ids].sum(dim=1)


def _probe_training(weights, batches, rate, epochs):
    model = _Probe(weights)
    model.eval()
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    results = []
    for _ in range(epochs):
        loss, accuracy = train_epoch(model, batches, optimizer)
        results.append([float(loss), float(accuracy)])
    return results, model.weights.detach(), all(model.modes)
'''


def check_train_epoch(student: AnyStudent, random: Random, most: Most) -> Mapping[str, Score]:
    """Have a bag of words trained for two epochs on batches of different sizes."""
    weights = random.normal(size=(7, 2)).astype(np.float32)
    batches = [
        (random.integers(0, 7, (size, 3)), np.full(size, 3), random.integers(0, 2, size))
        for size in (4, 1, 3)
    ]
    rate = 0.5
    case = [Sent(weights), [tuple(Sent(part) for part in batch) for batch in batches], rate, 2]

    def way(
        *, cleared: bool = True, stepped: bool = True, reduction: str = "mean", means: str = "reviews",
        softmax: bool = False, accuracy: str = "fraction", last: bool = False,
    ) -> Callable[..., Any]:  # fmt: skip
        def run(*_case: Any) -> Any:
            parameter = torch.from_numpy(weights.copy()).requires_grad_()
            results = []
            for _epoch in range(2):
                losses: list[float] = []
                sizes: list[int] = []
                hits = 0
                for ids, _, labels in batches:
                    if cleared:
                        parameter.grad = None
                    scores = parameter[torch.from_numpy(ids)].sum(1)
                    goal = torch.from_numpy(labels)
                    given = torch.softmax(scores, 1) if softmax else scores
                    loss = nn.functional.cross_entropy(given, goal, reduction=reduction)
                    loss.backward()
                    if stepped:
                        assert parameter.grad is not None
                        with torch.no_grad():
                            parameter -= rate * parameter.grad
                    losses.append(loss.item())
                    sizes.append(len(labels))
                    hits += int((scores.argmax(1) == goal).sum())
                if last:
                    mean = losses[-1]
                elif means == "batches":
                    mean = sum(losses) / len(losses)
                elif means == "sum":
                    mean = sum(losses)
                elif reduction == "sum":
                    mean = sum(losses) / sum(sizes)
                else:
                    mean = float(np.dot(losses, sizes)) / sum(sizes)
                share = hits / sum(sizes)
                results.append(
                    [mean, {"fraction": share, "count": hits, "percent": 100 * share}[accuracy]]
                )
            return [results, parameter.detach().numpy()]

        return run

    ways = (
        Way(0, None, way()),
        Way(1.5, "loop_no_zero_grad", way(cleared=False)),
        Way(3, "loop_no_step", way(stepped=False)),
        Way(1, "loop_sum", way(reduction="sum")),
        Way(1, "loop_batch_means", way(means="batches")),
        Way(1, "loop_sum_of_means", way(means="sum")),
        Way(1, "loop_last", way(last=True)),
        Way(1.5, "loop_softmax", way(softmax=True)),
        Way(0.5, "loop_accuracy_count", way(accuracy="count")),
        Way(0.5, "loop_accuracy_percent", way(accuracy="percent")),
        Way(2, "loop_no_zero_grad_batch_means", way(cleared=False, means="batches")),
    )
    modes: list[Any] = []

    def ask(calls: Calls, case: Any) -> Any:
        results, after, was_training = calls.value("_probe_training", *case)
        modes.append(was_training)
        return [results, after]

    score = judge(student, "train_epoch", [case], ways, most["train_epoch"], ask=ask)
    if score.points and not all(modes):
        score.lose(0.5, "loop_mode")
    return {"train_epoch": score}


# The encoder


def check_encode(student: AnyStudent, random: Random, most: Most) -> Mapping[str, Score]:
    """Ask for texts shorter than, as long as, and longer than the limit."""
    limit = 8
    texts = [" ".join(_words(random, count)) for count in (3, limit - 2, 12, limit - 3, limit)]
    labels = [1, 0, 1, 0, 0]

    def pieces(text: str) -> list[int]:
        return [200 + sum(map(ord, word)) % 5000 for word in text.split()]

    def way(
        *, keep: Callable[[int], bool] = lambda n: True, shift: bool = False, front: bool = False,
        cut: int = limit - 2, sep: bool = True, masked: bool = True, full: bool = False, late: bool = False,
    ) -> Callable[..., Any]:  # fmt: skip
        def run(*_: Any) -> Any:
            lists = [[101, *pieces(t)[:cut], *([102] if sep else [])] for t in texts]
            if late:  # cut after the end mark was set, which cuts it off
                lists = [[101, *pieces(t), 102][:limit] for t in texts]
            chosen = [i for i, text in enumerate(texts) if keep(len(pieces(text)) + 2)]
            lists = [lists[i] for i in chosen]
            kept = labels[: len(lists)] if shift else [labels[i] for i in chosen]
            longest = limit if full else max(map(len, lists))
            holes = [[0] * (longest - len(p)) for p in lists]
            ones = [[1] * len(p) for p in lists]
            if front:
                ids, mask = (
                    [h + p for h, p in zip(holes, lists, strict=True)],
                    [h + o for h, o in zip(holes, ones, strict=True)],
                )
            else:
                ids, mask = (
                    [p + h for h, p in zip(holes, lists, strict=True)],
                    [o + h for h, o in zip(holes, ones, strict=True)],
                )
            return [ids, mask if masked else [[1] * longest for _ in lists], kept]

        return run

    ways = (
        Way(0, None, way()),
        Way(2, "encode_dropped_shifted", way(keep=lambda n: n != limit, shift=True)),
        Way(1.5, "encode_dropped", way(keep=lambda n: n != limit)),
        Way(1.5, "encode_dropped", way(keep=lambda n: n <= limit)),
        Way(2, "encode_dropped_shifted", way(keep=lambda n: n <= limit, shift=True)),
        Way(1, "encode_mask", way(masked=False)),
        Way(1, "encode_front", way(front=True)),
        Way(1, "encode_no_sep", way(sep=False)),
        Way(1, "encode_no_sep", way(late=True)),
        Way(0.5, "encode_limit", way(cut=limit)),
        Way(0.5, "encode_limit", way(cut=limit - 1)),
        Way(0.5, "encode_limit", way(cut=limit - 3)),
    )

    def ask(calls: Calls, case: Any) -> Any:
        ids, mask, kept = calls.value("encode", *case)
        return [_lists(ids), _lists(mask), _lists(kept)]

    score = judge(student, "encode", [(texts, labels, limit)], ways, most["encode"], ask=ask)
    return {"encode": score}


def check_bert_head(student: AnyStudent, random: Random, most: Most) -> Mapping[str, Score]:
    """Ask with padded texts."""
    cases = []
    for _ in range(2):
        _, W1, b1, W2, b2 = _head_case(random)
        lengths = [5, 3, 2]
        mask = Sent(np.array([[1] * n + [0] * (5 - n) for n in lengths]))
        cases.append([_draw(random, 3, 5, W1.array.shape[1]), mask, W1, b1, W2, b2])

    def way(
        pool: Callable[[Tensor, Tensor], Tensor],
        middle: Callable[[Tensor], Tensor] = torch.relu,
        last: Callable[[Tensor], Tensor] = _same,
    ) -> Callable[..., Any]:
        def run(hidden: Any, mask: Any, *rest: Any) -> Any:
            W1, b1, W2, b2 = map(_tensor, rest)
            pooled = pool(_tensor(hidden), torch.from_numpy(mask.array))
            return last(middle(pooled @ W1.T + b1) @ W2.T + b2).numpy()

        return run

    def first(hidden: Tensor, mask: Tensor) -> Tensor:
        return hidden[:, 0]

    ways = (
        Way(0, None, way(first)),
        Way(1.5, "bert_last", way(lambda hidden, mask: hidden[:, -1])),
        Way(
            1,
            "bert_sep",
            way(lambda hidden, mask: hidden[torch.arange(len(hidden)), mask.sum(1) - 1]),
        ),
        Way(1, "bert_mean", way(lambda hidden, mask: hidden.mean(1))),
        Way(
            1,
            "bert_mean",
            way(lambda hidden, mask: (hidden * mask[..., None]).sum(1) / mask.sum(1)[:, None]),
        ),
        Way(1, "bert_max", way(lambda hidden, mask: hidden.max(1).values)),
        Way(1, "bert_softmax", way(first, last=partial(torch.softmax, dim=1))),
        Way(0.5, "bert_activation", way(first, torch.tanh)),
        Way(0.5, "bert_activation", way(first, _same)),
    )
    return {"bert_head": judge(student, "bert_head", cases, ways, most["bert_head"])}


def _draw(random: Random, *shape: int) -> Sent:
    return Sent(random.normal(0, 0.8, shape).astype(np.float32))


def _tensor(value: Any) -> Tensor:
    return value if isinstance(value, Tensor) else torch.from_numpy(value.array)


def _lists(value: Any) -> Any:
    array = value.array if isinstance(value, Sent) else value
    return array.tolist() if hasattr(array, "tolist") else array


ASSIGNMENT = Assignment(
    task="imdb_sentiment",
    folder=Path(__file__).parent,
    distributions=("numpy", "torch", "tqdm"),
    checks=(
        Check(("rating",), check_rating),
        Check(("tokens",), check_tokens),
        Check(("length_limit",), check_length_limit),
        Check(("pad",), check_pad),
        Check(("load_vectors",), check_load_vectors),
        Check(("lstm_cell",), check_lstm_cell),
        Check(("lstm",), check_lstm),
        Check(("head",), check_head),
        Check(("train_epoch",), check_train_epoch),
        Check(("encode",), check_encode),
        Check(("bert_head",), check_bert_head),
    ),
    remarks=REMARKS,
    helpers=HELPERS,
    by_hand={"report": 1.0},
    hidden=frozenset(
        {
            "rating_one_digit",
            "pad_in_place",
            "lstm_padding",
            "encode_dropped",
            "encode_dropped_shifted",
            "loop_mode",
        }
    ),
)
