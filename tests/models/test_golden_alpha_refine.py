"""Alpha-Refine against the published model's numbers: stages of the network, crops, boxes, masks, a refined frame."""

import functools

import golden_alpha_refine as golden
import numpy as np
import pytest
import torch

from lib.core.boxes import clip_corners, xywh_to_xyxy, xyxy_to_xywh
from lib.core.config import load_config
from lib.core.crop import cut
from lib.core.frame import Frame
from lib.core.target import Target
from lib.core.target_mask import TargetMask
from lib.models import build_method, build_model
from lib.test.tracker.crop_tracker import CropTracker

MAPS = ("conv1", "layer1", "layer2", "layer3")
CHANGED = ["TEST.CLIP=false", "TEST.MASK=true"]


@functools.cache
def model(case):
    return golden.public_model(case)


def tracker(case, *changes):
    cfg = load_config("alpha_refine", "secm_r34", ["MODEL.PRETRAIN_FILE=''", *changes])
    return CropTracker(build_method(model(case), cfg), "cpu")


@torch.inference_mode()
def stages(case):
    """The stages of the file by name, of our network."""
    network, (template, search) = model(case), golden.inputs(case)
    seen = {}

    def keep(name, module):
        return module.register_forward_hook(lambda part, given, made: seen.update({name: made}))

    head = network.mask_head
    hooks = [keep(f"mask_{name}", getattr(head, name)) for name in ("post0", "post1", "post2")]
    hooks += [keep(f"feat_adjust_{number}", part) for number, part in enumerate(network.feat_adjust)]
    hooks += [keep("post_corr", network.neck.post_corr)]
    memory = network.embed(template)
    prediction = network(memory, search)
    for hook in hooks:
        hook.remove()
    maps = network.backbone(search[:, 0])
    return {
        "template_layer3": network.backbone(template[:, 0])["layer3"],
        "ref_kernel": memory.kernel,
        **{f"search_{name}": maps[name] for name in MAPS},
        "pixel_corr": network.neck.correlate(memory.kernel, maps["layer3"]),
        **seen,
        "fusion_feat": prediction.features,
        "score_tl": prediction.logits[:, :1],
        "score_br": prediction.logits[:, 1:],
        "corner": prediction.corners,
        "mask_logit": prediction.mask,
        "mask": prediction.mask.sigmoid(),
    }


@pytest.mark.slow
@pytest.mark.parametrize("case", golden.CASES)
def test_weights_and_inputs_are_the_recipes(case):
    weights = golden.public_weights(case)
    for key, check in golden.STAGES["weights_recipe"]["checks"][case].items():
        assert weights[key].double().sum().item() == pytest.approx(check["sum"], abs=1e-4)
        assert weights[key].flatten()[0].item() == pytest.approx(check["first"], rel=1e-6)
    stored = golden.STAGES["cases"][case]
    for name, image in zip(("template", "search"), golden.inputs(case), strict=True):
        np.testing.assert_array_equal(golden.samples(image), np.float32(stored[name]["samples"]))


@pytest.mark.slow
@pytest.mark.parametrize("case", golden.CASES)
def test_every_stage_of_the_network(case):
    stored, found = golden.STAGES["cases"][case]["stages"], stages(case)
    assert set(stored) == set(found)
    for name, expected in stored.items():
        value = found[name]
        assert list(value.shape) == expected["shape"], name
        atol = max(20 * expected["fp64_max_abs_diff"], 1e-6)
        np.testing.assert_allclose(golden.samples(value), expected["samples"], rtol=1e-4, atol=atol, err_msg=name)
        numbers = value.double()
        summary = [numbers.mean(), numbers.std(correction=0), numbers.min(), numbers.max()]
        wanted = [expected[key] for key in ("mean", "std", "min", "max")]
        np.testing.assert_allclose(summary, wanted, rtol=1e-4, atol=atol, err_msg=name)


