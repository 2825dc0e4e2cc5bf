"""Say where the time of training steps goes: the operations of a profile, added up by part.

    <task> train --threads 1 --profile-steps 10 --out RUN
    python tools/profile_parts.py RUN/profile.txt

The profile is torch.profiler's table of the 30 operations with the most time of their own (self CPU). Uses the
standard library only.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path

PARTS = (
    ("matrix products and convolutions", r"addmm|::mm$|::bmm|baddbmm|linear|convolution|aten::lstm|mkldnn_rnn"),
    ("optimizer and clipping", r"[Aa]dam|_foreach|Optimizer|sgd|_norm$|muon"),
    ("normalization, softmax, loss", r"batch_norm|layer_norm|softmax|nll|cross_entropy|TotalNll"),
    ("sigmoid, tanh, ReLU, dropout", r"sigmoid|tanh|relu|threshold|clamp|dropout|bernoulli"),
    ("sums, products, other arithmetic", r"::(mul|add|sub|div|sum|mean|amax|max|pow|exp|addc\w+)_?$"),
    ("copies, indexing, layout", r"copy|::to$|::cat|index|gather|scatter|select|slice|split|zero|fill|empty|embedding"),
)  # fmt: skip
REST = "other operations of the table"
BELOW = "operations below the table's 30"


def parts_of(lines: Iterable[str]) -> dict[str, float]:
    """Return the percentage of self CPU time of each part, largest first.

    Raises
    ------
    ValueError
        The lines hold no table of torch.profiler.
    """
    parts: dict[str, float] = {}
    for line in lines:
        columns = re.split(r"\s{2,}", line.strip())
        if len(columns) > 2 and re.fullmatch(r"[\d.]+%", columns[1]):
            part = next((part for part, names in PARTS if re.search(names, columns[0])), REST)
            parts[part] = parts.get(part, 0.0) + float(columns[1].rstrip("%"))
    if not parts:
        raise ValueError("no table of torch.profiler")
    parts[BELOW] = max(0.0, 100 - sum(parts.values()))
    return dict(sorted(parts.items(), key=lambda item: -item[1]))


if __name__ == "__main__":
    for name, percent in parts_of(Path(sys.argv[1]).read_text("utf-8").splitlines()).items():
        print(f"| {name} | {percent:.0f} % |")
