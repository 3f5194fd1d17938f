"""What tests compare: state dicts, and the one line of an error."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from lib.core.errors import InputError


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    """Whether two state dicts hold the same names and bits."""
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


def message_of(function: Callable[..., Any], *arguments: Any) -> str:
    """The one line of the InputError that a call raises."""
    with pytest.raises(InputError) as raised:
        function(*arguments)
    assert "\n" not in str(raised.value)
    return str(raised.value)
