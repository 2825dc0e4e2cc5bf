"""Masks, softmax and pooling for padded sequences.

Shapes: B batch, T time in tokens, H hidden size. Padding is given by lengths (B,), never guessed from ids.
"""

from __future__ import annotations

import torch
from torch import Tensor


def mask_from_lengths(lengths: Tensor, size: int, *, front: bool = False) -> Tensor:
    """Return which positions of padded sequences hold a token.

    Parameters
    ----------
    lengths : int tensor (B,)
        Number of real tokens, 0 <= length <= size.
    size : int
        T.
    front : bool
        Padding comes before the tokens, not after them.

    Returns
    -------
    bool tensor (B, T)
        True where there is a token.

    Raises
    ------
    ValueError
        A length is below 0 or above T.
    """
    _check_lengths(lengths, 0, size)
    positions = torch.arange(size, device=lengths.device)
    if front:
        return positions >= size - lengths[:, None]
    return positions < lengths[:, None]


def masked_softmax(scores: Tensor, mask: Tensor, dim: int = -1) -> Tensor:
    """Softmax over the positions where `mask` is True; 0 elsewhere, and 0 everywhere if there is no such position.

    Parameters
    ----------
    scores : float tensor of any shape and precision
    mask : bool tensor that broadcasts to it
    dim : int

    Returns
    -------
    float tensor like `scores`
        Sums to 1 along `dim`, or to 0 where all is masked.
    """
    # The lowest finite number, not -inf, which would give NaN on the way for a row that is all padding. Its difference
    # to any score is low enough in every format for `exp` to give 0.
    lowest = torch.finfo(scores.dtype).min
    weights = scores.masked_fill(~mask, lowest).softmax(dim)
    return weights.masked_fill(~mask, 0.0)


def masked_mean(states: Tensor, lengths: Tensor) -> Tensor:
    """Mean of the real positions of each sequence.

    Parameters
    ----------
    states : float tensor (B, T, H)
    lengths : int tensor (B,)
        Number of real tokens, 1 <= length <= T.

    Returns
    -------
    float tensor (B, H)

    Raises
    ------
    ValueError
        A length is below 1 or above T.

    References
    ----------
    Chen et al. 2017, arXiv 1609.06038, equation 18.
    """
    _check_lengths(lengths, 1, states.shape[1])
    mask = mask_from_lengths(lengths, states.shape[1])
    # Filled, not multiplied: 0 * inf is NaN, and padding may hold anything. Summed in float32, since bf16 loses the
    # small terms of a long sum.
    wide = torch.promote_types(states.dtype, torch.float32)
    total = states.masked_fill(~mask[:, :, None], 0.0).sum(1, dtype=wide)  # (B, H)
    return (total / lengths[:, None]).to(states.dtype)


def masked_max(states: Tensor, lengths: Tensor) -> Tensor:
    """Maximum over the real positions of each sequence.

    Parameters
    ----------
    states : float tensor (B, T, H)
    lengths : int tensor (B,)
        Number of real tokens, 1 <= length <= T.

    Returns
    -------
    float tensor (B, H)

    Raises
    ------
    ValueError
        A length is below 1 or above T.

    References
    ----------
    Chen et al. 2017, arXiv 1609.06038, equation 19.
    """
    _check_lengths(lengths, 1, states.shape[1])
    mask = mask_from_lengths(lengths, states.shape[1])
    lowest = torch.finfo(states.dtype).min
    return states.masked_fill(~mask[:, :, None], lowest).max(dim=1).values


def _check_lengths(lengths: Tensor, least: int, most: int) -> None:
    # Reading a GPU's numbers would make it wait, and a graph that is being traced has none.
    if lengths.device.type != "cpu" or torch.compiler.is_compiling() or torch.jit.is_tracing():
        return
    if lengths.ndim != 1 or not len(lengths):
        raise ValueError(f"lengths have shape {tuple(lengths.shape)}, expected (B,) with B >= 1")
    low, high = int(lengths.min()), int(lengths.max())
    if low < least or high > most:
        raise ValueError(f"lengths go from {low} to {high}, expected {least} to {most}")
