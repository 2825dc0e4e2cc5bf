"""The verb `sample`."""

from __future__ import annotations

from esim.data import sample
from shared.command.options import SampleOptions
from shared.data.samples import write_sample


def run(options: SampleOptions) -> int:
    """Write the made-up data set."""
    low, high = sample.EXPECTED_ACCURACY
    advice = (
        "`esim train --data {folder} --recipe laptop` trains on it; expect a test accuracy from "
        f"{100 * low:.0f} to {100 * high:.1f} %."
    )
    return write_sample(options, "esim", sample.write, advice)
