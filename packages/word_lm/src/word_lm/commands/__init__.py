"""The verbs of `word-lm`, one a file."""
