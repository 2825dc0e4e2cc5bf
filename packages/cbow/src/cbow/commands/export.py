"""The verb `export`."""

from __future__ import annotations

from pathlib import Path

from cbow.commands.options import ExportOptions
from cbow.model.trained import load

ENDINGS = {
    "npz": ".npz",
    "safetensors": ".safetensors",
    "word2vec-text": ".txt",
    "word2vec-binary": ".bin",
}


def run(options: ExportOptions) -> int:
    """Write the vectors in another format (verb `export`)."""
    ending = ENDINGS.get(options.format)
    out = options.out or (f"vectors{ending}" if ending else options.format)
    vectors = load(options.run)
    vectors.export(Path(out), options.format)
    size = vectors.matrix.shape[1]
    print(f"{len(vectors)} vectors of size {size} are in {out} ({options.format}).")
    return 0
