"""SiamRPN: the published numbers, anchors, labels, losses, weights under every name."""

import math

import golden_siamrpn as golden
import micro
import pytest
import torch

from lib.core.boxes import cxcywh_to_xyxy, iou_and_union, xywh_to_cxcywh, xyxy_to_xywh
from lib.core.config import load_config
from lib.core.errors import InputError
from lib.layers.correlation import correlate, correlate_grouped
from lib.layers.losses import balanced_cross_entropy
from lib.layers.siamese.anchor_labels import LabelRule, draw_order, first_in_order, near_cells
from lib.layers.siamese.anchors import anchor_boxes, anchor_shapes, decode, encode
from lib.layers.trunks.alexnet import AlexNetTrunk
from lib.models import build_model
from lib.models.siamese.siamrpn_names import SCALE, export
from lib.models.siamese.siamrpn_training import AnchorTraining, object_scores
from lib.models.weights import identify, load_state

ANCHORS = anchor_boxes(anchor_shapes([0.33, 0.5, 1, 2, 3], [8], 8), 17, 8)
NAN = math.nan


def worst(tensor, expected):
    """Largest difference over the largest magnitude, at the golden places."""
    assert list(tensor.shape) == expected["shape"]
    flat = tensor.double().flatten()
    largest = max(abs(expected["min"]), abs(expected["max"]))
    assert flat.mean().item() == pytest.approx(expected["mean"], abs=1e-4 * largest)
    assert flat.std(correction=0).item() == pytest.approx(expected["std"], rel=1e-4)
    values = torch.tensor(expected["values"], dtype=torch.float64)
    return ((flat[expected["idx"]] - values).abs().max() / largest).item()


@pytest.mark.slow
@pytest.mark.parametrize("network", ["SiamRPNvot", "SiamRPNBIG"])
def test_published_networks(network):
    expected, model = golden.read("networks")[network], golden.original_model(network)
    with torch.inference_mode():
        template = golden.image(1, 127)
        memory = model.embed(template)
        assert worst(model.backbone(template[:, 0]), expected["z_feat"]) < 1e-4
        assert worst(memory.loc[0], expected["r1_kernel"]) < 1e-4
        assert worst(memory.cls[0], expected["cls1_kernel"]) < 1e-4
        for size in (255, 271, 287):
            prediction, maps = model(memory, golden.image(2, size)), expected[f"search{size}"]
            assert worst(prediction.logits.flatten(1, 2), maps["cls"]) < 1e-4
            assert worst(prediction.deltas.flatten(1, 2), maps["reg"]) < 1e-4


@pytest.mark.slow
def test_other_order_of_channels_is_another_network():
    """Anchor-major maps, as the fork trains them, are not what public weights mean."""
    model, maps = golden.original_model("SiamRPNvot"), golden.read("networks")["SiamRPNvot"]["search255"]
    with torch.inference_mode():
        prediction = model(model.embed(golden.image(1, 127)), golden.image(2, 255))
        assert worst(prediction.logits.transpose(1, 2).flatten(1, 2), maps["cls"]) > 1e-2
        assert worst(prediction.deltas.transpose(1, 2).flatten(1, 2), maps["reg"]) > 1e-2


