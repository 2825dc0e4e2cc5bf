"""Reading a trained model from its run folder."""

from __future__ import annotations

from pathlib import Path

from cbow.model.vectors import WordVectors
from shared.runs.run_directory import RunDirectory

VECTORS = "vectors.safetensors"
SYNONYMS = "synonyms.json"


def load(run: str | Path) -> WordVectors:
    """Return the word vectors of a run folder or of a vector file.

        >>> from cbow import load
        >>> vectors = load("runs/cbow/best")
        >>> vectors.most_similar("film", topn=3)

    Parameters
    ----------
    run : str or Path
        A folder that `cbow train` wrote; or `.npz`, `.safetensors`, word2vec text or binary.

    Raises
    ------
    UserError
        It is neither, the run did not end, or the file is damaged.
    """
    path = Path(run)
    if not path.is_dir():
        return WordVectors.load(path)
    folder = RunDirectory.read(path, task="cbow")
    folder.summary()  # says how to finish a run that did not end
    return WordVectors.load(path / VECTORS)
