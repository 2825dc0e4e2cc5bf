"""Reading a trained model from its run folder."""

from __future__ import annotations

from pathlib import Path

from cbow.model.vectors import WordVectors
from shared.runs.run_directory import RunDirectory

VECTORS = "vectors.safetensors"
SYNONYMS = "synonyms.json"


def load_model(model: str) -> WordVectors:
    """Return the vectors of a run folder or of a vector file.

    Raises
    ------
    UserError
        It is neither, the run did not end, or the file is damaged.
    """
    path = Path(model)
    if not path.is_dir():
        return WordVectors.load(path)
    run = RunDirectory.read(path, task="cbow")
    run.summary()  # says how to finish a run that did not end
    return WordVectors.load(path / VECTORS)
