from __future__ import annotations

from importlib.util import find_spec

# Without the `torchtext` extra there is nothing to test here. This very folder is found as "torchtext" then, but has no
# file.
_torchtext = find_spec("torchtext")
if _torchtext is None or _torchtext.origin is None:
    collect_ignore_glob = ["test_*.py"]
else:
    import ssl

    import pytest
    import torch

    torch.set_num_threads(1)

    @pytest.fixture(autouse=True)
    def _in_a_folder_of_its_own(tmp_path, monkeypatch):
        """`Vectors` writes a pickle into the working folder and ends the checking of certificates."""
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(ssl, "_create_default_https_context", ssl._create_default_https_context)
