"""Recognising the network that weights belong to, by their keys, and loading weights strictly."""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..core.errors import InputError
from ..core.registry import resolve
from . import TRACKERS

if TYPE_CHECKING:
    from .base import Network

_PLAIN_VIT = "cls_token"  # part of a key of every ViT that is not a tracker


def load_state(model: "Network", state_dict: Mapping[str, Tensor], source: str = "state dict") -> None:
    """Load weights strictly: every parameter and buffer must be there, and nothing else except `dropped_keys`. Public
    names are first changed to the network's own (`adopt`).

    source: the name of the weights in error messages. Raises InputError: for weights of another network it names that
    network, else the first key that is missing, unexpected or of another shape.
    """
    named = model.adopt(state_dict)
    given = {key: value for key, value in named.items() if not any(fnmatchcase(key, p) for p in model.dropped_keys)}
    own = model.state_dict()
    missing = [key for key in own if key not in given]
    unexpected = [key for key in given if key not in own]
    if missing or unexpected:
        raise InputError(f"{source}: {_explain(identify(state_dict), identify(own), missing, unexpected)}")
    for key, value in given.items():
        if value.shape != own[key].shape:
            raise InputError(
                f"{source}: {key}: is {list(value.shape)}, this configuration needs {list(own[key].shape)}; "
                "use the configuration that the weights were trained with"
            )
    model.load_state_dict(given)


def identify(keys: Iterable[str]) -> str:
    """The name in `TRACKERS` of the network that the keys of a state dict belong to; else "a plain ViT" or "an unknown
    network".

    A network is recognised where the keys contain all its `marks`; of several such networks the one with most marks.
    """
    keys = list(keys)
    found, most = "", 0
    for name, address in TRACKERS.items():
        network: type[Network] = resolve(address, __package__)
        own = [network.rename(key) for key in keys]
        if len(network.marks) > most and all(any(mark in key for key in own) for mark in network.marks):
            found, most = name, len(network.marks)
    return found or ("a plain ViT" if any(_PLAIN_VIT in key for key in keys) else "an unknown network")


def rename_prefix(key: str, prefixes: Mapping[str, str]) -> str:
    """The key with the first of `prefixes` that it begins with replaced; another key stays as it is."""
    for before, after in prefixes.items():
        if key.startswith(before):
            return after + key.removeprefix(before)
    return key


def add_counters(named: dict[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights with the counters of BatchNorm, which old files lack, where they have its statistics. own: the network's
    state dict."""
    counters = {
        key: torch.zeros_like(value)
        for key, value in own.items()
        if key.endswith("num_batches_tracked") and key.replace("num_batches_tracked", "running_var") in named
    }
    return counters | named


def _explain(held: str, wanted: str, missing: list[str], unexpected: list[str]) -> str:
    if held != wanted:
        return f"holds {held}, the configuration asks for {wanted}; set MODEL.NAME or give another checkpoint"
    parts = []
    for what, keys in (("lacks", missing), ("has the unexpected", unexpected)):
        if keys:
            parts.append(f"{what} {keys[0]}" + (f" and {len(keys) - 1} more" if len(keys) > 1 else ""))
    return f"{' and '.join(parts)}; use the configuration that the weights were trained with"
