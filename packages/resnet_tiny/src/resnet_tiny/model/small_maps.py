"""Convolutions over feature maps of a few pixels as one matrix product, which trains in a third of the time on a CPU.

ResNet-18 ends in feature maps of 2x2 pixels for images of 64x64, and of 1x1 for 32x32. More than half of the products
of a 3x3 kernel are then with padding, that is with zero. Written out, the convolution is a matrix from every pixel of a
map to every pixel of the next: the same function of the same weights, without the padding.

Shapes: B images; C channels in and D out; h and w pixels of a map before, H and W after.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MOST_PIXELS = 4
"""Pixels of a map up to which the matrix is faster; with 3x3 pixels it is slower."""


class SmallMapConv2d(nn.Conv2d):
    """Convolution that trains on a CPU by a matrix product where maps have `MOST_PIXELS` or fewer.

    Parameters, their names and initial values are those of `nn.Conv2d`: checkpoints fit both.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Return float (B, D, H, W) of float (B, C, h, w)."""
        h, w = input.shape[2:]
        # A kernel smaller than the map would leave the matrix mostly empty.
        is_small = h * w <= min(MOST_PIXELS, self.kernel_size[0] * self.kernel_size[1])
        if not (is_small and self.training and input.device.type == "cpu"):
            return super().forward(input)
        height, width = (self._length(axis, n) for axis, n in enumerate((h, w)))
        flat = input.permute(0, 2, 3, 1).flatten(1)  # (B, h w C), a view where channels are last
        bias = None if self.bias is None else self.bias.repeat(height * width)
        out = F.linear(flat, self._matrix(h, w, height, width), bias)  # (B, H W D)
        return out.view(-1, height, width, self.out_channels).permute(0, 3, 1, 2)

    def _matrix(self, h: int, w: int, height: int, width: int) -> Tensor:
        """Return the convolution as a matrix (H W D, h w C)."""
        weight = self.weight  # (D, C, rows, columns)
        if torch.is_autocast_enabled("cpu"):  # once here, not for each of its copies below
            weight = weight.to(torch.get_autocast_dtype("cpu"))
        rows, columns = self.kernel_size
        # By `unbind`, the gradient of all taps is one tensor; by index it would be a kernel of zeros for each use.
        taps = weight.permute(2, 3, 0, 1).flatten(0, 1).unbind(0)  # rows x columns of (D, C)
        padding = torch.zeros_like(taps[0])
        lines = []
        for y, x in _positions(height, width):
            blocks = []
            for row, column in _positions(h, w):
                i, j = row - self._start(0, y), column - self._start(1, x)
                is_covered = 0 <= i < rows and 0 <= j < columns
                blocks.append(taps[i * columns + j] if is_covered else padding)
            lines.append(torch.cat(blocks, dim=1))  # (D, h w C)
        return torch.cat(lines)

    def _length(self, axis: int, pixels: int) -> int:
        """Return the pixels after the convolution along an axis."""
        room = pixels + 2 * int(self.padding[axis]) - self.kernel_size[axis]
        return room // self.stride[axis] + 1

    def _start(self, axis: int, position: int) -> int:
        """Return the pixel under the kernel's first tap at a position of the output."""
        return position * self.stride[axis] - int(self.padding[axis])


def use_small_maps(model: nn.Module) -> nn.Module:
    """Make the convolutions of a model train on small maps by matrix products.

    Parameters
    ----------
    model : nn.Module
        Changed in place. Convolutions with groups, dilation, or padding by other than zeros stay as they are.

    Returns
    -------
    nn.Module
        The same one.
    """
    for module in model.modules():
        if type(module) is nn.Conv2d and _is_plain(module):
            module.__class__ = SmallMapConv2d  # the same parameters and settings, another forward
    return model


def _is_plain(conv: nn.Conv2d) -> bool:
    is_whole = conv.groups == 1 and conv.dilation == (1, 1)
    return is_whole and conv.padding_mode == "zeros" and not isinstance(conv.padding, str)


def _positions(height: int, width: int) -> list[tuple[int, int]]:
    return [(row, column) for row in range(height) for column in range(width)]
