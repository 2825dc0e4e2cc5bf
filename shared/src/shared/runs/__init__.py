"""Run directories, checkpoints and the metrics log."""
