"""Cameras of this machine, by number, and streams, by address (rtsp://…). Only the newest image is kept, no queue."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np

from ...core.errors import InputError
from ...datasets.sequence import INFRARED, VISIBLE
from ...datasets.times import ASSUMED_RATE, is_sane
from .align import align
from .homography import ESTIMATE, ESTIMATE_PAIRS, check_alignment, read_homography, warp
from .pairing import match_size, warn_of_streams

log = logging.getLogger(__name__)

TIMEOUT = 10.0  # seconds without an image after which a camera counts as disconnected
SHORT_PAUSE = 0.5  # seconds between the image pairs that a registration is estimated from


def is_live(source: str) -> bool:
    """Whether a source is a camera number or the address of a stream, not a path.

    >>> is_live("0"), is_live("rtsp://10.0.0.7/thermal"), is_live("walk.mp4")
    (True, True, False)
    """
    return source.isdigit() or "://" in source


def hide_credentials(source: str) -> str:
    """The address of a stream for messages, without user, password and what follows a question mark.

    >>> hide_credentials("rtsp://admin:p@ss@10.0.0.7/thermal?token=1"), hide_credentials("0")
    ('rtsp://…@10.0.0.7/thermal?…', '0')
    """
    scheme, mark, rest = source.partition("://")
    address, query, _ = rest.partition("?")
    _, user, place = address.rpartition("@")
    return scheme + mark + ("…@" if user else "") + place + ("?…" if query else "")


class Camera:
    """One camera. A thread reads it, so that a slow tracker never gets old images."""

    def __init__(self, source: str, open_capture: Callable[[Any], Any] = cv2.VideoCapture):
        """Raises InputError when the camera cannot be opened."""
        self.source = hide_credentials(source)
        self._capture = open_capture(int(source) if source.isdigit() else source)
        if not self._capture.isOpened():
            remedy = "check its number or address, and that no other program uses it"
            raise InputError(f"camera {self.source}: cannot be opened; {remedy}")
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.rate = rate if is_sane(rate) else ASSUMED_RATE
        if rate > 0 and not is_sane(rate):
            log.warning("camera %s: says %g frames/s, which cannot be; %g is taken", self.source, rate, ASSUMED_RATE)
        self._new_image = threading.Condition()
        self._image: np.ndarray | None = None
        self._count, self._ended = 0, False
        threading.Thread(target=self._read, daemon=True).start()

    def newest(self, last: int) -> tuple[int, np.ndarray] | None:
        """The newest image and its number, which is above `last`: [H, W, 3] uint8 RGB. None when the stream has ended.

        Raises InputError when no image arrives within TIMEOUT seconds.
        """
        with self._new_image:
            if not self._new_image.wait_for(lambda: self._ended or self._count > last, TIMEOUT):
                raise InputError(f"camera {self.source}: no picture for {TIMEOUT:g} seconds; check its connection")
            if self._image is None or self._count <= last:
                return None
            return self._count, cv2.cvtColor(self._image, cv2.COLOR_BGR2RGB)

    def close(self) -> None:
        """Stop the thread, which then releases the camera."""
        with self._new_image:
            self._ended = True

    def _read(self) -> None:
        while not self._ended:
            read, image = self._capture.read()
            with self._new_image:
                self._ended = self._ended or not read
                if read:
                    self._image, self._count = image, self._count + 1
                self._new_image.notify_all()
        self._capture.release()


class LiveFrames:
    """The newest images of one camera or two, frame by frame, until one of the streams ends."""

    def __init__(self, cameras: list[Camera], register: str | None = None):
        """register: as in `pairing.open_frames`. Raises InputError as that does, and where no image arrives."""
        self.cameras = cameras
        self.modalities = (VISIBLE, INFRARED)[: len(cameras)]
        self.rate = min(camera.rate for camera in cameras)
        self.matrix = self._register(register) if len(cameras) == 2 else None

    def __iter__(self) -> Iterator[list[np.ndarray]]:
        """[H, W, 3] uint8 RGB per camera, the infrared image registered to the visible one."""
        try:
            for images in self._newest_images():
                if self.matrix is not None:
                    images[1] = warp(images[1], self.matrix, (images[0].shape[1], images[0].shape[0]))
                yield images
        finally:
            self.close()

    def close(self) -> None:
        """Release the cameras."""
        for camera in self.cameras:
            camera.close()

    def _newest_images(self) -> Iterator[list[np.ndarray]]:
        seen = [0] * len(self.cameras)
        while True:
            pictures = [camera.newest(number) for camera, number in zip(self.cameras, seen, strict=True)]
            taken = [picture for picture in pictures if picture is not None]
            if len(taken) < len(self.cameras):
                return
            seen = [number for number, _ in taken]
            yield [image for _, image in taken]

    def _register(self, register: str | None) -> np.ndarray | None:
        newest = self._newest_images()
        pairs = [next(newest, None)]
        while register == ESTIMATE and len(pairs) < ESTIMATE_PAIRS:
            time.sleep(SHORT_PAUSE)
            pairs.append(next(newest, None))
        whole = [pair for pair in pairs if pair is not None]
        if not whole:
            raise InputError(f"cameras {' and '.join(camera.source for camera in self.cameras)}: no first picture")
        warn_of_streams(whole[0], " and ".join(f"camera {camera.source}" for camera in self.cameras))
        if register == ESTIMATE:
            return check_alignment(align([visible for visible, _ in whole], [infrared for _, infrared in whole]))
        if register is not None:
            return read_homography(register)
        visible, infrared = whole[0]
        first, second = self.cameras
        return match_size(visible, infrared, (f"camera {first.source}", f"camera {second.source}"))


def open_cameras(visible: str, infrared: str | None, register: str | None = None) -> LiveFrames:
    """Both cameras, or the visible one alone. Raises InputError as `Camera` and `LiveFrames` do."""
    cameras = [Camera(source) for source in (visible, infrared) if source is not None]
    return LiveFrames(cameras, register)
