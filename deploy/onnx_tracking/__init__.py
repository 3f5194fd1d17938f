"""Tracking with ONNX Runtime, NumPy and OpenCV, without PyTorch and without the rest of this repository."""

import os

os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(1 << 27))  # a file of 631 bytes can state 4 billion

# OpenCV reads the limit when it is imported.
from .errors import InputError  # noqa: E402
from .images import join  # noqa: E402
from .recordings import read_frames  # noqa: E402
from .tracker import OnnxTracker, Target  # noqa: E402

__all__ = ["InputError", "OnnxTracker", "Target", "join", "read_frames"]