def test_features_move_with_the_image():
    torch.manual_seed(0)
    trunk = AlexNetTrunk(0.125).double().eval()
    image = torch.randn(1, 3, 255, 255, dtype=torch.float64)
    with torch.inference_mode():
        features = trunk(image)
        for offset, same in ((64, True), (40, True), (60, False)):
            part = trunk(image[..., offset : offset + 127, 8 : 8 + 127])
            window = features[..., offset // 8 : offset // 8 + 6, 1:7]
            assert torch.allclose(part, window, rtol=0, atol=1e-13) == same


def test_feature_is_centred_where_the_trunk_says():
    trunk, image = AlexNetTrunk(0.125).double().eval(), torch.zeros(1, 3, 127, 127, dtype=torch.float64)
    image.requires_grad_(True)
    torch.nn.init.constant_(trunk.features[0].weight, 1.0)
    trunk(image + torch.rand_like(image))[0, :, 3, 3].abs().sum().backward()
    rows = torch.nonzero(image.grad.abs().sum((0, 1, 3)))[:, 0]
    middle = trunk.first + 3 * trunk.stride
    assert rows.min() >= middle - 43 and rows.max() <= middle + 43 and rows.max() - rows.min() > 70


def test_anchors_of_the_release():
    case = golden.read("tracker_stub")["cases"]["SiamRPNBIG/centre"]
    flat = anchor_boxes(anchor_shapes([0.33, 0.5, 1, 2, 3], [8], 8), 19, 8).flatten(1).T
    assert flat[:5].tolist() == case["anchor_first5"] and flat[-1].tolist() == case["anchor_last"]
    assert flat.sum(0).tolist() == case["anchor_sum"]


def test_encoding_round_trip_and_its_limit():
    generator = torch.Generator().manual_seed(0)
    boxes = torch.cat([torch.randn(6, 2, generator=generator) * 50, torch.rand(6, 2, generator=generator) * 200 + 5], 1)
    back = decode(encode(boxes, ANCHORS), ANCHORS)
    torch.testing.assert_close(back, boxes[:, :, None, None, None].expand_as(back), rtol=1e-4, atol=1e-3)
    huge = decode(torch.full((1, 4, 5, 17, 17), 50.0), ANCHORS)
    torch.testing.assert_close(huge[0, 2:], ANCHORS[2:] * math.exp(4))


@pytest.mark.parametrize("case", golden.read("arithmetic")["labels"].items(), ids=lambda case: case[0])
def test_overlaps_of_anchors(case):
    box = xywh_to_cxcywh(xyxy_to_xywh(torch.tensor([case[1]["box_xyxy"]]).float())) - torch.tensor([127, 127, 0, 0])
    corners = cxcywh_to_xyxy(ANCHORS.flatten(1).T)
    overlap = iou_and_union(corners, cxcywh_to_xyxy(box))[0]
    expected = case[1]
    assert (overlap > 0.6).sum() == expected["n_iou_gt_0.6"] and (overlap < 0.3).sum() == expected["n_iou_lt_0.3"]
    assert overlap.max().item() == pytest.approx(expected["max_iou"], abs=1e-6)
    anchor, row, column = expected["argmax(a,y,x)"]
    assert overlap.argmax() == (anchor * 17 + row) * 17 + column
    labels = LabelRule()(ANCHORS, box)
    assert (labels.classes == 1).sum() == min(16, expected["n_iou_gt_0.6"]) and (labels.classes == 0).sum() == 48
    assert (overlap[labels.classes.flatten() == 1] > 0.6).all() and (overlap[labels.classes.flatten() == 0] < 0.3).all()
    assert labels.weight.sum().item() == pytest.approx(1) and ((labels.weight > 0) == (labels.classes == 1)).all()


def labels_of(boxes, pairs=None, others=None, **rule):
    return LabelRule(**rule)(ANCHORS, torch.tensor(boxes), pairs, others)


def test_best_anchor_is_forced_only_where_it_is_good_enough():
    thin = [[0.0, 0.0, 24.0, 70.0]]  # IoU of at most 0.547
    assert (labels_of(thin).classes == 1).sum() == 1
    assert (labels_of(thin, forced=0.6).classes == 1).sum() == 0


def test_large_target_has_no_more_positives_than_allowed():
    for most in (16, 5):
        assert (labels_of([[3.0, 2.0, 66.0, 62.0]], positive=0.5, most_positive=most).classes == 1).sum() == most


def test_negative_pair_has_negatives_around_its_object_and_elsewhere():
    for box in ([64.0, -64.0, 50.0, 70.0], [-71.0, 9.0, 40.0, 40.0], [0.0, 0.0, 64.0, 64.0]):
        labels = labels_of([box], torch.tensor([False]))
        around = near_cells(ANCHORS, torch.tensor([box]), 3)[0]
        classes = labels.classes.flatten()
        assert set(classes.tolist()) == {0, -1} and not labels.weight.any()
        assert (classes[around] == 0).sum() == 16 and (classes[~around] == 0).sum() == 16


def test_cells_near_an_object_are_clipped_at_the_map():
    middle, corner = near_cells(ANCHORS, torch.tensor([[3.0, -3.0, 9.0, 9.0], [-70.0, 66.0, 9.0, 9.0]]), 3)
    assert middle.sum() == 5 * 49 and corner.sum() == 5 * 16
    columns, rows = ANCHORS[0].flatten(), ANCHORS[1].flatten()
    assert columns[middle].abs().max() == 24 and columns[corner].max() == -40 and rows[corner].min() == 40


def test_other_objects_in_the_crop_get_negatives_of_their_own():
    other = [50.0, 45.0, 62.0, 66.0]
    target = [-40.0, -30.0, 64.0, 64.0]
    corners = cxcywh_to_xyxy(ANCHORS.flatten(1).T)
    on = iou_and_union(corners, cxcywh_to_xyxy(torch.tensor(other)))[0] > 0.5
    assert on.sum() > 16
    others = torch.tensor([[other, [NAN] * 4], [[NAN] * 4] * 2])
    labels = labels_of([target] * 2, torch.tensor([True, True]), others)
    counts = (labels.classes.flatten(1)[:, on] == 0).sum(1)
    assert counts[0] >= 16 and counts[1] < 8, "one in thirty is drawn by chance"
    assert (labels.classes == 0).sum((1, 2, 3)).tolist() == [48, 48]
    same = labels_of([target], None, torch.tensor([[target]]))
    assert torch.equal(same.classes, labels_of([target]).classes), "what overlaps the target is no distractor"


def test_labels_follow_from_the_sample_alone():
    boxes = [[3.0, 4.0, 60.0, 60.0], [-9.0, 30.0, 40.0, 80.0], [3.5, 4.0, 60.0, 60.0]]
    together, state = labels_of(boxes), torch.get_rng_state()
    for k, box in enumerate(boxes):
        alone = labels_of([box])
        assert all(torch.equal(a[0], b[k]) for a, b in zip(alone, together, strict=True))
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(together.classes[0], together.classes[2]), "another box draws others"


def test_draws_are_even():
    order = draw_order(torch.randn(400, 4, generator=torch.Generator().manual_seed(0)), 300).double() / 2**31
    assert order.min() >= 0 and order.max() < 1
    assert (order.mean(0) - 0.5).abs().max() < 0.08 and (order.mean(1) - 0.5).abs().max() < 0.08
    drawn = first_in_order(torch.ones(400, 300, dtype=torch.bool), 30, draw_order(torch.randn(400, 4), 300))
    assert (drawn.sum(1) == 30).all() and drawn.sum(0).min() > 15 and drawn.sum(0).max() < 70  # 40 expected


def test_correlation_by_hand_in_groups_and_under_autocast():
    torch.manual_seed(0)
    features, kernels = torch.randn(3, 4, 6, 6), torch.randn(3, 2, 4, 4, 4)
    maps = correlate(features, kernels)
    assert maps.shape == (3, 2, 3, 3)
    for sample, number, row, column in ((0, 1, 2, 0), (2, 0, 1, 2)):
        window = features[sample, :, row : row + 4, column : column + 4]
        expected = (window * kernels[sample, number]).sum()
        assert maps[sample, number, row, column].item() == pytest.approx(expected.item(), abs=1e-4)
    torch.testing.assert_close(correlate_grouped(features, kernels), maps)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(correlate(features, kernels), maps)


def test_loss_by_hand_and_without_one_class():
    logits = torch.tensor([[[0.0, 1.0, 2.0, -1.0], [1.0, 0.0, 0.5, 3.0]]], requires_grad=True)
    likelihood = logits.log_softmax(1)[0]
    value = balanced_cross_entropy(logits, torch.tensor([[1, 0, 0, -1]]))
    expected = -0.5 * likelihood[1, 0] - 0.25 * (likelihood[0, 1] + likelihood[0, 2])
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(
        balanced_cross_entropy(logits, torch.tensor([[-1, 0, 0, -1]])), -0.25 * likelihood[0, 1:3].sum()
    )
    nothing = balanced_cross_entropy(logits, torch.tensor([[-1, -1, -1, -1]]))
    nothing.backward()
    assert nothing == 0 and not logits.grad.any()


def siamese_batch(positive=(True, True, False), **fields):
    batch = micro.batch("siamrpn", 3)
    return batch._replace(positive=torch.tensor(positive), **fields)


def test_negative_pairs_teach_no_box_and_every_kind_has_its_figure():
    model = micro.model("siamrpn")
    batch = siamese_batch((False,) * 3, kind=torch.tensor([2, 2, 3]))
    losses, figures = model.step(batch)
    assert losses["loc"] == 0 and losses["cls"] > 0
    sum(losses.values()).backward()
    assert not model.rpn_head.template_loc_conv.weight.grad.any()
    assert figures["iou"].tolist() == [0, 0]
    counts = {name: value[1].item() for name, value in figures.items() if name.startswith("score_")}
    assert counts == {"score_video": 0, "score_still": 0, "score_same_category": 2, "score_other_category": 1}


def test_box_loss_by_hand():
    model, batch = micro.model("siamrpn"), siamese_batch((True, True, True))
    prediction = model(model.embed(batch.template), batch.search)
    anchors = model.anchors(prediction)
    boxes = xywh_to_cxcywh(batch.search_box) * 159 - torch.tensor([79.5, 79.5, 0, 0])
    labels = model.training_rules.labels(anchors, boxes)
    expected = 0.0
    for k, a, y, x in torch.nonzero(labels.classes == 1).tolist():
        shape = anchors[:, a, y, x]
        change = torch.cat([(boxes[k, :2] - shape[:2]) / shape[2:], (boxes[k, 2:] / shape[2:]).log()])
        count = (labels.classes[k] == 1).sum()
        expected += (prediction.deltas[k, :, a, y, x] - change).abs().sum() / count / 3
    assert model.step(batch)[0]["loc"].item() == pytest.approx(1.2 * expected.item(), rel=1e-4)


def test_score_of_an_object_is_that_of_the_anchors_on_it():
    corners = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 12], [0, 0, 30, 30], [50, 50, 60, 60]])
    scores = torch.tensor([[0.2, 0.4, 0.9, 1.0]])
    boxes = torch.tensor([[5.0, 5, 10, 10]])
    assert object_scores(scores, corners, boxes).item() == pytest.approx(0.3)
    assert object_scores(scores, corners, torch.tensor([[15.0, 10, 10, 10]])).item() == pytest.approx(0.9), "best one"
    assert object_scores(scores, corners, torch.full((1, 4), NAN)) == 0


