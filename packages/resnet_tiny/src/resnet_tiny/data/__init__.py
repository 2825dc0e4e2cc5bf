"""Data: files to examples, and the made-up sample."""
