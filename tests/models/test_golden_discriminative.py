"""ATOM and the DiMP family: the public networks' numbers at every stage."""

import zlib

import golden_discriminative as golden
import pytest
import torch

from lib.core.boxes import cxcywh_to_xywh
from lib.layers.filters.box_optimizer import BoxSteps, climb
from lib.layers.filters.target_filter import apply_filter

DIMP = ("dimp50", "superdimp", "prdimp50")
ALL = (*DIMP, "atom")


def expect(name, stage, tensor):
    assert golden.worst(tensor, golden.read(name)["stages"][stage]) <= 1, (name, stage)


@pytest.fixture(scope="module", params=DIMP)
def run(request):
    """A network with the recipe's weights, and the backbone's maps of training images and test image."""
    name = request.param
    model = golden.public_model(name)
    with torch.no_grad():
        maps = dict(zip(("train", "test"), map(model.extract, golden.inputs(name)), strict=True))
    return name, model, maps


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL)
def test_weights_of_the_recipe(name):
    crc, known = 0, golden.read(name)["weights"]["digest"]
    weights = golden.public_weights(name)
    for key in sorted(key for key, value in weights.items() if value.is_floating_point()):
        crc = zlib.crc32(weights[key].numpy().tobytes(), crc)
    assert crc == known["crc32_sorted_keys_float32_bytes"]


@pytest.mark.slow
@torch.no_grad()
def test_classifier(run):
    name, model, maps = run
    recipe = golden.read(name)["recipe"]
    for part, own in maps.items():
        expect(name, f"backbone.{part}.layer2", own.fine)
        expect(name, f"backbone.{part}.layer3", own.coarse)
    train, test = (model.classifier.extract(own.coarse) for own in maps.values())
    expect(name, "clf_feat.train (images,sequences,C,H,W)", train[:, None])
    expect(name, "clf_feat.test", test[:, None])
    boxes, optimizer = torch.tensor(recipe["train_boxes_xywh"])[None], model.classifier.filter_optimizer
    target = optimizer.make_target(train[None], boxes, model.classifier.size)
    if name == "prdimp50":
        expect(name, "optimizer.label_density (3,1,H,W)", target[0, :, None])
    else:
        stages = ("optimizer.label_map (3,H,W)", "optimizer.target_mask", "optimizer.spatial_weight")
        for stage, part in zip(stages, target, strict=True):
            expect(name, stage, part[0])
    course = model.classifier.learn(train[None], boxes, iterations=5, with_losses=True)
    expect(name, "filter.init", course.filters[0])
    for step in range(1, 6):
        expect(name, f"filter.iter{step}", course.filters[step])
    expect(name, "filter.iter5_minus_init", course.filters[5] - course.filters[0])
    expect(name, "filter.losses (6)", torch.cat(course.losses))
    scores = apply_filter(test[:, None], course.filters[5])
    expect(name, "score.test.init", apply_filter(test[:, None], course.filters[0]))
    expect(name, "score.test.iter5", scores)
    expect(name, "score.train.iter5", apply_filter(train[None], course.filters[5])[0][:, None])
    if name == "prdimp50":
        expect(name, "score.test.iter5.softmax", model.likelihood(scores))
    weighted = model.classifier.learn(
        train[None], boxes, torch.tensor([[0.5, 0.3, 0.2]]), iterations=5, with_losses=True
    )  # fmt: skip
    expect(name, "filter.iter5_minus_init.sample_weight_.5_.3_.2", weighted.filters[5] - weighted.filters[0])
    expect(name, "filter.losses.sample_weight", torch.cat(weighted.losses))


@pytest.mark.slow
def test_boxes(run):
    name, model, maps = run
    known, network = golden.read(name), model.iou_net
    first = torch.tensor(known["recipe"]["train_boxes_xywh"])[:1]
    proposals = torch.tensor(known["recipe"]["test_proposals_xywh"])[None]
    check_boxes(name, network, [part[:1] for part in maps["train"]], maps["test"], first, proposals)


def check_boxes(name, network, reference, search, box, proposals):
    """Every stage of IoU-Net."""
    with torch.no_grad():
        modulation, features = network.modulate(*reference, box), network.embed(*search)
    expect(name, "iou.modulation3 (fc34_3r)", modulation.fine)
    expect(name, "iou.modulation4 (fc34_4r)", modulation.coarse)
    expect(name, "iou.feat3 (test)", features.fine)
    expect(name, "iou.feat4 (test)", features.coarse)
    free = proposals.clone().requires_grad_()
    found = network(modulation, features, free)
    expect(name, "iou.pred (1,8)", found)
    (slope,) = torch.autograd.grad(found.sum(), free)
    expect(name, "iou.grad_wrt_boxes (1,8,4)", slope)
    stages = golden.read(name)["stages"]
    (refined,) = (stage for stage in stages if stage.startswith("iou.refined_boxes"))
    relative = "relative" in refined
    steps = BoxSteps(10, 0.0025, relative=True) if relative else BoxSteps(5, 1.0, relative=False)
    boxes, scores = climb(lambda boxes: network(modulation, features, boxes), proposals, steps)
    expect(name, refined, boxes[0])
    expect(name, "iou.refined_iou (at the last but one iterate)", scores[0])
    if "iou.refined_iou_recomputed (at the returned boxes)" in stages:
        with torch.no_grad():
            again = network(modulation, features, boxes)
        expect(name, "iou.refined_iou_recomputed (at the returned boxes)", again)


@pytest.mark.slow
def test_atom():
    model, known = golden.public_model("atom"), golden.read("atom")
    with torch.no_grad():
        maps = dict(zip(("train", "test"), map(model.extract, golden.inputs("atom")), strict=True))
    for part, own in maps.items():
        expect("atom", f"backbone.{part}.layer2", own.fine)
        expect("atom", f"backbone.{part}.layer3", own.coarse)
        expect("atom", f"clf.samples_normalised.{part}", model.features(own))
    first, proposals = known["recipe"]["target_box_xywh"], known["recipe"]["proposals_xywh"]
    boxes = torch.tensor([first]), torch.tensor([proposals])
    check_boxes("atom", model.iou_net, [part[:1] for part in maps["train"]], maps["test"], *boxes)


@pytest.mark.slow
@torch.no_grad()
def test_the_network_alone_learns_from_its_template(run):
    """`embed` and `forward` are the blocks above with one image."""
    name, model, maps = run
    train, test = golden.inputs(name)
    box = torch.tensor([[0.45, 0.4, 0.3, 0.25]])
    memory = model.embed(train[:1, None], box)
    features = model.classifier.extract(maps["train"].coarse[:1])
    course = model.classifier.learn(features[:, None], cxcywh_to_xywh(box)[:, None] * train.shape[-1], iterations=5)
    torch.testing.assert_close(memory.filters, course.filters[-1], rtol=1e-3, atol=1e-6)
    scores = apply_filter(model.classifier.extract(maps["test"].coarse)[:, None], memory.filters)[:, 0]
    torch.testing.assert_close(model(memory, test[:, None]).scores, scores, rtol=1e-3, atol=1e-5)