def test_other_objects_are_watched_in_positive_pairs_only():
    others = torch.tensor([[[0.3, 0.3, 0.2, 0.2], [NAN] * 4]] * 3)
    figures = micro.model("siamrpn").step(siamese_batch(others=others))[1]
    assert figures["score_beside"][1] == 2 and 0 < figures["score_beside"][0] <= 2


def test_stages_learn_when_they_may():
    model = micro.model("siamrpn", "MODEL.PRETRAIN_FILE=x", "TRAIN.TRUNK_STAGES=2", "TRAIN.UNFREEZE_EPOCH=3").train()
    norms = [model.backbone.features[norm] for _, norm in AlexNetTrunk.LAYERS]
    for epoch, learning in ((1, 0), (2, 0), (3, 2), (7, 2)):
        model.set_epoch(epoch)
        expected = [number >= 5 - learning for number in range(5)]
        assert [norm.weight.requires_grad for norm in norms] == expected
        assert [norm.training for norm in norms] == expected
        model.train()
        assert [norm.training for norm in norms] == expected, "training mode reaches no frozen statistics"
    scratch = micro.model("siamrpn", "TRAIN.TRUNK_STAGES=2", "TRAIN.UNFREEZE_EPOCH=3")
    assert AnchorTraining.from_config(micro.config("siamrpn"), 5).learning_stages(1) == 5
    scratch.set_epoch(1)
    assert all(parameter.requires_grad for parameter in scratch.parameters())


