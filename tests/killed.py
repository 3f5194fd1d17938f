"""The end of a process at a chosen moment, played in this process."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest


class _Killed(BaseException):
    pass


@contextmanager
def killed_at(moment: int) -> Iterator[None]:
    """End the block just after its file number `moment` (from 0) got its name, which is also the moment just before the
    next one gets its own. Temporary folders then stay, as a killed process leaves them."""
    replace, names = os.replace, iter(range(10**6))

    def replace_and_end(source, target):
        replace(source, target)
        if next(names) == moment:
            patch.setattr(shutil, "rmtree", lambda *_, **__: None)
            raise _Killed

    with pytest.MonkeyPatch.context() as patch, suppress(_Killed):
        patch.setattr(os, "replace", replace_and_end)
        yield
