"""The verb `sample`: write the made-up data set."""

from __future__ import annotations

from shared.command.options import SampleOptions
from shared.data.samples import write_sample
from word_lm.data import sample


def run(options: SampleOptions) -> int:
    """Write the sample (verb `sample`)."""
    low, high = sample.EXPECTED_PERPLEXITY
    advice = (
        "`word-lm train --data {folder} --epochs 10` trains on it; expect a test perplexity from "
        f"{low} to {high}."
    )
    return write_sample(options, "word-lm", sample.write, advice)
