"""Merging replicas: weights that several processes have trained independently from the same start.

Per row, the changes of the replicas are added as far as they are orthogonal, and averaged as far as they are parallel.
The plain sum overshoots where all have learned the same, and diverges; with the plain mean each learns an R-th of what
one process would.

Letters: R replicas, M rows, D numbers in a row.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from cbow.kernels.arithmetic import FAST, compiled


@compiled(FAST, inline=False)
def merge_rows(versions: Any, rows: Any) -> None:
    """Add to each row the adaptive sum (Adasum) of its versions' changes.

    Of two changes a and b it is (1 - a.b / 2 a.a) a + (1 - a.b / 2 b.b) b: their sum where they are orthogonal, their
    mean where they are parallel. More are taken in pairs, then pairs of pairs, in the order of the replicas. A row
    that one replica alone has changed becomes that version to the bit.

    Parameters
    ----------
    versions : float32 (R, M, D)
        Each replica's rows after training.
    rows : float32 (M, D)
        The common start; changed in place. A row that no replica has changed stays as it is.

    References
    ----------
    Maleki et al. 2020, arXiv 2006.02924 (Adasum); for the rows of word2vec, Gill et al. 2019, arXiv 1909.03359.
    """
    replicas, _, dimension = versions.shape
    changes = np.empty((replicas, dimension), dtype=np.float32)
    for m in range(len(rows)):
        row = rows[m]
        number, last = 0, 0
        for r in range(replicas):
            d = 0
            while d < dimension and versions[r, m, d] == row[d]:
                d += 1
            if d < dimension:
                for d in range(dimension):
                    changes[number, d] = versions[r, m, d] - row[d]
                number, last = number + 1, r
        if number == 1:
            row[:] = versions[last, m]
            continue
        apart = 1
        while apart < number:
            for first in range(0, number - apart, 2 * apart):
                a, b = changes[first], changes[first + apart]
                aa, ab, bb = 0.0, 0.0, 0.0  # float64: the square of a small float32 would be 0
                for d in range(dimension):
                    aa += np.float64(a[d]) * np.float64(a[d])
                    ab += np.float64(a[d]) * np.float64(b[d])
                    bb += np.float64(b[d]) * np.float64(b[d])
                weight_a = np.float32(1 - ab / (2 * aa)) if aa > 0 else np.float32(1)
                weight_b = np.float32(1 - ab / (2 * bb)) if bb > 0 else np.float32(1)
                for d in range(dimension):
                    a[d] = weight_a * a[d] + weight_b * b[d]  # Adasum(a, b)
            apart *= 2
        if number > 1:
            for d in range(dimension):
                row[d] += changes[0, d]
