"""Training of SiamDMA: losses and gradients of the author's code, what learns through what, figures."""

import golden_siamdma as golden
import micro
import pytest
import torch

from lib.core.config import load_config
from lib.layers.losses import balanced_cross_entropy
from lib.layers.siamese.anchor_labels import IGNORED, NEGATIVE, POSITIVE
from lib.layers.siamese.ban import grid_points
from lib.layers.siamese.point_labels import EllipseRule, PointLabels
from lib.models.base import PAIR_KINDS
from lib.models.siamese.siamdma import Prediction
from lib.models.siamese.siamdma_training import SiamDMATraining

RULES = SiamDMATraining.from_config(load_config("siamdma", "siamdma"), 4)
WHOLE = EllipseRule(most_positive=625, most_negative=625, most_foreign=625)
AUTHOR = {"cls": "cls_loss", "loc": "loc_loss", "cls_visible": "vcls_loss", "cls_infrared": "icls_loss"}
WEIGHTS = {"cls": 1.0, "loc": 1.0, "cls_visible": 0.2, "cls_infrared": 0.2}


def boxes_of_the_recipe():
    """[2, 4] cxcywh from the middle"""
    corners = torch.tensor(golden.read("siamdma")["losses"]["box_of_sample"]) - 127
    return torch.cat([(corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]], dim=1)


def labels_of(keep):
    """All labels of both samples, where `keep` of them, a function of a flat list of classes, decides what counts."""
    labels = WHOLE(grid_points(25), boxes_of_the_recipe())
    classes = torch.stack([keep(one.flatten().clone()) for one in labels.classes]).view_as(labels.classes)
    return labels._replace(classes=classes)


def first(classes, positives, negatives):
    for number, most in ((POSITIVE, positives), (NEGATIVE, negatives)):
        classes[(classes == number).nonzero()[most:]] = IGNORED
    return classes


CASES = {
    "full_maps": (2, lambda classes: classes),
    "first16_first48": (2, lambda classes: first(classes, 16, 48)),
    "no_negative": (1, lambda classes: first(classes, 625, 0)),
    "no_positive": (1, lambda classes: first(classes, 0, 625)),
}


@pytest.fixture(scope="module")
def predicted():
    """The recipe's network and its prediction, with a graph."""
    model = golden.author_model()
    template, search = golden.inputs()
    return model, model(model.embed(template), search)


def part(prediction, count):
    return Prediction(*(None if one is None else one[:count] for one in prediction))


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_losses_are_the_author_s(case, predicted):
    count, keep = CASES[case]
    labels = PointLabels(*(one[:count] for one in labels_of(keep)))
    losses = RULES.losses(part(predicted[1], count), labels)
    known = golden.read("siamdma")["losses"]["values"][case]
    for name, theirs in AUTHOR.items():
        assert losses[name].item() == pytest.approx(WEIGHTS[name] * known[theirs], rel=1e-4, abs=1e-6), name
    assert sum(losses.values()).item() == pytest.approx(known["total_loss"], rel=1e-4)


@pytest.mark.slow
def test_one_positive_counts_which_the_author_s_code_loses(predicted):
    """There the index of one point has no dimension, and its loss becomes 0. Here it counts."""
    values = golden.read("siamdma")["losses"]["values"]
    theirs, right = values["single_positive_released"], values["single_positive_corrected_cls_loss"]

    def keep(classes):
        classes[classes == POSITIVE] = IGNORED
        classes[312] = POSITIVE
        return classes

    labels = PointLabels(*(one[:1] for one in labels_of(keep)))
    losses = RULES.losses(part(predicted[1], 1), labels)
    assert losses["cls"].item() == pytest.approx(right, rel=1e-4)
    assert losses["cls"].item() > 2 * theirs["cls_loss"]
    assert losses["loc"].item() == pytest.approx(theirs["loc_loss"], rel=1e-4), "boxes do count there"
    negatives = labels.classes.masked_fill(labels.classes == POSITIVE, IGNORED)
    lost = balanced_cross_entropy(predicted[1].logits[:1], negatives)
    assert lost.item() == pytest.approx(theirs["cls_loss"], rel=1e-4), "the difference is that point alone"


