from __future__ import annotations

import platform
import subprocess
import sys

import pytest
import torch

from shared.torch.cpu import ROWS, pad_rows


@pytest.mark.parametrize("count", [0, 1, ROWS - 1, ROWS, ROWS + 1])
@pytest.mark.parametrize("more", [(), (3,), (2, 3)])
def test_rows_are_padded_with_zeros(count: int, more: tuple[int, ...]) -> None:
    rows = torch.randn(count, *more)
    got = pad_rows(rows)
    assert len(got) % ROWS == 0 and len(got) - count < ROWS
    assert torch.equal(got[:count], rows) and not got[count:].any()


def test_only_the_real_rows_have_gradients() -> None:
    rows = torch.randn(5, 2, requires_grad=True)
    pad_rows(rows).sum().backward()
    assert torch.equal(rows.grad, torch.ones(5, 2))


def test_integer_rows_stay_integers() -> None:
    assert pad_rows(torch.tensor([7, 8])).dtype == torch.int64


# What a process does with freed memory is a setting of all of it, so each test has a process of its own.
SCRIPT = """
import os, sys
import numpy as np
from shared.torch.config import LoopConfig
from shared.torch.cpu import keep_freed_memory
from shared.torch.device import make_accelerator

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

if sys.argv[1] == "alone":
    assert keep_freed_memory()
if sys.argv[1] == "training":
    make_accelerator(LoopConfig(device="cpu"))
before = resident()
blocks = [np.ones(20_000_000) for _ in range(3)]  # 160 MB each
del blocks
print(resident() - before)
"""


def _still_held(word: str) -> int:
    command = [sys.executable, "-c", SCRIPT, word]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_freed_memory_is_kept_when_asked_for_and_given_back_otherwise() -> None:
    assert _still_held("alone") > 400_000_000
    assert _still_held("training") > 400_000_000
    assert _still_held("plain") < 100_000_000
