"""Huffman codes of a vocabulary, for hierarchical softmax.

Frequent words get short codes. The tree is a function of the counts: of equal counts, words come before inner nodes,
words in index order, inner nodes in the order in which they were made.

Reference: Mikolov et al. 2013, arXiv 1310.4546, section 2.1.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class HuffmanCodes:
    """Codes of V words as flat arrays: word w has entries offsets[w] to offsets[w + 1]."""

    codes: npt.NDArray[np.int8]
    """Turns, 0 or 1, from the root down; all words one after the other."""
    points: npt.NDArray[np.int32]
    """Inner node of each turn, 0 .. V - 2; the root is V - 2."""
    offsets: npt.NDArray[np.int64]
    """Shape (V + 1,)."""

    def of(self, word: int) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.int32]]:
        """Return code and points of one word, both (L,)."""
        part = slice(int(self.offsets[word]), int(self.offsets[word + 1]))
        return self.codes[part], self.points[part]


def build_huffman(counts: npt.ArrayLike) -> HuffmanCodes:
    """Return the Huffman codes of words with these counts.

    Parameters
    ----------
    counts : int array (V,)
        V >= 1. With one word its code is empty.

    Returns
    -------
    HuffmanCodes
    """
    frequencies = [int(count) for count in np.asarray(counts)]
    size = len(frequencies)
    # Nodes 0 .. V - 1 are words, V .. 2V - 2 inner nodes; a heap entry is (count, node).
    heap = [(count, word) for word, count in enumerate(frequencies)]
    heapq.heapify(heap)
    parent = [0] * (2 * size - 1)
    turn = [0] * (2 * size - 1)
    for node in range(size, 2 * size - 1):
        small, first = heapq.heappop(heap)
        large, second = heapq.heappop(heap)
        parent[first] = parent[second] = node
        turn[second] = 1
        heapq.heappush(heap, (small + large, node))

    codes: list[int] = []
    points: list[int] = []
    offsets = [0]
    root = 2 * size - 2
    for word in range(size):
        path = []
        node = word
        while node != root:
            path.append((turn[node], parent[node] - size))
            node = parent[node]
        for bit, point in reversed(path):
            codes.append(bit)
            points.append(point)
        offsets.append(len(codes))
    return HuffmanCodes(
        np.array(codes, dtype=np.int8),
        np.array(points, dtype=np.int32),
        np.array(offsets, dtype=np.int64),
    )