@pytest.mark.slow
def test_gradients_are_the_author_s(predicted):
    model, prediction = predicted
    labels = labels_of(CASES["full_maps"][1])
    own = dict(model.named_parameters())
    losses = RULES.losses(prediction, labels)
    model.zero_grad(set_to_none=True)
    sum(losses.values()).backward(retain_graph=True)
    for key, known in golden.read("siamdma")["gradients_total_loss_full_maps"].items():
        gradient = own[model.rename(key)].grad
        # The stem and the trunks behind it amplify rounding: these gradients are sums of millions of large values.
        rel = 1e-3
        assert gradient.norm().item() == pytest.approx(known["l2"], rel=rel), key
        found, size = gradient.flatten()[: len(known["first4"])], gradient.abs().max().item()
        torch.testing.assert_close(found, torch.tensor(known["first4"]), rtol=rel, atol=rel * size, msg=key)
    assert not [name for name, parameter in own.items() if parameter.grad is None]
    model.zero_grad(set_to_none=True)
    (losses["cls"] + losses["loc"]).backward()
    for key, l2 in golden.read("siamdma")["gradients_fusion_losses_only_l2"].items():
        gradient = own[model.rename(key)].grad
        assert gradient is None if l2 is None else gradient.norm().item() == pytest.approx(l2, rel=1e-3), key
    model.zero_grad(set_to_none=True)


def fresh(*changes, seed=0):
    """A small network as it begins, and its losses."""
    torch.manual_seed(seed)
    model = micro.build_model(micro.config("siamdma", *changes)).train()
    batch = micro.batch("siamdma", 3)
    return model, model.step(batch)[0]


def test_gains_learn_first_because_they_begin_at_zero():
    """Behind a gain of 0 nothing has a gradient; the gains have one."""
    model, losses = fresh()
    sum(losses.values()).backward()
    still = {name for name, parameter in model.named_parameters() if not parameter.grad.abs().sum() > 0}
    behind = {
        name
        for name, _ in model.named_parameters()
        if name.startswith(("attention.", "fusion.", "padding_conv.")) and "gain" not in name
    }
    assert still == behind and behind


def test_heads_of_single_cameras_learn_nothing_through_the_masks():
    model = micro.model("siamdma")
    losses = model.step(micro.batch("siamdma", 3))[0]
    own = dict(model.named_parameters())
    gradients = torch.autograd.grad(losses["cls"] + losses["loc"], list(own.values()), allow_unused=True)
    unused = {name for name, gradient in zip(own, gradients, strict=True) if gradient is None}
    assert unused == {name for name in own if name.startswith("stream_heads.")}
    assert any(name.startswith("padding_conv.") for name in own.keys() - unused)


@pytest.mark.parametrize(("variant", "parts"), [("siamdma-aux", 4), ("siamdma-cdsa", 2), ("siamdma-baseline", 2)])
def test_steps_of_the_ablation_have_the_losses_of_their_parts(variant, parts):
    losses, figures = micro.model(variant).step(micro.batch(variant, 3))
    assert list(losses) == list(AUTHOR)[:parts]
    assert ("iou_visible" in figures) == (parts == 4)


