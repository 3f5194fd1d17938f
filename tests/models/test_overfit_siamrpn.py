"""Eight pairs learned by heart: labels, losses, gradients and decoding agree with each other."""

import pytest
import torch
from scenes import eight_pairs

from lib.core.boxes import cxcywh_to_xyxy, iou_and_union, xywh_to_cxcywh
from lib.core.config import load_config
from lib.layers.siamese.anchors import decode
from lib.models import build_model
from lib.models.siamese.method import target_probability
from lib.models.siamese.network import from_crop_units


def judge(model, batch):
    """Mean IoU of the boxes at positive anchors, classification loss, and the score at the objects that are not it."""
    with torch.no_grad():
        prediction = model(model.embed(batch.template), batch.search)
        losses, figures = model.step(batch)
        anchors, boxes = model.anchors(prediction), from_crop_units(xywh_to_cxcywh(batch.search_box), 255)
        labels = model.training_rules.labels(anchors, boxes, batch.positive)
        found = cxcywh_to_xyxy(decode(prediction.deltas, anchors).flatten(2).mT)
        overlap = iou_and_union(found, cxcywh_to_xyxy(boxes)[:, None])[0]
        on = labels.classes.flatten(1) == 1
        assert on[:6].any(1).all() and not on[6:].any()
        foes = target_probability(prediction).flatten(1)[6:][labels.classes.flatten(1)[6:] == 0]
    assert 0 <= figures["iou"][0] / figures["iou"][1] <= 1
    return overlap[on].mean().item(), losses["cls"].item(), foes.mean().item()


@pytest.mark.slow
def test_eight_pairs_are_learned_by_heart():
    torch.manual_seed(0)
    cfg = load_config("dasiamrpn", "siamrpn_vot", ["MODEL.BACKBONE.WIDTH=0.25", "MODEL.CORR_SCALE=0.015625"])
    model, batch = build_model(cfg), eight_pairs()
    batch = batch._replace(template=model.normalize(batch.template), search=model.normalize(batch.search))
    optimizer = torch.optim.SGD(model.parameters(), lr=5e-3, momentum=0.9)
    before = judge(model, batch)
    for step in range(100):
        half = batch.apply(lambda part, step=step: part[step % 2 :: 2])
        losses = model.step(half)[0]
        optimizer.zero_grad()
        sum(losses.values()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 10)
        optimizer.step()
    overlap, cls, foes = judge(model, batch)
    assert before[0] < 0.4 and before[1] > 0.5
    assert overlap > 0.7 and cls < 0.15 and foes < 0.15, (overlap, cls, foes)
