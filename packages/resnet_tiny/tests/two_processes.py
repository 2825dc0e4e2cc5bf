"""What `test_train.py` runs under torchrun: the verbs `train` and `evaluate`, in one launch."""

from __future__ import annotations

import sys

from resnet_tiny.cli import main

if __name__ == "__main__":
    config, run, data = sys.argv[1:]
    assert main(["train", "--config", config, "--out", run, "--quiet"]) == 0
    assert main(["evaluate", run, "--data", data, "--json", "--batch-size", "4"]) == 0
