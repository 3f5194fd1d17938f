"""What the tests of exported files share."""

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def deployed():
    """deploy/onnx_tracking."""
    return import_deployed("onnx_tracking")


@pytest.fixture(scope="module")
def script(deployed):
    """deploy/track_onnx.py as a module."""
    return import_deployed("track_onnx")


def import_deployed(name: str) -> ModuleType:
    """A module of deploy/, which belongs to no package."""
    sys.path.insert(0, str(Path(__file__).parents[3] / "deploy"))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.pop(0)
