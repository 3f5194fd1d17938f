"""SiamMask: the public numbers at every stage, tracked steps with masks and rotated boxes, losses."""

import zlib

import cv2
import golden_discriminative as golden
import golden_pysot as pysot
import golden_siamdma
import micro
import numpy as np
import pytest
import torch
from golden_stages import CPU
from golden_stages_online import STAGES

from lib.core.config import load_config
from lib.layers.losses import balanced_cross_entropy
from lib.layers.siamese.anchor_labels import Labels
from lib.layers.siamese.anchors import anchor_boxes, anchor_shapes
from lib.models.siamese.siammask import Prediction
from lib.models.siamese.siamrpn_training import AnchorTraining

NAME = "siammask_r50_l3"
MASKS = "TEST.MASK=true"


@pytest.mark.slow
def test_weights_of_the_recipe():
    known = golden.read(NAME)["weights"]
    floats = {key: value for key, value in pysot.public_weights(NAME).items() if value.is_floating_point()}
    crc = 0
    for key in sorted(floats):
        crc = zlib.crc32(floats[key].numpy().tobytes(), crc)
    assert crc == known["digest"]["crc32_sorted_keys_float32_bytes"]
    assert sum(value.numel() for value in floats.values()) == known["digest"]["float_elements"]


@pytest.mark.slow
def test_every_stage():
    found = {stage: golden.worst(tensor, record) for stage, tensor, record in STAGES[NAME](CPU)}
    assert set(found) == set(golden.read(NAME)["stages"]) and max(found.values()) <= 1, found


@pytest.mark.slow
@torch.no_grad()
def test_losses():
    known, n = golden.read(NAME)["losses"], 25
    model = pysot.public_model(NAME)
    z, x = pysot.inputs(NAME)
    found = model(model.embed(z), x)
    classes = torch.from_numpy(np.random.default_rng(91).integers(-1, 2, (2, 5, n, n)))
    deltas, weight = 0.5 * golden.gauss(92, 2, 4, 5, n, n), golden.gauss(93, 2, 5, n, n).abs() / 100
    rules = AnchorTraining.from_config(load_config(*pysot.MODELS[NAME]), 4)
    cls = balanced_cross_entropy(found.logits, classes)
    loc = rules.box_loss(found.deltas, Labels(classes, deltas, weight))
    assert cls.item() == pytest.approx(known["values"]["cls_loss"], rel=1e-4)
    assert loc.item() == pytest.approx(known["values"]["loc_loss"], rel=1e-4)
    total = rules.cls_weight * cls + rules.loc_weight * loc
    assert total.item() == pytest.approx(known["values"]["total_without_mask"], rel=1e-4)


def test_anchors():
    known = golden.read(NAME)["tracker"]
    anchors = anchor_boxes(anchor_shapes([0.33, 0.5, 1, 2, 3], [8], 8), 25, 8)
    assert golden.worst(anchors.flatten(1).T, known["anchors_cxcywh"]) <= 1


def stub_mask(step):
    """The logits [1, 127, 127] of a step with given outputs."""
    if "mask_seed" in step:
        gain, offset = step["mask_gain_offset"]
        return torch.from_numpy(gain * golden_siamdma.blocky(step["mask_seed"], (1, 1, 127, 127)) + offset)[0].float()
    x, y, long, short, degrees = step["mask_ellipse_cx_cy_a_b_deg"]
    row, column = np.mgrid[:127, :127].astype(np.float64)
    angle = np.radians(degrees)
    across = (column - x) * np.cos(angle) + (row - y) * np.sin(angle)
    down = -(column - x) * np.sin(angle) + (row - y) * np.cos(angle)
    return torch.from_numpy((4 - 4 * ((across / long) ** 2 + (down / short) ** 2)).astype(np.float32))[None]


def expect_mask(target, step, threshold=0.15):
    """The mask in the frame, its largest region and the rotated box, within what versions of OpenCV differ in."""
    record, (column, row, _) = step["mask"], step["best_anchor_row_col"][::-1]
    (across, _, x), (_, down, y) = record["affine"]  # of the chosen cell's mask; ours begins at the first cell's
    assert target.mask.scale == pytest.approx((across, down), rel=1e-6)
    cells = (np.array([x, y]) - target.mask.origin) / target.mask.scale / 8
    np.testing.assert_allclose(cells, (column, row), rtol=0, atol=1e-4)
    found = target.mask.in_frame(target.mask.frame)
    whole = record["mask_in_image"]
    places = np.linspace(0, found.size - 1, 64).astype(int)
    np.testing.assert_allclose(found.ravel()[places], whole["samples"], rtol=0, atol=1e-4)
    assert found.mean() == pytest.approx(whole["mean"], abs=1e-6)
    assert (
        abs((found > threshold).sum() - record["pixels_above_threshold"]) <= record["pixels_within_2e_3_of_threshold"]
    )
    known = np.array(record["polygon"]).reshape(4, 2)
    distance = np.linalg.norm(target.corners[:, None] - known[None], axis=2)
    allowed = 2 + record["corner_set_shift_for_threshold_plus_minus_0_005"]
    assert max(distance.min(0).max(), distance.min(1).max()) <= allowed
    outline = target.mask.outline(threshold, 100)
    assert (outline is not None) == record["from_contour"]
    if outline is not None:
        assert abs(cv2.contourArea(outline) - record["largest_areas"][0]) <= 20
        np.testing.assert_allclose(cv2.boundingRect(outline), record["contour_box_xywh"], rtol=0, atol=1)


@pytest.mark.parametrize("case", [0, 1])
def test_tracked_steps_with_given_outputs(case):
    cfg = load_config(*pysot.MODELS[NAME], [MASKS])
    known = golden.read(NAME)["tracker"]["stub_cases"][case]
    watched = pysot.Watched(micro.model("siammask"), cfg)
    network = watched.method.network
    target = watched.start(known["init_rect"])
    assert golden.worst(watched.shown[0][0, 0], known["init"]["crop_z"]) <= 1
    for step in known["steps"]:
        prediction = Prediction(
            1.5 * golden.gauss(step["cls_seed"], 1, 2, 5, 25, 25), 0.3 * golden.gauss(step["loc_seed"], 1, 4, 5, 25, 25)
        )
        network.forward = lambda memory, search, given=prediction: given
        mask = stub_mask(step)
        network.masks = lambda prediction, cells, given=mask: given
        target, proposals = watched.step(target, step, lambda given=prediction: given)
        assert golden.worst(proposals.boxes[0].T, step["pred_cxcywh"]) <= 1
        expect_mask(target, step)


@pytest.mark.slow
def test_tracked_steps_with_the_network():
    known = golden.read(NAME)["tracker"]["network_in_the_loop"]
    watched = pysot.Watched(pysot.public_model(NAME), load_config(*pysot.MODELS[NAME], [MASKS]))
    predict, seen = watched.method.predict, []
    watched.method.predict = lambda memory, pixels: seen.append(predict(memory, pixels)) or seen[-1]
    target = watched.start(known["init_rect"])
    for step in known["steps"]:
        target, proposals = watched.step(target, step, lambda: seen[-1])
        assert golden.worst(proposals.boxes[0].T, step["pred_cxcywh"]) <= 1
        expect_mask(target, step)
