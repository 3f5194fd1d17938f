"""SiamRPN++: the public numbers at every stage, tracked steps, losses."""

import zlib

import golden_discriminative as golden
import golden_pysot as pysot
import micro
import numpy as np
import pytest
import torch

from lib.core.config import load_config
from lib.layers.losses import balanced_cross_entropy
from lib.layers.siamese.anchor_labels import Labels
from lib.layers.siamese.anchors import anchor_boxes, anchor_shapes
from lib.models.siamese.network import hann_window
from lib.models.siamese.siamrpn import Prediction
from lib.models.siamese.siamrpn_training import AnchorTraining

R50, ALEX = "siamrpn_r50_l234_dwxcorr", "siamrpn_alex_dwxcorr"
#: Narrow networks of the same kind, whose outputs are replaced.
STUBS = {R50: "siamrpnpp", ALEX: "siamrpnpp-alex"}
both = pytest.mark.parametrize("name", [R50, ALEX])


def cells(name):
    return golden.read(name)["tracker"]["params"]["score_size"]


def expect(name, stage, tensor):
    assert golden.worst(tensor, golden.read(name)["stages"][stage]) <= 1, stage


@pytest.mark.slow
@both
def test_weights_of_the_recipe(name):
    known = golden.read(name)["weights"]
    floats = {key: value for key, value in pysot.public_weights(name).items() if value.is_floating_point()}
    crc = 0
    for key in sorted(floats):
        crc = zlib.crc32(floats[key].numpy().tobytes(), crc)
    assert crc == known["digest"]["crc32_sorted_keys_float32_bytes"]


@pytest.mark.slow
@torch.inference_mode()
def test_every_stage_of_the_resnet():
    model = pysot.public_model(R50)
    for time, image in zip("zx", pysot.inputs(R50), strict=True):
        maps = model.backbone(image)
        for level in (3, 4, 5):
            expect(R50, f"backbone.{time}.layer{level - 1}", maps[level][:, 0])
        features = model.neck(maps, template=time == "z")
        for number in range(3):
            expect(R50, f"neck.{time}.layer{number + 2}", features[:, number, 0])
        if time == "z":
            kernels = model.rpn_head.make_kernels(features[:, :, 0].unbind(1))
    for number, (blocks, search) in enumerate(zip(model.rpn_head.levels.values(), features.unbind(1), strict=True)):
        for block, kernel, kind in ((blocks.cls, kernels[0], "cls"), (blocks.loc, kernels[1], "loc")):
            found = block.read(block.correlate(kernel[:, number], search[:, 0]))
            expect(R50, f"head.layer{number + 2}.{kind}", found)
    found = model.rpn_head(features[:, :, 0].unbind(1), *kernels)
    expect(R50, "head.cls", found[0].flatten(1, 2))
    expect(R50, "head.loc", found[1].flatten(1, 2))


@pytest.mark.slow
@torch.inference_mode()
def test_every_stage_of_the_alexnet():
    model = pysot.public_model(ALEX)
    z, x = pysot.inputs(ALEX)
    expect(ALEX, "backbone.z.features", model.backbone(z[:, 0]))
    expect(ALEX, "backbone.x.features", model.backbone(x[:, 0]))
    found = model(model.embed(z), x)
    expect(ALEX, "head.cls", found.logits.flatten(1, 2))
    expect(ALEX, "head.loc", found.deltas.flatten(1, 2))


@both
def test_anchors_and_window(name):
    known = golden.read(name)["tracker"]
    shapes = anchor_shapes([0.33, 0.5, 1, 2, 3], [8], 8)
    assert shapes.tolist() == known["base_anchors_wh"]
    assert golden.worst(anchor_boxes(shapes, cells(name), 8).flatten(1).T, known["anchors_cxcywh"]) <= 1
    assert golden.worst(hann_window(cells(name), torch.device("cpu")).flatten().repeat(5), known["window"]) <= 1


@pytest.mark.slow
@both
@torch.no_grad()
def test_losses(name):
    known, n = golden.read(name)["losses"], cells(name)
    model = pysot.public_model(name)
    z, x = pysot.inputs(name)
    found = model(model.embed(z), x)
    classes = torch.from_numpy(np.random.default_rng(91).integers(-1, 2, (2, 5, n, n)))
    deltas, weight = 0.5 * golden.gauss(92, 2, 4, 5, n, n), golden.gauss(93, 2, 5, n, n).abs() / 100
    rules = AnchorTraining.from_config(load_config(*pysot.MODELS[name]), 5)
    cls = balanced_cross_entropy(found.logits, classes)
    loc = rules.box_loss(found.deltas, Labels(classes, deltas, weight))
    assert cls.item() == pytest.approx(known["values"]["cls_loss"], rel=1e-4)
    assert loc.item() == pytest.approx(known["values"]["loc_loss"], rel=1e-4)
    total = rules.cls_weight * cls + rules.loc_weight * loc
    assert total.item() == pytest.approx(known["values"]["total_loss"], rel=1e-4)


@both
@pytest.mark.parametrize("case", [0, 1])
def test_tracked_steps_with_given_outputs(name, case):
    cfg, n = load_config(*pysot.MODELS[name]), cells(name)
    known = golden.read(name)["tracker"]["stub_cases"][case]
    watched = pysot.Watched(micro.model(STUBS[name]), cfg)
    target = watched.start(known["init_rect"])
    assert golden.worst(watched.shown[0][0, 0], known["init"]["crop_z"]) <= 1
    for step in known["steps"]:
        prediction = Prediction(
            1.5 * golden.gauss(step["cls_seed"], 1, 2, 5, n, n), 0.3 * golden.gauss(step["loc_seed"], 1, 4, 5, n, n)
        )
        watched.method.network.forward = lambda memory, search, given=prediction: given
        target, proposals = watched.step(target, step, lambda given=prediction: given)
        assert golden.worst(proposals.boxes[0].T, step["pred_cxcywh"]) <= 1
        assert (proposals.penalty * proposals.scores)[0, step["best_index"]].item() * cfg.TEST.SIZE_LR == pytest.approx(
            step["lr_t"], rel=1e-5
        )


@pytest.mark.slow
@both
def test_tracked_steps_with_the_network(name):
    known = golden.read(name)["tracker"]["network_in_the_loop"]
    watched = pysot.Watched(pysot.public_model(name), load_config(*pysot.MODELS[name]))
    predict, seen = watched.method.predict, []
    watched.method.predict = lambda memory, pixels: seen.append(predict(memory, pixels)) or seen[-1]
    target = watched.start(known["init_rect"])
    assert golden.worst(watched.shown[0][0, 0], known["init"]["crop_z"]) <= 1
    for step in known["steps"]:
        target, proposals = watched.step(target, step, lambda: seen[-1])
        assert golden.worst(seen[-1].logits.flatten(1, 2), step["cls"]) <= 1
        assert golden.worst(proposals.boxes[0].T, step["loc"]) <= 1, "the record has the decoded boxes under this name"
