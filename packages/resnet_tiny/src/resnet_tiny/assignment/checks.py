"""What is graded of the image classification assignment, and the classic mistakes that are told apart.

Each function is asked with inputs drawn anew; its answers are compared with what the right way and each known mistake
give. Loops are asked with a small model that stands in for the ResNet.

Shapes: B batch, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from resnet_tiny.assignment.remarks import REMARKS
from shared.teaching.assignment import AnyStudent, Assignment, Check, Score
from shared.teaching.compare import Way, close, judge
from shared.teaching.student import Calls
from shared.teaching.wire import Tensor as Sent

Most = Mapping[str, float]
Random = np.random.Generator

HELPERS = '''
class _Small(torch.nn.Module):
    """A small network with a layer that is called twice, nested layers, and batch statistics."""

    def __init__(self, width):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, width, 3, 2, 1, bias=False)
        self.block = torch.nn.Sequential(torch.nn.BatchNorm2d(width), torch.nn.Sequential(torch.nn.Conv2d(width, 4, 1)))
        self.relu = torch.nn.ReLU()
        self.pool = torch.nn.AdaptiveAvgPool2d(1)
        self.fc = torch.nn.Linear(4, 9)
        self.conv.weight.requires_grad_(False)

    def forward(self, x):
        x = self.relu(self.conv(x))
        x = self.pool(self.relu(self.block(x)))
        return self.fc(x.flatten(1))


def _probe_table(width, size):
    model = _Small(width)
    rows = layer_table(model, tuple(size))
    hooks = sum(len(layer._forward_hooks) for layer in model.modules())
    moved = bool((model.block[0].running_var != 1).any())
    return [[str(row[0]), [int(n) for n in row[1]], int(row[2])] for row in rows], hooks, moved


def _probe_head(width, classes):
    torch.manual_seed(0)
    model = _Small(width)
    before = model.conv.weight.clone()
    result = replace_head(model, classes)
    kept = bool((result.conv.weight == before).all())
    shape = list(result(torch.zeros(2, 3, 8, 8)).shape)
    sizes = [getattr(result.fc, name, None) for name in ("in_features", "out_features")]
    return [type(result.fc).__name__, *sizes, shape, kept]


class _Probe(torch.nn.Module):
    """Scores from a table, so that a loop is all that is under test."""

    def __init__(self, weights):
        super().__init__()
        self.weights = torch.nn.Parameter(weights.clone())
        self.modes = []

    def forward(self, images):
        self.modes.append([self.training, torch.is_grad_enabled()])
        return self.weights[images]


def _probe_loop(kind, weights, batches, rate, epochs):
    model = _Probe(weights)
    model.train(kind == "validate")
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    rows = []
    for _ in range(epochs):
        if kind == "train":
            row = train(batches, model, criterion, optimizer)
        else:
            row = validate(batches, model, criterion)
        rows.append([float(x) for x in row])
    return rows, model.weights.detach(), model.modes


def _probe_checkpoints(best):
    import os
    import tempfile

    written = []
    with tempfile.TemporaryDirectory() as folder:
        for epoch, is_best in enumerate(best):
            save_checkpoints({"epoch": epoch}, epoch, is_best, folder)
            row = []
            for name in sorted(os.listdir(folder)):
                try:
                    number = int(torch.load(os.path.join(folder, name), weights_only=True)["epoch"])
                except Exception:
                    number = -1
                row.append([name, number])
            written.append(row)
    return written


class _Writer:
    def __init__(self):
        self.rows = []

    def add_scalar(self, tag, scalar_value, global_step=None, *more, **options):
        self.rows.append([str(tag), float(scalar_value), global_step])


def _probe_log(epoch, values):
    writer = _Writer()
    log_epoch(writer, epoch, *values)
    return sorted(writer.rows)
'''


def check_layer_table(student: AnyStudent, random: Random, most: Most) -> Mapping[str, Score]:
    """Ask for the table of a small network with nested layers, one that is called twice, and frozen parameters."""
    width = int(random.integers(3, 7))
    case = (width, [3, 8, 8])
    half = [width, 4, 4]
    rows: list[list[Any]] = [
        ["Conv2d", half, 27 * width],
        ["ReLU", half, 0],
        ["BatchNorm2d", half, 2 * width],
        ["Conv2d", [4, 4, 4], 4 * width + 4],
        ["ReLU", [4, 4, 4], 0],
        ["AdaptiveAvgPool2d", [4, 1, 1], 0],
        ["Linear", [9], 45],
    ]
    weights_alone = [27 * width, 0, width, 4 * width, 0, 0, 36]
    nested = [
        *rows[:4],
        ["Sequential", [4, 4, 4], 4 * width + 4],
        ["Sequential", [4, 4, 4], 6 * width + 4],
        *rows[4:],
    ]
    ways = (
        Way(0, None, lambda *_: rows),
        Way(
            1, "table_batch", lambda *_: [[name, [1, *shape], count] for name, shape, count in rows]
        ),
        Way(1, "table_containers", lambda *_: nested),
        Way(1, "table_containers", lambda *_: [*nested, ["_Small", [9], 33 * width + 49]]),
        Way(1, "table_trainable", lambda *_: [["Conv2d", half, 0], *rows[1:]]),
        Way(
            1,
            "table_weights",
            lambda *_: [[*row[:2], n] for row, n in zip(rows, weights_alone, strict=True)],
        ),
        Way(1, "table_once", lambda *_: [row for i, row in enumerate(rows) if i != 4]),
        Way(1, "table_once", lambda *_: [row for i, row in enumerate(rows) if i != 1]),
        Way(1, "table_order", lambda *_: [rows[i] for i in (0, 2, 3, 1, 5, 6)]),
    )
    extra: list[tuple[int, bool]] = []

    def ask(calls: Calls, case: Sequence[Any]) -> Any:
        table, hooks, moved = calls.value("_probe_table", *case)
        extra.append((hooks, moved))
        return table

    score = judge(student, "layer_table", [case], ways, most["layer_table"], ask=ask)
    if score.points and extra and extra[0][0]:
        score.lose(0.5, "table_hooks")
    if score.points and extra and extra[0][1]:
        score.note("table_statistics")
    return {"layer_table": score}


def check_replace_head(student: AnyStudent, random: Random, most: Most) -> Mapping[str, Score]:
    """Give a small network another number of classes."""
    case = (int(random.integers(3, 7)), int(random.integers(11, 30)))
    ways = (
        Way(0, None, lambda w, c: ["Linear", 4, c, [2, c], True]),
        Way(1, "head_unchanged", lambda w, c: ["Linear", 4, 9, [2, 9], True]),
        Way(0.5, "head_rest", lambda w, c: ["Linear", 4, c, [2, c], False]),
    )

    def ask(calls: Calls, case: Sequence[Any]) -> Any:
        return calls.value("_probe_head", *case)

    return {
        "replace_head": judge(student, "replace_head", [case], ways, most["replace_head"], ask=ask)
    }


def check_val_labels(student: AnyStudent, random: Random, most: Most) -> Mapping[str, Score]:
    """Ask with ids in an order that is neither theirs sorted nor that of the lines."""
    wnids = [f"n{int(n):08d}" for n in random.choice(10**7, 6, replace=False)]
    while wnids == sorted(wnids) or wnids[::-1] == sorted(wnids):
        random.shuffle(wnids)
    order = [wnids[i] for i in (3, 0, 5, 3, 1, 4)]
    lines = [f"val_{i}.JPEG\t{wnid}\t0\t{i}\t62\t57" for i, wnid in enumerate(order)]
    names = [f"val_{i}.JPEG" for i in range(len(order))]

    def numbered(index: Callable[[str], Any]) -> Callable[..., Any]:
        return lambda *_: {name: index(wnid) for name, wnid in zip(names, order, strict=True)}

    seen = list(dict.fromkeys(order))
    ways = (
        Way(0, None, numbered(sorted(wnids).index)),
        Way(2, "labels_file_order", numbered(wnids.index)),
        Way(2, "labels_seen_order", numbered(seen.index)),
        Way(2, "labels_val_only", numbered(sorted(seen).index)),
        Way(1.5, "labels_text", numbered(lambda wnid: wnid)),
        Way(1.5, "labels_from_one", numbered(lambda wnid: sorted(wnids).index(wnid) + 1)),
        Way(2, "labels_reversed", numbered(sorted(wnids, reverse=True).index)),
        Way(3, "labels_line_number", lambda *_: {name: i for i, name in enumerate(names)}),
        Way(1, "labels_list", lambda *_: [sorted(wnids).index(wnid) for wnid in order]),
    )
    score = judge(student, "val_labels", [(lines, wnids)], ways, most["val_labels"])
    if score.points == most["val_labels"]:
        with student.check() as calls:
            if calls.call("val_labels", [*lines, ""], list(wnids)).arguments[1] != wnids:
                score.lose(0.5, "labels_in_place")
    return {"val_labels": score}


def _rates(
    output: Tensor, target: Tensor, topk: Sequence[int] = (1, 5), largest: bool = True
) -> list[float]:
    best = output.topk(max(topk), dim=1, largest=largest).indices
    hits = best == target[:, None]
    return [hits[:, :k].any(1).double().mean().item() for k in topk]


def _all_differ(answers: Sequence[Any]) -> bool:
    return not any(close(first, second) for first, second in combinations(answers, 2))


def check_accuracy(student: AnyStudent, random: Random, most: Most) -> Mapping[str, Score]:
    """Ask for several k on scores where all ways give something else."""

    def way(
        change: Callable[[list[float], Sequence[int]], Any], **options: Any
    ) -> Callable[..., Any]:
        return lambda o, t, k: change(
            _rates(torch.from_numpy(o.array), torch.from_numpy(t.array), k, **options), k
        )

    def exact(values: list[float], k: Sequence[int]) -> list[float]:
        """Return the fraction whose class is exactly at position k."""
        ranks = (-torch.from_numpy(output)).argsort(1) == torch.from_numpy(target)[:, None]
        return [ranks[:, n - 1].double().mean().item() for n in k]

    ways = (
        Way(0, None, way(lambda values, k: values)),
        Way(0, "accuracy_percent", way(lambda values, k: [100 * x for x in values])),
        Way(1, "accuracy_count", way(lambda values, k: [9 * x for x in values])),
        Way(1.5, "accuracy_same", way(lambda values, k: [values[0]] * len(values))),
        Way(1.5, "accuracy_same", way(lambda values, k: [values[-1]] * len(values))),
        Way(1.5, "accuracy_lowest", way(lambda values, k: values, largest=False)),
        Way(1, "accuracy_order", way(lambda values, k: values[::-1])),
        Way(
            1,
            "accuracy_divided",
            way(lambda values, k: [x / n for x, n in zip(values, k, strict=True)]),
        ),
        Way(1, "accuracy_exact", way(exact)),
        Way(1, "accuracy_error", way(lambda values, k: [1 - x for x in values])),
    )
    while True:
        output = random.normal(size=(9, 8)).astype(np.float32)
        target = random.integers(0, 8, 9)
        cases = [(Sent(output), Sent(target), k) for k in ((1, 5), (1, 3, 5))]
        answers = [way.run(*cases[1]) for way in ways]
        if min(answers[0]) > 0 and max(answers[0]) < 1 and _all_differ(answers):
            break

    def ask(calls: Calls, case: Sequence[Any]) -> Any:
        values = calls.value("accuracy", *case)
        plain = (
            [v.array if isinstance(v, Sent) else v for v in values]
            if isinstance(values, (list, tuple))
            else values
        )
        return [float(np.asarray(v).reshape(())) if np.size(v) == 1 else v for v in plain]

    return {"accuracy": judge(student, "accuracy", cases, ways, most["accuracy"], ask=ask)}


def _loop_case(random: Random, kind: str) -> tuple[list[Any], np.ndarray, list[list[Sent]]]:
    weights = random.normal(size=(7, 6)).astype(np.float32)
    batches = [[Sent(random.integers(0, 7, n)), Sent(random.integers(0, 6, n))] for n in (5, 2, 4)]
    return [kind, Sent(weights), batches, 0.7, 2], weights, batches


def _loop(
    weights: np.ndarray, batches: list[list[Sent]], *, trained: bool, cleared: bool = True, stepped: bool = True,
    means: str = "images", swapped: bool = False, softmax: bool = False,
) -> Any:  # fmt: skip
    """Return figures of two epochs, and the weights after them, in the right way or with a mistake."""
    parameter = torch.from_numpy(weights.copy()).requires_grad_()
    rows = []
    for _ in range(2):
        figures, sizes = [], []
        for images, labels in batches:
            output = parameter[torch.from_numpy(images.array)]
            goal = torch.from_numpy(labels.array)
            loss = nn.functional.cross_entropy(
                torch.softmax(output, 1) if softmax else output, goal
            )
            if trained:
                if cleared:
                    parameter.grad = None
                loss.backward()
                assert parameter.grad is not None
                if stepped:
                    with torch.no_grad():
                        parameter -= 0.7 * parameter.grad
            figures.append([loss.item(), *_rates(output.detach(), goal)])
            sizes.append(len(goal))
        table = np.array(figures)
        row = {
            "images": (table * np.array(sizes)[:, None]).sum(0) / sum(sizes),
            "batches": table.mean(0),
            "last": table[-1],
            "sum": table.sum(0),
            "last_loss": np.array(
                [table[-1, 0], *((table * np.array(sizes)[:, None]).sum(0) / sum(sizes))[1:]]
            ),
        }[means]
        rows.append([row[0], row[2], row[1]] if swapped else row.tolist())
    return [rows, parameter.detach().numpy()]


def check_train(student: AnyStudent, random: Random, most: Most) -> Mapping[str, Score]:
    """Have a table of scores trained for two epochs; measuring accuracy is ours."""
    case, weights, batches = _loop_case(random, "train")

    def way(**options: Any) -> Callable[..., Any]:
        return lambda *_: _loop(weights, batches, trained=True, **options)

    ways = (
        Way(0, None, way()),
        Way(1.5, "train_last", way(means="last")),
        Way(1, "train_last_loss", way(means="last_loss")),
        Way(1, "train_batch_means", way(means="batches")),
        Way(1, "train_sum", way(means="sum")),
        Way(1, "train_swapped", way(swapped=True)),
        Way(1.5, "train_no_zero_grad", way(cleared=False)),
        Way(3, "train_no_step", way(stepped=False)),
        Way(1.5, "train_softmax", way(softmax=True)),
        Way(2, "train_no_zero_grad_batch_means", way(cleared=False, means="batches")),
        Way(2.5, "train_no_zero_grad_last", way(cleared=False, means="last")),
    )
    score, modes = _judge_loop(student, "train", case, ways, most["train"])
    if score.points and not all(mode[0] for mode in modes):
        score.lose(0.5, "train_mode")
    return {"train": score}


def check_validate(student: AnyStudent, random: Random, most: Most) -> Mapping[str, Score]:
    """Have a table of scores measured twice; nothing may change."""
    case, weights, batches = _loop_case(random, "validate")

    def way(**options: Any) -> Callable[..., Any]:
        return lambda *_: _loop(weights, batches, trained=False, **options)

    ways = (
        Way(0, None, way()),
        Way(1.5, "validate_last", way(means="last")),
        Way(1, "validate_batch_means", way(means="batches")),
        Way(1, "validate_sum", way(means="sum")),
        Way(1, "validate_swapped", way(swapped=True)),
        Way(1, "validate_softmax", way(softmax=True)),
    )
    score, modes = _judge_loop(student, "validate", case, ways, most["validate"])
    if score.points and any(mode[0] for mode in modes):
        score.lose(1, "validate_mode")
    if score.points and any(mode[1] for mode in modes):
        score.lose(0.5, "validate_gradients")
    return {"validate": score}


def _judge_loop(
    student: AnyStudent, kind: str, case: Sequence[Any], ways: Sequence[Way], most: float
) -> tuple[Score, list[Any]]:
    modes: list[Any] = []

    def ask(calls: Calls, case: Sequence[Any]) -> Any:
        rows, after, seen = calls.value("_probe_loop", *case)
        modes.extend(seen)
        return [rows, after]

    def accuracy(output: Any, target: Any, topk: Sequence[int] = (1, 5)) -> list[float]:
        tensors = [
            torch.from_numpy(x.array) if isinstance(x, Sent) else x.detach()
            for x in (output, target)
        ]
        return _rates(tensors[0], tensors[1], topk)

    stand_ins = {"accuracy": accuracy}
    return judge(
        student, kind, [case], ways, most, ask=ask, stand_ins=stand_ins, tolerance=1e-4
    ), modes


def check_save_checkpoints(student: AnyStudent, random: Random, most: Most) -> Mapping[str, Score]:
    """Save for twelve epochs, the best of which are drawn."""
    best = [True, *(bool(x) for x in random.random(11) < 0.4)]
    best[6], best[11] = True, False

    def way(
        *,
        numbers: Mapping[int, str] | None = None,
        always: bool = False,
        never: bool = False,
        last: bool = True,
    ) -> Callable[..., Any]:
        numbers = {4: "epoch5", 9: "epoch10"} if numbers is None else numbers

        def run(*_: Any) -> Any:
            files: dict[str, int] = {}
            rows = []
            for epoch, is_best in enumerate(best):
                if last:
                    files["last.pt"] = epoch
                if (is_best or always) and not never:
                    files["best.pt"] = epoch
                if epoch in numbers:
                    files[f"{numbers[epoch]}.pt"] = epoch
                rows.append([[name, files[name]] for name in sorted(files)])
            return rows

        return run

    ways = (
        Way(0, None, way()),
        Way(1, "checkpoints_sixth", way(numbers={5: "epoch5", 10: "epoch10"})),
        Way(1, "checkpoints_numbers_missing", way(numbers={})),
        Way(1, "checkpoints_best_always", way(always=True)),
        Way(1, "checkpoints_best_missing", way(never=True)),
        Way(1, "checkpoints_last_missing", way(last=False)),
        Way(
            1,
            "checkpoints_multiples",
            way(numbers={n: f"epoch{n + 1}" for n in range(4, 12, 5)} | {0: "epoch1"}),
        ),
        Way(1, "checkpoints_every", way(numbers={n: f"epoch{n + 1}" for n in range(12)})),
    )

    def ask(calls: Calls, case: Sequence[Any]) -> Any:
        return calls.value("_probe_checkpoints", *case)

    score = judge(student, "save_checkpoints", [[best]], ways, most["save_checkpoints"], ask=ask)
    return {"save_checkpoints": score}


def check_log_epoch(student: AnyStudent, random: Random, most: Most) -> Mapping[str, Score]:
    """Give a writer that notes what is added."""
    epoch, values = int(random.integers(3, 50)), [float(x) for x in random.random(4)]
    names = ("train_loss", "train_acc", "val_loss", "val_acc")

    def rows(
        names: Sequence[str], step: int | None = epoch, order: Sequence[int] = (0, 1, 2, 3)
    ) -> Callable[..., Any]:
        return lambda *_: sorted(
            [name, values[i], step] for name, i in zip(names, order, strict=True)
        )

    ways = (
        Way(0, None, rows(names)),
        Way(1, "log_no_epoch", rows(names, None)),
        Way(0.5, "log_epoch_from_one", rows(names, epoch + 1)),
        Way(0.5, "log_names", rows([name.replace("_", "/") for name in names])),
        Way(0.5, "log_names", rows([name.title() for name in names])),
        Way(1, "log_mixed", rows(names, order=(1, 0, 3, 2))),
        Way(1, "log_mixed", rows(names, order=(2, 3, 0, 1))),
        Way(1, "log_missing", rows(names[:2], order=(0, 1))),
        Way(1, "log_missing", rows(names[2:], order=(2, 3))),
        Way(1, "log_missing", rows((names[0], names[2]), order=(0, 2))),
    )

    def ask(calls: Calls, case: Sequence[Any]) -> Any:
        return calls.value("_probe_log", *case)

    return {
        "log_epoch": judge(
            student, "log_epoch", [(epoch, values)], ways, most["log_epoch"], ask=ask
        )
    }


ASSIGNMENT = Assignment(
    task="resnet_tiny",
    folder=Path(__file__).parent,
    distributions=("numpy", "torch", "tqdm", "pillow"),
    checks=(
        Check(("layer_table",), check_layer_table),
        Check(("replace_head",), check_replace_head),
        Check(("val_labels",), check_val_labels),
        Check(("accuracy",), check_accuracy),
        Check(("train",), check_train),
        Check(("validate",), check_validate),
        Check(("save_checkpoints",), check_save_checkpoints),
        Check(("log_epoch",), check_log_epoch),
    ),
    remarks=REMARKS,
    helpers=HELPERS,
    by_hand={"device study": 2.0},
    hidden=frozenset(
        {
            "labels_file_order",
            "checkpoints_sixth",
            "train_batch_means",
            "train_mode",
            "labels_in_place",
        }
    ),
)
