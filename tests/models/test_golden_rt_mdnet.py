"""RT-MDNet gives the numbers of the published network, from pixels to the best candidates and the ridge regression."""

import golden_online as golden
import numpy as np
import pytest
import torch
from golden_stages import CPU
from golden_stages_online import STAGES, rt_mdnet_scene

from lib.layers.trunks.mdnet import FIELD, binary_loss
from lib.models.online.box_regression import fit_regressor, predict_changes, regress_boxes
from lib.models.online.mdnet_boxes import overlaps_with
from lib.models.online.mdnet_scene import Scene, grow, read_boxes, scene_around

STORED = golden.read("rt_mdnet")
PIPELINE, RIDGE = STORED["pipeline"], STORED["bbox_regression"]


@pytest.fixture(scope="module")
def model():
    return golden.original_model("rt_mdnet")


def test_stages():
    found = {stage: (tensor, golden.worst(tensor, record)) for stage, tensor, record in STAGES["rt_mdnet"](CPU)}
    assert set(found) == set(STORED["stages"])
    assert max(gap for _, gap in found.values()) <= 1, found
    scores, _ = found["fc6 scores (8,2)"]
    assert binary_loss(scores[:3], scores[3:]).item() == pytest.approx(STORED["binary_loss"]["value"], rel=1e-4)


@torch.no_grad()
def test_from_a_frame_to_the_best_candidates_and_box_regression(model):
    image = torch.from_numpy(golden.image_u8(31, 240, 320)).permute(2, 0, 1)
    target = np.array(PIPELINE["target_xywh"])
    boxes = np.array(PIPELINE["candidates_xywh"], np.float32)
    scene = scene_around(boxes, target, 107, 1.2)
    np.testing.assert_allclose(scene.box, PIPELINE["scene_xywh"], rtol=1e-5)
    assert list(scene.size) == PIPELINE["crop_size_wh"]
    given = torch.from_numpy(boxes)
    rois = grow(given, *(torch.tensor(part, dtype=torch.float32) for part in scene), 1.2)
    rois[:, 2:] -= FIELD
    np.testing.assert_allclose(rois, np.array(PIPELINE["rois"])[:, 1:], atol=2e-3)
    found = {}
    for stage, tensor, record in rt_mdnet_scene():
        assert golden.worst(tensor, record) <= 1, stage
        found[stage] = tensor
    scores = found["scores"]
    best = scores[:, 1].topk(5)
    assert best.indices.tolist() == PIPELINE["top5_index"]
    assert best.values.mean().item() == pytest.approx(PIPELINE["top5_mean"], rel=1e-4)
    np.testing.assert_allclose(boxes[best.indices].mean(0), PIPELINE["target_after"], rtol=1e-5)

    examples = torch.tensor(RIDGE["examples_xywh"])
    near = read_boxes(model, image, torch.zeros(2), scene, examples, 1.2)
    truth = torch.tensor(RIDGE["gt_xywh"])
    np.testing.assert_allclose(overlaps_with(examples.numpy(), truth.numpy()), RIDGE["overlap"], atol=1e-5)
    regressor = fit_regressor(near, examples, truth, 1000.0)
    np.testing.assert_allclose(regressor.intercept, RIDGE["intercept"], rtol=1e-3, atol=1e-6)
    changes = predict_changes(regressor, near)[:8]
    np.testing.assert_allclose(changes, RIDGE["raw_prediction_first8"], rtol=1e-3, atol=1e-5)
    moved = regress_boxes(regressor, near, examples, (240, 320))
    np.testing.assert_allclose(moved[:8], RIDGE["boxes_after_first8"], atol=1e-2)


def test_a_view_that_ends_with_the_scene_gives_the_same_features_as_the_whole_frame(model):
    from lib.models.online.mdnet_scene import place_scene

    image = torch.from_numpy(golden.image_u8(31, 240, 320)).permute(2, 0, 1)
    boxes = np.array([[-3.0, -2, 30, 30], [20, 14, 38, 30]], np.float32)
    scene = Scene(*scene_around(boxes, boxes[0], 107, 1.2))
    view = place_scene([scene], boxes[0], (240, 320))
    (x, y), (width, height) = view.corner, view.extent
    part = image[:, y : y + height, x : x + width]
    with torch.no_grad():
        whole = read_boxes(model, image, torch.zeros(2), scene, torch.from_numpy(boxes), 1.2)
        seen = read_boxes(model, part, torch.tensor(view.corner).float(), scene, torch.from_numpy(boxes), 1.2)
    torch.testing.assert_close(seen, whole)
