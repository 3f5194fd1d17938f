"""The matrix products of a network: their operations and bytes, and the same products alone for timing.

An operation is a multiplication or an addition: a product of [n, k] and [k, m] has 2 n k m. A convolution counts as one
product, attention as two. Bytes are those of both factors and the result, each moved once.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


class Product(NamedTuple):
    """`batch` products of [rows, inner] and [inner, columns]."""

    batch: int
    rows: int
    inner: int
    columns: int

    @property
    def operations(self) -> int:
        """Multiplications and additions."""
        return 2 * self.batch * self.rows * self.inner * self.columns

    @property
    def numbers(self) -> int:
        """Numbers in both factors and the result."""
        return self.batch * (self.rows * self.inner + self.inner * self.columns + self.rows * self.columns)


def products_of(action: Callable[[], Any]) -> Counter[Product]:
    """The products that `action` computes, with their counts. Inference mode would hide them."""
    assert not torch.is_inference_mode_enabled()
    with _Recorder() as recorder:
        action()
    return recorder.found


def operations(products: Mapping[Product, int]) -> int:
    """Multiplications and additions of all products."""
    return sum(product.operations * count for product, count in products.items())


def moved_bytes(products: Mapping[Product, int], dtype: torch.dtype) -> int:
    """Bytes of all factors and results."""
    return sum(product.numbers * count for product, count in products.items()) * dtype.itemsize


def repeat_products(products: Mapping[Product, int], dtype: torch.dtype, device: torch.device) -> Callable[[], None]:
    """A function that computes the same products on random matrices and nothing else. A network with these products
    cannot be faster."""
    tasks = []
    for product, count in products.items():
        first = torch.randn(product.batch, product.rows, product.inner, device=device).to(dtype)
        second = torch.randn(product.batch, product.inner, product.columns, device=device).to(dtype)
        if product.batch == 1:
            first, second = first[0], second[0]
        tasks += [(first, second)] * count

    def multiply() -> None:
        for first, second in tasks:
            torch.matmul(first, second)

    return multiply


class _Recorder(TorchDispatchMode):
    """Records the matrix products among the operators that PyTorch calls."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[Product] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if name in ("mm", "bmm", "addmm", "baddbmm"):
            first, second = args[-2:]
            self.found[_matrices(first, second)] += 1
        elif "convolution" in name:
            self.found[_convolution(args[1], result, groups=args[8])] += 1
        elif "scaled_dot_product" in name:
            self.found.update(_attention(*args[:3]))
        return result


def _matrices(first: Tensor, second: Tensor) -> Product:
    batch = first.shape[0] if first.ndim == 3 else 1
    return Product(batch, first.shape[-2], first.shape[-1], second.shape[-1])


def _convolution(weight: Tensor, result: Tensor, groups: int) -> Product:
    places = result.numel() // result.shape[1]
    return Product(groups, places, weight[0].numel(), weight.shape[0] // groups)


def _attention(query: Tensor, key: Tensor, value: Tensor) -> Sequence[Product]:
    batch = query[..., 0, 0].numel()
    rows, width, keys = query.shape[-2], query.shape[-1], key.shape[-2]
    return [Product(batch, rows, width, keys), Product(batch, rows, keys, value.shape[-1])]
