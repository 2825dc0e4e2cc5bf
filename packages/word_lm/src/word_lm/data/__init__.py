"""From files to ids (`dataset.py`), to batches (`segments.py`), and between plain text and WikiText's tokens."""
