"""One file for each verb; only `cli.py` imports this package."""
