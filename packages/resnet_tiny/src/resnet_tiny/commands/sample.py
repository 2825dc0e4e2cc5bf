"""The verb `sample`: write the made-up data set."""

from __future__ import annotations

from resnet_tiny.data import sample
from shared.command.options import SampleOptions
from shared.data.samples import write_sample


def run(options: SampleOptions) -> int:
    """Write the sample (verb `sample`)."""
    low, high = sample.EXPECTED_TOP1
    advice = f"`{sample.COMMAND} --data {{folder}}` trains on it; expect a top-1 accuracy from {low:g} to {high:g} %."
    return write_sample(options, "resnet-tiny", sample.write, advice)