def test_every_key_has_its_own_place():
    changes = ["TRAIN.LABELS.POSITIVE_ELLIPSE=0.4", "TRAIN.LABELS.NEGATIVE_ELLIPSE=1.2", "TRAIN.LABELS.POSITIVES=3",
               "TRAIN.LABELS.NEGATIVES=5", "TRAIN.LABELS.FOREIGN=7", "TRAIN.CLS_WEIGHT=1.5", "TRAIN.LOC_WEIGHT=2.5",
               "TRAIN.VISIBLE_WEIGHT=0.3", "TRAIN.INFRARED_WEIGHT=0.4", "TRAIN.LOC_LOSS=giou",
               "TRAIN.UNFREEZE_EPOCH=6", "TRAIN.TRUNK_STAGES=1"]  # fmt: skip
    made = SiamDMATraining.from_config(load_config("siamdma", "siamdma", changes), 4)
    assert made.labels == EllipseRule(0.4, 1.2, 3, 5, 7)
    assert made == SiamDMATraining(made.labels, 1.5, 2.5, (0.3, 0.4), "giou", 1, 6)
    losses = {rules: rules.losses(*known_prediction()) for rules in (made, RULES)}
    for name, weight, usual in (("cls", 1.5, 1.0), ("cls_visible", 0.3, 0.2), ("cls_infrared", 0.4, 0.2)):
        assert losses[made][name].item() == pytest.approx(losses[RULES][name].item() * weight / usual)


@pytest.mark.parametrize(
    ("weights", "levels", "wanted", "expected"),
    [("timm", 4, 2, [0, 2]), ("timm", 3, 2, [0, 1]), ("timm", 4, 0, [0, 0]), ("''", 4, 2, [4, 4])],
)
def test_stages_that_learn(weights, levels, wanted, expected):
    """Stem and res2 of a pretrained trunk never do."""
    changes = [f"MODEL.PRETRAIN_FILE={weights}", f"TRAIN.TRUNK_STAGES={wanted}", "TRAIN.UNFREEZE_EPOCH=11"]
    rules = SiamDMATraining.from_config(load_config("siamdma", "siamdma", changes), levels)
    assert [rules.learning_stages(epoch) for epoch in (10, 11)] == expected


def known_prediction():
    """Of two pairs: the best cell by the whole network is right in the first, by the infrared camera in both."""
    points, boxes = grid_points(9), torch.tensor([[8.0, -8, 40, 30], [-8.0, 8, 30, 40]])
    labels = EllipseRule()(points, boxes)
    logits = torch.zeros(2, 2, 9, 9)
    streams = torch.zeros(2, 2, 2, 9, 9)
    right = [(0, 3, 5), (1, 5, 3)]
    for pair, row, column in right:
        streams[pair, 1, 1, row, column] = 3
    logits[0, 1, 3, 5] = 3
    logits[1, 1, 0, 0] = 3
    streams[:, 0, 1, 8, 8] = 3
    inside = labels.distances.amin(1, keepdim=True) > 0
    distances = torch.where(inside, labels.distances, 1.0)
    return Prediction(logits, distances, streams, None), labels


def test_figures_are_of_the_best_cell_and_of_the_kinds_of_pairs():
    prediction, labels = known_prediction()
    batch = micro.batch("siamdma", 2)._replace(
        search_box=torch.tensor([[8.0, -8, 40, 30], [-8.0, 8, 30, 40]]), kind=torch.tensor([0, 3])
    )
    figures = RULES.figures(prediction, labels, batch)
    assert figures["iou_infrared"].tolist() == [2.0, 2.0]
    assert 1.0 <= figures["iou"][0] < 1.2 and figures["iou_visible"][0] < 0.3
    sure = torch.tensor(3.0).sigmoid().item()
    assert figures["score_video"].tolist() == pytest.approx([sure, 1])
    assert figures["score_other_category"].tolist() == pytest.approx([sure, 1])
    assert figures["score_still"].tolist() == [0, 0] and len(PAIR_KINDS) == 4
    count = (labels.classes == POSITIVE).sum().item()
    assert figures["right_on"].tolist() == [1.0, count] and figures["right_off"][0] == 0
    negative = RULES.figures(prediction, labels, batch._replace(positive=torch.tensor([True, False])))
    assert negative["iou"].tolist() == pytest.approx([1.0, 1.0])
