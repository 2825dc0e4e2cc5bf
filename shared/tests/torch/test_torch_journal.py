"""TensorBoard event files: errors come from where a point is added."""

import threading

import pytest

from shared.torch.journal import Curves

resource = pytest.importorskip("resource", reason="needs a POSIX system")


def test_full_disk_is_told_at_the_point_that_did_not_fit_and_no_thread_is_left(tmp_path):
    threads = threading.active_count()
    curves = Curves(tmp_path / "tensorboard", from_step=0)
    curves.add("loss", 1.0, 1)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            curves.add("loss", 0.5, 2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    curves.add("loss", 0.25, 3)
    assert threading.active_count() == threads
    assert values_of(tmp_path / "tensorboard") == [(1, 1.0), (3, 0.25)]


def values_of(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return [(e.step, e.value) for e in EventAccumulator(str(folder)).Reload().Scalars("loss")]
