"""Convolutions whose rounding does not depend on how many images are in the batch."""

import torch
from torch import Tensor, nn

#: PyTorch leaves single images of no more values than this to another kernel than oneDNN's (Convolution.cpp).
_SMALL = 20480


class BatchInvariantConv2d(nn.Conv2d):
    """nn.Conv2d; on a CPU each image of a batch gets, bit for bit, what it gets alone.

    PyTorch picks the kernel by batch size, by number of threads and by strides that mean nothing where a side is 1.
    Without gradients this one always picks the same: a pair of equal images where a single one would go another way, a
    sum of products for 1x1 kernels (heads end in them, with few channels). Compiled and exported graphs and training
    have the plain one.
    """

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C', H', W']"""
        graph = torch.is_grad_enabled() or torch.compiler.is_compiling() or torch.jit.is_tracing()
        if graph or self.training or x.device.type != "cpu":
            return super().forward(x)
        x = x.contiguous()
        if self._is_sum():
            y = (self.weight.flatten(1)[:, :, None] * x.flatten(2)[:, None]).sum(dim=2).unflatten(2, x.shape[2:])
            return y if self.bias is None else y + self.bias[:, None, None]
        if x.shape[0] == 1 and x.numel() <= _SMALL:
            return super().forward(torch.cat([x, x]))[:1]
        return super().forward(x)

    def _is_sum(self) -> bool:
        return self.kernel_size == self.stride == (1, 1) and self.padding in (0, (0, 0), "valid") and self.groups == 1
