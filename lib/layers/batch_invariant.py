"""Convolutions whose rounding does not depend on how many images are in the batch."""

import torch
from torch import Tensor, nn

#: For a single image of at most this many values PyTorch uses another kernel than oneDNN's (Convolution.cpp).
_SMALL = 20480


class BatchInvariantConv2d(nn.Conv2d):
    """nn.Conv2d whose result for an image on a CPU is bit for bit the same alone and in any batch.

    PyTorch chooses the kernel by batch size, by number of threads and by strides that are meaningless where a side is
    1. Without gradients this layer always uses the same kernel: a small single image is computed as a pair of equal
    images, and 1x1 kernels as one product of matrices per image. Training, compiled and exported graphs use the plain
    convolution.
    """

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C', H', W']"""
        graph = torch.is_grad_enabled() or torch.compiler.is_compiling() or torch.jit.is_tracing()
        if graph or self.training or x.device.type != "cpu":
            return super().forward(x)
        x = x.contiguous()
        if self._is_product():
            y = torch.bmm(self.weight.flatten(1).expand(len(x), -1, -1), x.flatten(2)).unflatten(2, x.shape[2:])
            return y if self.bias is None else y + self.bias[:, None, None]
        if x.shape[0] == 1 and x.numel() <= _SMALL:
            return super().forward(torch.cat([x, x]))[:1]
        return super().forward(x)

    def _is_product(self) -> bool:
        return self.kernel_size == self.stride == (1, 1) and self.padding in (0, (0, 0), "valid") and self.groups == 1
