"""The arithmetic of both kernels: the compiler's options, exp, aligned memory, random draws.

Random draws are a pure function of (key, position, number) without any state, so a run that stops and continues, or is
split over threads, draws the same numbers as one that is not.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.caching import FunctionCache
from numba.extending import intrinsic, models, register_model

FAST = frozenset({"reassoc", "contract", "nsz", "arcp"})
"""Fast-math flags that let sums be vectorized. `nnan` and `ninf` are left out on purpose: a loss
that is not finite must stay visible."""


def compiled(
    fastmath: frozenset[str] = frozenset(), *, inline: bool = True
) -> Callable[[Callable[..., Any]], Any]:
    """Compile with Numba, without the GIL, cached on disk where a cache folder can be written.

    The functions that a kernel calls are inlined into it by the compiler (`inline`). Otherwise a
    fresh process may link another copy of a callee, optimized in another way, than one that loads
    the kernel from the cache, and the two would differ in the last bits.
    """
    options: dict[str, Any] = {
        "nogil": True,
        "error_model": "numpy",
        "forceinline": inline,
        "fastmath": set(fastmath) if fastmath else False,
    }

    def decorate(function: Callable[..., Any]) -> Any:
        dispatcher = numba.njit(**options)(function)
        # Where neither the package's folder nor the user's cache can be written, there is no cache.
        with contextlib.suppress(RuntimeError):
            dispatcher._cache = _Cache(function)
        return dispatcher

    return decorate


def is_cached(kernel: Any) -> bool:
    """Return whether the machine code of a compiled function is on disk for later runs."""
    return isinstance(kernel._cache, _Cache) and not kernel._cache.has_failed


class _Cache(FunctionCache):  # type: ignore[misc]
    """Numba's cache on disk, made to notice edits of inlined functions.

    Numba compares the one file that a function is in; this adds all files of its folder.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        files = sorted(Path(function.__code__.co_filename).parent.glob("*.py"))
        self._sources = hashlib.sha256(b"".join(map(Path.read_bytes, files))).hexdigest()
        self.has_failed = False

    def save_overload(self, signature: Any, data: Any) -> None:
        """Write machine code; a disk that is full costs the next run a compilation, not this one its end."""
        try:
            super().save_overload(signature, data)
        except OSError:
            self.has_failed = True

    def _index_key(self, signature: Any, codegen: Any) -> Any:
        return super()._index_key(signature, codegen), self._sources


def aligned_zeros(*shape: int) -> npt.NDArray[np.float32]:
    """Return zeros (float32) that start on a 64-byte boundary, so that vector loads do not straddle cache lines."""
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


# Vectors. The compiler vectorizes a plain loop by itself, but keeps no array in registers from one
# loop to the next; a variable of type `Lanes` stays there. A vector wider than a register of the
# machine becomes several registers.


class Lanes(types.Type):  # type: ignore[misc]
    """`width` float32 numbers as one value of the machine."""

    def __init__(self, width: int) -> None:
        self.width = width
        super().__init__(name=f"Lanes({width})")


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, lanes: Lanes) -> None:
        super().__init__(manager, lanes, ir.VectorType(ir.FloatType(), lanes.width))


def _pointer(context: Any, builder: Any, array_type: Any, array: Any, row: Any, kind: Any) -> Any:
    """Address of the start of a row of a 2-D array, as that of a `kind`."""
    array = context.make_array(array_type)(context, builder, array)
    start = [row, ir.Constant(row.type, 0)]
    return builder.bitcast(
        cgutils.get_item_pointer(context, builder, array_type, array, start), kind.as_pointer()
    )


def _pick(builder: Any, lanes: Any, numbers: list[int]) -> Any:
    """Vector of the lanes with these numbers."""
    mask = ir.Constant(ir.VectorType(ir.IntType(32), len(numbers)), numbers)
    return builder.shuffle_vector(lanes, ir.Constant(lanes.type, ir.Undefined), mask)


def _spread_value(builder: Any, x: Any, width: int) -> Any:
    one = ir.Constant(ir.VectorType(ir.FloatType(), 1), ir.Undefined)
    return _pick(builder, builder.insert_element(one, x, ir.IntType(32)(0)), [0] * width)


