"""Correlation of search features with kernels made from a template. B targets, H channels, K maps."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import conv2d

from .precision import own_precision

#: Older versions of PyTorch (2.4) do not tell an export from a compilation.
_is_exporting: Callable[[], bool] = getattr(torch.compiler, "is_exporting", torch.compiler.is_compiling)


def correlate(features: Tensor, kernels: Tensor) -> Tensor:
    """Correlate each sample with its own kernels: [B, H, f, f], [B, K, H, k, k] -> [B, K, f - k + 1, f - k + 1].

    Computed in float32 at least, since boxes are read from sums of thousands of products. One convolution per sample is
    several times faster than a grouped one on a CPU and slower on other devices; the results differ by rounding (1e-6
    relative).
    """
    with own_precision(features):
        dtype = torch.promote_types(features.dtype, torch.float32)
        features, kernels = features.to(dtype), kernels.to(dtype)
        if features.device.type == "cpu" or len(features) == 1:
            pairs = zip(features.split(1), kernels.unbind(), strict=True)
            return torch.cat([conv2d(sample, kernel) for sample, kernel in pairs])
        return correlate_grouped(features, kernels)


def correlate_grouped(features: Tensor, kernels: Tensor) -> Tensor:
    """`correlate` as one convolution with a group per sample."""
    targets, maps = kernels.shape[:2]
    joined = conv2d(features.flatten(0, 1)[None], kernels.flatten(0, 1), groups=targets)
    return joined[0].unflatten(0, (targets, maps))


def correlate_depthwise(features: Tensor, kernels: Tensor) -> Tensor:
    """Correlate each channel of each sample with its own kernel: [B, H, f, f], [B, H, k, k] -> [B, H, f - k + 1,
    f - k + 1], in float32 at least.

    One convolution with a group per channel; for any number of targets in one exported graph, the sum over the
    kernel's places, which differs by rounding.
    """
    with own_precision(features):
        dtype = torch.promote_types(features.dtype, torch.float32)
        features, kernels = features.to(dtype), kernels.to(dtype)
        if _is_exporting():
            return correlate_by_places(features, kernels)
        joined = conv2d(features.flatten(0, 1)[None], kernels.flatten(0, 1)[:, None], groups=kernels.shape[:2].numel())
        return joined[0].unflatten(0, kernels.shape[:2])


def correlate_by_places(features: Tensor, kernels: Tensor) -> Tensor:
    """`correlate_depthwise` as a sum over the places of the kernels."""
    height, width = kernels.shape[2:]
    rows, columns = features.shape[2] - height + 1, features.shape[3] - width + 1
    places = [(y, x) for y in range(height) for x in range(width)]
    return sum(
        (kernels[:, :, y, x, None, None] * features[:, :, y : y + rows, x : x + columns] for y, x in places),
        start=torch.zeros_like(features[:, :, :rows, :columns]),
    )


def correlate_pixels(template: Tensor, search: Tensor) -> Tensor:
    """Products of search features with each cell of a template (Yan et al., CVPR 2021): [B, C, k, k], [B, C, n, n] ->
    [B, k^2, n, n]; the template's cells row by row."""
    return torch.bmm(template.flatten(2).mT.contiguous(), search.flatten(2)).unflatten(2, search.shape[2:])
