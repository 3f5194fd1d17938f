import importlib.util
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from lib.core.config import load_config
from lib.core.errors import InputError
from lib.core.onnx_file import PACKAGES
from lib.models import build_method, build_model
from lib.test.export.check import TOLERANCE
from lib.test.export.graphs import make_graphs
from lib.test.export.opencv import check_network, compare_opencv, write_opencv
from lib.test.tracker.crop_tracker import CropTracker

DEMO = Path(__file__).parents[3] / "docs/demo_sequence/visible"
OPENCV = ["TEST.SIZE_LR=0.4", "TEST.WINDOW_INFLUENCE=0.43", "TEST.PENALTY_K=0.055"]  # OpenCV's own constants

needs_onnx = pytest.mark.skipif(
    any(importlib.util.find_spec(package) is None for package in PACKAGES), reason="needs the packages of [export]"
)


def network(*changes):
    """SiamRPN with random weights, and its configuration."""
    torch.manual_seed(0)
    cfg = load_config("dasiamrpn", "siamrpn_vot", [*OPENCV, *changes])
    return build_model(cfg).eval(), cfg


@torch.no_grad()
def make_follower(model):
    """Class kernels are the middle of the template's features, boxes are the anchors: it follows without training."""
    head, same = model.rpn_head, range(model.backbone.channels)
    for parameter in head.parameters():
        parameter.zero_()
    for search in (head.search_cls_conv, head.search_loc_conv):
        search.weight[same, same, 1, 1] = 1
    kernels = head.template_cls_conv.weight.view(2, head.anchors, len(same), len(same), 3, 3)
    kernels[1, :, same, same, 1, 1] = 1e-3
    return model


@needs_onnx
def test_three_files_say_what_the_network_says(tmp_path):
    model, _ = network("MODEL.CORR_SCALE=0.015625")
    model.backbone.features[1].running_mean.normal_()
    model.backbone.features[15].running_var.uniform_(0.5, 2)
    worst = compare_opencv(check_network(model), write_opencv(model, tmp_path))
    assert set(worst) == {"logits", "deltas"}
    assert 0 < max(worst.values()) < TOLERANCE["fp32"]


@needs_onnx
@pytest.mark.skipif(not hasattr(cv2, "TrackerDaSiamRPN"), reason="this OpenCV has no TrackerDaSiamRPN")
def test_opencv_follows_as_we_do(tmp_path):
    model, cfg = network()
    paths = write_opencv(make_follower(model), tmp_path)
    options = cv2.TrackerDaSiamRPN_Params()
    options.model, options.kernel_cls1, options.kernel_r1 = (str(paths[name]) for name in ("model", "cls", "loc"))
    theirs, ours = cv2.TrackerDaSiamRPN_create(options), CropTracker(build_method(model, cfg), "cpu")
    frames = [cv2.imread(str(path)) for path in sorted(DEMO.iterdir())[:8]]
    box = np.array([138, 28, 50, 64])
    theirs.init(frames[0], tuple(box.tolist()))
    targets = ours.start([[frames[0][..., ::-1]]], [box.astype(float)])
    for frame in frames[1:]:
        targets = ours.track(targets, [[frame[..., ::-1]]])
        found, other = theirs.update(frame)
        assert found
        # OpenCV cuts its boxes to whole pixels, and its crops around whole pixels.
        np.testing.assert_allclose(other, targets[0].box, rtol=0, atol=2)
    assert np.abs(targets[0].box - box).max() > 3  # both have moved


def test_what_opencv_cannot_run_is_refused():
    with pytest.raises(InputError, match="512 channels and 5 anchors; OpenCV's tracker knows networks of 256"):
        check_network(network("MODEL.BACKBONE.WIDTH=2")[0])
    other = build_model(load_config("iimf_track", "tiny"))
    with pytest.raises(InputError, match="IIMFTrack is not of the SiamRPN family; use --format onnx"):
        check_network(other)


def test_a_siamese_tracker_is_sent_to_opencv():
    model, cfg = network()
    with pytest.raises(InputError, match="for the networks of SiamRPN there is --format opencv"):
        make_graphs(build_method(model, cfg))
