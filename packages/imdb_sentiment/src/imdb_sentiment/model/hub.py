"""Checks in seconds, before anything heavy is imported, that a pretrained encoder is available.

A folder is read as it is. A name is looked up in the cache of the Hugging Face hub, and only then in the network.
"""

from __future__ import annotations

import json
import os
import threading
import urllib.error
import urllib.request
from pathlib import Path

from shared.errors import UserError
from shared.extras import require

PACKAGE = "dltasks-imdb-sentiment"
SECONDS = 3.0
"""How long the network may take to answer."""
WITHOUT = "Recipes nbsvm, tfidf, cnn, bilstm and handwritten work without one."


def require_encoder(name: str) -> None:
    """Refuse an encoder that is not available.

    Parameters
    ----------
    name : str
        Folder, or name on the hub.

    Raises
    ------
    UserError
        transformers is not installed; the folder has no config.json or no weights; the name is neither in the cache
        nor to be reached.
    """
    require(("transformers",), PACKAGE, "encoder", "Encoders need")
    folder = Path(name).expanduser()
    if folder.is_dir():
        _require_files(folder)
        return
    if looks_like_path(name):
        raise UserError(
            f"--encoder {name}: no such folder. Expected one with config.json and model.safetensors, or a name on "
            "the Hugging Face hub."
        )
    if is_cached(name):
        return
    problem = _network_problem(name)
    if problem is not None:
        raise UserError(
            f"--encoder {name}: is not on this machine, and {problem}. Get it where there is a network with "
            f"`hf download {name}`, copy the folder here and give --encoder FOLDER. {WITHOUT}"
        )


def looks_like_path(name: str) -> bool:
    """Return whether a name cannot be one of the hub's, which have at most one slash and no dots in front."""
    return name.startswith((".", "/", "~")) or name.count("/") > 1 or "\\" in name


def is_cached(name: str) -> bool:
    """Return whether the hub's cache has the model's configuration and weights, sharded ones too."""
    from huggingface_hub import try_to_load_from_cache

    def path_of(file: str) -> str | None:
        path = try_to_load_from_cache(name, file)
        return path if isinstance(path, str) else None

    if path_of("config.json") is None:
        return False
    if path_of("model.safetensors"):
        return True
    index = path_of("model.safetensors.index.json")
    if index is None:
        return False
    try:
        shards = set(json.loads(Path(index).read_text(encoding="utf-8"))["weight_map"].values())
    except (OSError, ValueError, KeyError, AttributeError):
        return False
    return all(path_of(shard) for shard in shards)


def _require_files(folder: Path) -> None:
    if not (folder / "config.json").is_file():
        raise UserError(
            f"{folder}: has no config.json, so it is no encoder. Expected a folder as save_pretrained writes it."
        )
    if not list(folder.glob("*.safetensors")):
        raise UserError(
            f"{folder}: has no .safetensors file. Expected weights in that format; pickled ones are not read."
        )


def _network_problem(name: str) -> str | None:
    """Return why the hub cannot serve a model, or None if it can; never takes much longer than `SECONDS`."""
    if any(os.environ.get(key, "").lower() in ("1", "true", "yes", "on") for key in _OFFLINE):
        return "the hub is switched off (HF_HUB_OFFLINE)"
    end = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    answers: list[str | None] = []

    def ask() -> None:
        request = urllib.request.Request(f"{end}/{name}/resolve/main/config.json", method="HEAD")
        try:
            urllib.request.urlopen(request, timeout=SECONDS).close()
            answers.append(None)
        except urllib.error.HTTPError as error:
            answers.append(f"the hub has no such model (HTTP {error.code})")
        except (OSError, ValueError):
            answers.append(f"{end} cannot be reached")

    # Looking up a host's address obeys no timeout, so it goes into a thread that is not waited for.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(SECONDS)
    return answers[0] if answers else f"{end} does not answer"


_OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
