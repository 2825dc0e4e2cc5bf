"""The verb `sample`: write the made-up data set."""

from __future__ import annotations

from cbow.data import sample
from shared.command.options import SampleOptions
from shared.data.samples import write_sample


def run(options: SampleOptions) -> int:
    """Write the sample (verb `sample`)."""
    advice = "`cbow train --data {folder} --recipe baseline` trains on it."
    return write_sample(options, "cbow", sample.write, advice)