@pytest.mark.parametrize("naming", ["original", "pysot", "fork"])
def test_weights_travel_under_every_name_with_the_scale_folded(naming):
    model, batch = micro.model("siamrpn", "MODEL.CORR_SCALE=0.015625"), micro.batch("siamrpn")
    public = export(model.state_dict(), "pysot" if naming == "pysot" else "original")
    assert SCALE not in public and identify(public) == identify(model.state_dict()) == "siamrpn"
    if naming == "fork":
        public = {key.replace("conv_r", "conv_reg"): value for key, value in public.items()}
    for scale in (1.0, 0.015625):
        other = micro.model("siamrpn", f"MODEL.CORR_SCALE={scale}", seed=1)
        load_state(other, public, "x.pth")
        with torch.inference_mode():
            first, second = (m(m.embed(batch.template), batch.search) for m in (model, other))
        assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True)), "a power of two changes no bit"
        own, theirs = model.rpn_head.template_cls_conv.weight, other.rpn_head.template_cls_conv.weight
        assert torch.equal(own, theirs) == (scale == 0.015625)


@pytest.mark.parametrize("network", ["SiamRPNvot", "SiamRPNBIG"])
def test_names_and_shapes_are_those_of_the_release(network):
    with torch.device("meta"):
        own = build_model(load_config("dasiamrpn", golden.CONFIGS[network])).state_dict()
    own[SCALE] = torch.tensor(1.0)
    public = export(own, "original")
    assert [[key, list(value.shape)] for key, value in public.items()] == golden.read("schema")[network]


@pytest.mark.parametrize("key", ["DATA.SEARCH.SIZE", "TEST.SEARCH_SIZE"])
def test_search_region_that_does_not_fit_is_one_clear_line(key):
    with pytest.raises(InputError, match=rf"{key}: 260 is not 127 plus a multiple of 8; give 263"):
        micro.tracker("siamrpn", f"{key}=260")
