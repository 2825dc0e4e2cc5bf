"""What both kernels compute with: the compiler's options, exp, aligned memory, random draws.

Random draws are a pure function of (key, position, number): no state moves along, so a run that
stops and continues, or is split over threads, draws what one that did not would draw.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

FAST = frozenset({"reassoc", "contract", "nsz", "arcp"})
"""Fast-math flags that let sums be vectorized. `nnan` and `ninf` are left out on purpose: a loss
that is not finite must stay visible."""


def compiled(
    fastmath: frozenset[str] = frozenset(), *, inline: bool = True
) -> Callable[[Callable[..., Any]], Any]:
    """Compile with Numba, without the GIL, cached on disk where a cache folder can be written.

    What one kernel calls is inlined into it by the compiler (`inline`). Otherwise a fresh process
    may link another copy of a callee, optimized in another way, than one that loads the kernel
    from the cache, and the two would differ in the last bits.
    """
    options: dict[str, Any] = {
        "nogil": True, "error_model": "numpy", "forceinline": inline,
        "fastmath": set(fastmath) if fastmath else False,
    }

    def decorate(function: Callable[..., Any]) -> Any:
        try:
            return numba.njit(cache=True, **options)(function)
        except RuntimeError:  # neither the package's folder nor the user's cache can be written
            return numba.njit(**options)(function)

    return decorate


def aligned_zeros(*shape: int) -> npt.NDArray[np.float32]:
    """Zeros (float32) that start on a 64-byte boundary: vector loads never straddle cache lines."""
    size = int(np.prod(shape))
    memory = np.zeros(size + 16, dtype=np.float32)
    first = (-memory.ctypes.data // 4) % 16
    return memory[first : first + size].reshape(shape)


def _bits_to_float(_context: Any, _bits: Any) -> Any:
    """int32 read as the float32 with the same bits."""

    def generate(_target: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.int32), generate


bits_to_float: Any = intrinsic(_bits_to_float)


def _float_to_bits(_context: Any, _value: Any) -> Any:
    """float32 read as the int32 with the same bits."""

    def generate(_target: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.IntType(32))

    return types.int32(types.float32), generate


float_to_bits: Any = intrinsic(_float_to_bits)


_ZERO = np.float32(0.0)
_ONE = np.float32(1.0)
_LOWEST = np.float32(-87.0)
_LOG2_E = np.float32(np.log2(np.e))
# Adding 1.5 * 2^23 leaves no bits for a fraction: it rounds, and the low bits hold the integer.
_ROUNDER = np.float32(1.5 * 2**23)
# ln 2 in two parts; n * _LN2_HIGH is exact for the n that occur.
_LN2_HIGH = np.float32(0.693359375)
_LN2_LOW = np.float32(np.log(2.0) - 0.693359375)
# exp(r) = 1 + r + r^2 p(r) on |r| <= ln(2) / 2: p fitted at Chebyshev nodes in float64.
_NODES = np.cos((np.arange(64) + 0.5) * np.pi / 64) * np.log(2.0) / 2
_P = np.polynomial.Polynomial.fit(
    _NODES, (np.expm1(_NODES) - _NODES) / _NODES**2, 4, w=_NODES**2
).convert().coef.astype(np.float32)
_P0, _P1, _P2, _P3, _P4 = _P
_BIAS = np.int32(127)
_MANTISSA_BITS = np.int32(23)


@compiled(frozenset({"contract"}))  # no reassoc: it would cancel the rounding below
def exp32(x: Any) -> Any:
    """exp(x) for float32 x <= 0, about 1e-7 relative; 0 below -87; NaN stays NaN.

    No call, no branch, no table: a loop over it is vectorized, unlike one over math.exp.
    """
    shifted = x * _LOG2_E + _ROUNDER
    n = shifted - _ROUNDER  # x = n ln 2 + r
    r = (x - n * _LN2_HIGH) - n * _LN2_LOW
    p = (((_P4 * r + _P3) * r + _P2) * r + _P1) * r + _P0
    power = bits_to_float(np.int32((float_to_bits(shifted) + _BIAS) << _MANTISSA_BITS))  # 2^n
    value = (p * (r * r) + (r + _ONE)) * power
    return _ZERO if x < _LOWEST else value


_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MIX1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX2 = np.uint64(0x94D049BB133111EB)


@compiled()
def mix(x: Any) -> Any:
    """Scramble uint64: the output function of splitmix64 (Steele et al. 2014)."""
    x = (x ^ (x >> np.uint64(30))) * _MIX1
    x = (x ^ (x >> np.uint64(27))) * _MIX2
    return x ^ (x >> np.uint64(31))


@compiled()
def stream_at(key: Any, position: Any) -> Any:
    """Return the stream (uint64) of one token position."""
    return mix(key + _GAMMA * (np.uint64(position) + np.uint64(1)))


@compiled()
def draw(stream: Any, number: Any) -> Any:
    """Draw `number` (0, 1, ...) of a stream: uint64, uniform."""
    return mix(stream + _GAMMA * (np.uint64(number) + np.uint64(1)))


@compiled()
def unit(x: Any) -> Any:
    """Uint64 to float64 in [0, 1)."""
    return np.float64(x >> np.uint64(11)) * (1.0 / 9007199254740992.0)


def stream_key(*numbers: int) -> np.uint64:
    """Key of a block of text, from numbers such as (seed, epoch, block)."""
    return np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0]