@functools.cache
def narrow_method():
    """Geometry has nothing to do with the network."""
    cfg = load_config("alpha_refine", "secm_r34", ["MODEL.PRETRAIN_FILE=''", "MODEL.BACKBONE.WIDTH=0.0625"])
    return build_method(build_model(cfg), cfg)


def view_of(box):
    return narrow_method().views(Target("any", np.array(box, np.float64)), Frame([golden.frame("A")], (240, 320)))[0]


@pytest.mark.parametrize("row", golden.GEOMETRY["crops"], ids=lambda row: str(row["box"]))
def test_crops(row):
    view = view_of(row["box"])
    assert (*view.corner, *view.extent) == (row["x1"], row["y1"], row["ws"], row["hs"])
    assert view.scale == pytest.approx((row["w_f"], row["h_f"]))
    top, bottom, left, right = view.outside((240, 320))
    assert [left, right, top, bottom] == row["pad"]
    crop = cut(golden.frame("A"), view)
    assert np.abs(golden.samples(crop).astype(int) - row["patch_samples"]).max() <= 1
    assert crop.mean() == pytest.approx(row["patch_mean"], abs=0.05)


@pytest.mark.parametrize("row", golden.GEOMETRY["transform"], ids=lambda row: str(row["box_extract"]))
def test_labels_of_training(row):
    corners = xywh_to_xyxy(view_of(row["box_extract"]).to_crop(np.array(row["box_in"])) * 256).clip(0, 256)
    np.testing.assert_allclose(xyxy_to_xywh(corners), row["out_xywh"], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("row", golden.GEOMETRY["mask_back"], ids=lambda row: str(row["box"]))
def test_masks_in_the_frame(row):
    values, view = np.zeros((256, 256), np.float32), view_of(row["box"])
    values[64:192, 80:176] = 1
    values[100:120, 100:120] = 0.3
    mask = TargetMask(values, view.corner, view.extent).in_frame((240, 320))
    assert list(mask.shape) == row["shape"] and int((mask > 0.5).sum()) == row["sum_gt_05"]
    assert mask.mean() == pytest.approx(row["mean"], rel=1e-5)
    np.testing.assert_allclose(golden.samples(mask), row["samples"], atol=1e-5)


@pytest.mark.parametrize("row", golden.GEOMETRY["bbox_clip"], ids=lambda row: str(row["xyxy"]))
def test_clipping(row):
    clipped = clip_corners(xyxy_to_xywh(np.array(row["xyxy"], np.float64)), *row["hw"])
    np.testing.assert_allclose(xywh_to_xyxy(clipped), row["out"])


@pytest.mark.slow
@pytest.mark.parametrize("row", golden.GEOMETRY["end_to_end"]["cases"], ids=lambda row: str(row["cur_box"]))
def test_a_refined_frame(row):
    """The head's corners are in the wrong order here; ours are put in order and then clipped."""
    refiner = tracker(golden.BLOCKS, *CHANGED)
    frame = golden.GEOMETRY["end_to_end"]
    first = golden.frame(frame["init_frame"])
    (target,) = refiner.start([[first]], [np.array(row["init_box"])])
    (target,) = refiner.correct([target], [np.array(row["cur_box"])])
    (found,) = refiner.track([target], [[golden.frame(frame["current_frame"])]])
    x, y, w, h = row["refined_xywh"]
    np.testing.assert_allclose(found.box, [x, y + h, w, -h], atol=2e-3)
    mask = found.mask.in_frame((240, 320))
    assert mask.mean() == pytest.approx(row["mask_mean"], rel=1e-4)
    np.testing.assert_allclose(golden.samples(mask), row["mask_samples"], atol=1e-4)
    (clipped,) = tracker(golden.BLOCKS).track([target], [[golden.frame(frame["current_frame"])]])
    x1, y1, x2, y2 = xywh_to_xyxy(found.box)
    np.testing.assert_allclose(xywh_to_xyxy(clipped.box), [max(0, x1), max(0, y1), min(x2, 320), min(y2, 240)])
    assert clipped.mask is None
