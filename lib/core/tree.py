"""Trees of tensors: the memories of methods. B targets.

A tree is a tensor with leading dimension B, an `Owned`, None, or a tuple (plain or named) of trees.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

Tree = TypeVar("Tree")


class Owned:
    """One object per target that is passed on by reference, never copied: for data that is too large to copy in every
    frame. The method that made an object may change it in place."""

    def __init__(self, *items: Any):
        self.items = items


def join(trees: Sequence[Tree]) -> Tree:
    """Join trees into one tree of all their targets."""
    return _map(_join, *trees)


class Joiner:
    """`join` that keeps its last result, since the memories of most frames are unchanged."""

    def __init__(self) -> None:
        self._last: tuple[list[Any], Any] = ([], None)

    def __call__(self, trees: list[Any]) -> Any:
        """As `join`; a single tree is returned as it is."""
        if len(trees) == 1:
            return trees[0]
        last, joined = self._last
        if len(last) != len(trees) or any(a is not b for a, b in zip(last, trees, strict=True)):
            joined = join(trees)
            self._last = (trees, joined)
        return joined


def part(tree: Tree, index: int) -> Tree:
    """The tree of one target. Its tensors are copies, so that a pickle holds no values of other targets."""
    return _map(lambda leaf: _part(leaf, index), tree)


def map_tensors(change: Callable[[Tensor], Tensor], tree: Tree) -> Tree:
    """The tree with `change` applied to every tensor."""
    return _map(lambda leaf: change(leaf) if isinstance(leaf, Tensor) else leaf, tree)


def tensors(tree: Any) -> list[Tensor]:
    """The tensors of a tree in order, without those inside `Owned` objects."""
    if isinstance(tree, tuple):
        return [leaf for branch in tree for leaf in tensors(branch)]
    return [tree] if isinstance(tree, Tensor) else []


def names(tree: Any, prefix: str = "") -> list[str]:
    """A name for each of `tensors`: the fields that lead to it, joined by dots."""
    if isinstance(tree, tuple):
        fields = getattr(tree, "_fields", range(len(tree)))
        branches = zip(fields, tree, strict=True)
        return [
            name for field, branch in branches for name in names(branch, f"{prefix}.{field}" if prefix else f"{field}")
        ]
    return [prefix] if isinstance(tree, Tensor) else []


def owns(tree: Any) -> bool:
    """Whether a tree holds `Owned` objects."""
    return any(map(owns, tree)) if isinstance(tree, tuple) else isinstance(tree, Owned)


def replace_tensors(tree: Tree, values: Sequence[Tensor]) -> Tree:
    """The tree with its tensors replaced by `values`, in the order of `tensors`."""
    rest = iter(values)
    return map_tensors(lambda _: next(rest), tree)


def _map(change: Callable[..., Any], *trees: Any) -> Any:
    first = trees[0]
    if not isinstance(first, tuple):
        return change(*trees)
    branches = [_map(change, *parts) for parts in zip(*trees, strict=True)]
    return type(first)(*branches) if hasattr(first, "_fields") else tuple(branches)


def _join(*leaves: Any) -> Any:
    if isinstance(leaves[0], Owned):
        return Owned(*(item for leaf in leaves for item in leaf.items))
    return None if leaves[0] is None else torch.cat(leaves)


def _part(leaf: Any, index: int) -> Any:
    if isinstance(leaf, Owned):
        return Owned(leaf.items[index])
    return None if leaf is None else leaf[index : index + 1].clone()
