"""What the tests of exported files share."""

import importlib
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def deployed():
    """deploy/track_onnx.py as a module."""
    sys.path.insert(0, str(Path(__file__).parents[3] / "deploy"))
    try:
        yield importlib.import_module("track_onnx")
    finally:
        sys.path.pop(0)
