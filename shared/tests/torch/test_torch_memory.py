"""What a process does with freed memory is a setting of all of it, so each test has a process of its own."""

import platform
import subprocess
import sys

import pytest

SCRIPT = """
import os, sys
import numpy as np
from shared.torch.memory import keep_freed_memory

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

if sys.argv[1] == "keep":
    assert keep_freed_memory()
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
    assert _still_held("keep") > 400_000_000
    assert _still_held("plain") < 100_000_000
