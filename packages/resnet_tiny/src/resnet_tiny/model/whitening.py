"""A first convolution that knows the images: its kernels are the principal components of their patches.

Neighboring pixels are much alike, so random kernels all tell nearly the same of a patch: its brightness. The outputs of
principal components are uncorrelated, and the batch norm behind them gives all the same variance: together they whiten
the patches. A ReLU lets one sign through, so each component is there with its negative. Training goes on from there.

Shapes: N images of S pixels a side; D kernels of n = channels x height x width weights.

References
----------
Jordan 2024, arXiv 2404.00498, section 3.2, who keeps the kernels fixed; Page 2019, "How to train your ResNet".
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@torch.no_grad()
def whiten_first_convolution(model: nn.Module, images: Tensor) -> None:
    """Set the kernels of a model's first convolution to the principal components of image patches.

    The first D / 2 components, and as many negatives, each with the mean norm of the kernels before. Where the kernels
    have fewer weights than that, the kernels that are left stay as they are.

    Parameters
    ----------
    model : nn.Module
        Changed in place.
    images : float tensor (N, channels, S, S)
        As the model reads them.
    """
    conv = next(module for module in model.modules() if isinstance(module, nn.Conv2d))
    kernels = conv.weight.flatten(1)  # (D, n)
    patches = F.unfold(images.contiguous(), conv.kernel_size, stride=conv.kernel_size)
    covariance = torch.cov(patches.transpose(0, 1).flatten(1).double())  # (n, n)
    components = torch.linalg.eigh(covariance).eigenvectors.T.flip(0)  # largest variance first
    half = components[: len(kernels) // 2].float() * kernels.norm(dim=1).mean()
    both = torch.cat([half, -half])
    conv.weight[: len(both)] = both.view(-1, *conv.weight.shape[1:])