def _add_product(builder: Any, x: Any, y: Any, z: Any) -> Any:
    flags = ("contract",)  # one instruction where the machine has it
    return builder.fadd(builder.fmul(x, y, flags=flags), z, flags=flags)


def _spread(_context: Any, x: Any, width: Any) -> Any:
    """Vector of `width` lanes that are all x."""

    def generate(_target: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return _spread_value(builder, arguments[0], width.literal_value)

    return Lanes(width.literal_value)(types.float32, width), generate


spread: Any = intrinsic(prefer_literal=True)(_spread)


def _load(_context: Any, array: Any, _row: Any, width: Any) -> Any:
    """First `width` numbers of array[row]."""
    lanes = Lanes(width.literal_value)

    def generate(target: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        kind = target.get_value_type(lanes)
        pointer = _pointer(target, builder, array, arguments[0], arguments[1], kind)
        return builder.load(pointer, align=4)

    return lanes(array, types.intp, width), generate


load: Any = intrinsic(prefer_literal=True)(_load)


def _store(_context: Any, lanes: Any, array: Any, _row: Any) -> Any:
    """Write a vector to the start of array[row]."""

    def generate(target: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        vector, memory, row = arguments
        pointer = _pointer(target, builder, array, memory, row, vector.type)
        builder.store(vector, pointer, align=4)
        return target.get_dummy_value()

    return types.void(lanes, array, types.intp), generate


store: Any = intrinsic(_store)


def _multiply_add(_context: Any, _x: Any, y: Any, z: Any) -> Any:
    """Return x y + z, for a number x and vectors y and z."""

    def generate(_target: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        x = _spread_value(builder, arguments[0], y.width)
        return _add_product(builder, x, arguments[1], arguments[2])

    return z(types.float32, y, z), generate


multiply_add: Any = intrinsic(_multiply_add)


def _multiply_fold(_context: Any, x: Any, y: Any, z: Any) -> Any:
    """Sum of z and all pieces of x y that are as wide as z."""

    def generate(_target: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        a, b, total = arguments
        for start in range(0, x.width, z.width):
            piece = list(range(start, start + z.width))
            total = _add_product(builder, _pick(builder, a, piece), _pick(builder, b, piece), total)
        return total

    return z(x, y, z), generate


multiply_fold: Any = intrinsic(_multiply_fold)


def _sum_lanes(_context: Any, x: Any) -> Any:
    """Return the sum of a vector's numbers, by halves."""

    def generate(_target: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        (vector,) = arguments
        half = x.width // 2
        while half:
            low = _pick(builder, vector, list(range(half)))
            vector = builder.fadd(low, _pick(builder, vector, list(range(half, 2 * half))))
            half //= 2
        return builder.extract_element(vector, ir.IntType(32)(0))

    return types.float32(x), generate


sum_lanes: Any = intrinsic(_sum_lanes)


def _prefetch(_context: Any, array: Any, _row: Any, width: Any) -> Any:
    """Ask for the first `width` numbers of array[row] to be brought into the cache."""

    def generate(target: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        byte, i32 = ir.IntType(8), ir.IntType(32)
        pointer = _pointer(target, builder, array, arguments[0], arguments[1], byte)
        signature = ir.FunctionType(ir.VoidType(), [pointer.type, i32, i32, i32])
        function = cgutils.get_or_insert_function(builder.module, signature, "llvm.prefetch.p0")
        for line in range(width.literal_value // 16):
            address = builder.gep(pointer, [i32(64 * line)])
            builder.call(function, [address, i32(0), i32(3), i32(1)])  # read, keep, data
        return target.get_dummy_value()

    return types.void(array, types.intp, width), generate


prefetch: Any = intrinsic(prefer_literal=True)(_prefetch)


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
_P = (
    np.polynomial.Polynomial.fit(_NODES, (np.expm1(_NODES) - _NODES) / _NODES**2, 4, w=_NODES**2)
    .convert()
    .coef.astype(np.float32)
)
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
    """Convert a uint64 to float64 in [0, 1)."""
    return np.float64(x >> np.uint64(11)) * (1.0 / 9007199254740992.0)


def stream_key(*numbers: int) -> np.uint64:
    """Return the key of a block of text's random draws, from numbers such as (seed, epoch, block)."""
    return np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0]
