"""The verbs, one a file. Nothing outside imports them but `cli.py`."""
