"""Training of ATOM, DiMP, SuperDiMP, PrDiMP: losses, what learns and how fast, narrow networks that learn by heart."""

import functools
from pathlib import Path

import pytest
import torch
from frame_sets import batch_of_sets
from test_near_pairs import video

from lib.core.config import flatten, load_config
from lib.core.sample_view import INSIDE, REPEAT
from lib.datasets.synthetic.stream import stream
from lib.layers.filters.iou_net import Modulation
from lib.layers.filters.losses import grid_divergence, hinged_square_loss
from lib.layers.trunks.imagenet_resnet import ImageNetResNet
from lib.models import build_model
from lib.models.discriminative.parts import Maps
from lib.models.discriminative.training import ScoreTraining, box_losses
from lib.models.pretrained import load_pretrained
from lib.train.data.loader import build_loader
from lib.train.data.set_crops import SetCrops
from lib.train.optim import build_optimizer

NARROW = [
    "MODEL.PRETRAIN_FILE=''", "MODEL.BACKBONE.DEPTH=18", "MODEL.BACKBONE.WIDTH=0.125", "MODEL.CLASSIFIER.CHANNELS=16",
    "MODEL.IOU_NET.CHANNELS=16", "DATA.SEARCH.SIZE=64", "TEST.SEARCH_SIZE=64",
    "TRAIN.NUM_WORKER=0", "DATA.PROPOSALS.NUMBER=8", "DATA.TRAIN.DATASETS_NAME=[x]", "DATA.TRAIN.DATASETS_RATIO=[1]",
]  # fmt: skip
KINDS = ("dimp18", "superdimp", "prdimp50")


def config(kind, *changes):
    folder = "atom" if kind == "atom" else "dimp"
    return load_config(folder, kind, [text for text in (*NARROW, *changes) if has_key(folder, text)])


@functools.cache
def has_key(folder, text):
    return text.partition("=")[0] in flatten(load_config(folder, folder if folder == "atom" else "dimp18"))


def network(kind, *changes):
    torch.manual_seed(0)
    return build_model(config(kind, *changes))


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_teaches_what_is_not_frozen(kind):
    model = network(kind).train()
    density = kind != "dimp18"
    batch = batch_of_sets(64, 2, density=density)
    losses, figures = model.step(batch)
    assert set(losses) == {"first_score", "middle_score", "score", "box"}
    assert set(figures) == {"iou", "hits", "score_on"} and not any(part.requires_grad for part in figures.values())
    sum(losses.values()).backward()
    still = {name for name, parameter in model.named_parameters() if parameter.grad is None}
    frozen = {
        name
        for name in still
        if name.startswith(("backbone.conv1", "backbone.bn1", "backbone.layer1", "backbone.layer2"))
    }
    assert still == frozen and bool(frozen) == (kind == "superdimp")
    assert model.backbone.layer2.training == (kind != "superdimp") and model.backbone.layer3.training
    assert not model.eval().backbone.layer3.training


def test_a_step_teaches_atoms_iou_net_alone():
    model = network("atom").train()
    losses, figures = model.step(batch_of_sets(64, 2, frames=1))
    assert set(losses) == {"box"} and set(figures) == {"iou"} and not figures["iou"].requires_grad
    losses["box"].backward()
    learned = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert learned == {name for name, _ in model.named_parameters() if name.startswith("iou_net.")}
    parts = dict(model.named_modules())
    still = {name for name, part in parts.items() if isinstance(part, torch.nn.BatchNorm2d) and not part.training}
    assert still == {
        name for name in parts if name.startswith("backbone.") and parts[name]._get_name() == "BatchNorm2d"
    }
    before = {key: value.clone() for key, value in model.backbone.state_dict().items()}
    optimizer = build_optimizer(config("atom", "TRAIN.LR=0.1"), model)
    optimizer.step()
    assert all(torch.equal(before[key], value) for key, value in model.backbone.state_dict().items())
    assert [group["lr"] for group in optimizer.param_groups] == [0.1]


def test_regions_meet_the_border_in_training_as_in_tracking():
    for kind, border in (("atom", REPEAT), ("dimp50", REPEAT), ("superdimp", INSIDE), ("prdimp50", INSIDE)):
        crops = SetCrops.from_config(cfg := config(kind, "TEST.MOST_SHRINKING=1.25"))
        assert (crops.border, crops.shrinking) == (border, 1.25) == (cfg.TEST.BORDER, cfg.TEST.MOST_SHRINKING)


def test_frozen_layers_keep_their_weights_and_statistics():
    model = network("dimp18", "TRAIN.FROZEN_LAYERS=4", "TRAIN.LR=0.1").train()
    before = {key: value.clone() for key, value in model.backbone.state_dict().items()}
    optimizer = build_optimizer(config("dimp18", "TRAIN.FROZEN_LAYERS=4"), model)
    sum(model.step(batch_of_sets(64, 2))[0].values()).backward()
    optimizer.step()
    assert all(torch.equal(before[key], value) for key, value in model.backbone.state_dict().items())
    assert len(optimizer.param_groups) == 3, "no group of the backbone"


RATES = {
    "dimp50": {"classifier.filter_optimizer.filter_reg": 5e-4, "classifier.filter_initializer.filter_conv.weight": 5e-5,
               "classifier.feature_extractor.0.weight": 5e-5, "iou_net.fc3_rt.linear.weight": 2e-4,
               "backbone.layer1.0.conv1.weight": 2e-5, "backbone.layer3.0.conv1.weight": 2e-5},
    "prdimp50": {"classifier.filter_optimizer.filter_reg": 1e-3, "classifier.feature_extractor.0.weight": 1e-3,
                 "iou_net.fc3_rt.linear.weight": 1e-3, "backbone.layer1.0.conv1.weight": 2e-5},
    "superdimp": {"classifier.filter_optimizer.filter_reg": 5e-4, "classifier.feature_extractor.0.weight": 5e-5,
                  "iou_net.fc3_rt.linear.weight": 1e-3, "backbone.layer3.0.conv1.weight": 2e-5},
}  # fmt: skip


@pytest.mark.parametrize("kind", RATES)
def test_parts_have_the_recipes_rates(kind):
    model = network(kind)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = build_optimizer(config(kind), model).param_groups
    found = {names[id(parameter)]: group["lr"] for group in groups for parameter in group["params"]}
    assert {name: found[name] for name in RATES[kind]} == pytest.approx(RATES[kind])
    assert set(found) == {name for name, parameter in model.named_parameters() if parameter.requires_grad}


def test_score_losses_are_weighted_by_the_filters_turn():
    """Labels are Gaussians around the target's centre: here at 40, 24 pixels, the third column and the second row."""
    boxes = torch.tensor([[[32.0, 16, 16, 16]]])
    row, column = torch.arange(5.0)[:, None], torch.arange(5.0)
    label = torch.exp(-((row - 1.5) ** 2 + (column - 2.5) ** 2) / (2 * 0.9**2))[None, None]
    scores = [torch.randn(1, 1, 5, 5, generator=torch.Generator().manual_seed(k)) for k in range(4)]
    training = ScoreTraining(last=5.0, first=2.0, middle=3.0, sigma=0.9, hinge=0.05)
    each = {
        "dimp18": [hinged_square_loss(one, label, 0.05) for one in scores],
        "prdimp50": [grid_divergence(one, label / label.sum()) for one in scores],
    }
    for kind, known in each.items():
        losses, _ = training(scores, boxes, network(kind).classifier)
        expected = {"first_score": 2 * known[0], "middle_score": 3 * (known[1] + known[2]) / 2, "score": 5 * known[3]}
        assert {name: float(value) for name, value in losses.items()} == pytest.approx(
            {name: float(value) for name, value in expected.items()}, rel=1e-5
        )


def test_figures_say_where_the_last_filter_finds_its_target():
    boxes, classifier = torch.tensor([[[32.0, 16, 16, 16]]]), network("dimp18").classifier
    training = ScoreTraining(last=1.0, first=1.0, middle=1.0, sigma=0.9, hinge=0.05)
    scores = torch.zeros(1, 1, 5, 5)
    scores[0, 0, 1, 2] = 0.7
    losses, figures = training([scores], boxes, classifier)
    assert (
        figures["hits"] == 1 and figures["score_on"] == pytest.approx(0.7) and set(losses) == {"score", "first_score"}
    )
    figures = training([scores.flip(2)], boxes, classifier)[1]
    assert figures["hits"] == 1 and figures["score_on"] == 0, "1.6 cells away"
    assert training([scores.flip(2, 3).roll(-1, 3)], boxes, classifier)[1]["hits"] == 0
    density = training([scores], boxes, network("prdimp50").classifier)[1]["score_on"]
    assert density == pytest.approx(float(scores.flatten().softmax(0).max()))


class Known(torch.nn.Module):
    """An IoU-Net with given answers."""

    def __init__(self, answers):
        super().__init__()
        self.answers = answers

    def modulate(self, fine, coarse, boxes):
        return Modulation(fine, coarse)

    def embed(self, fine, coarse):
        return None

    def forward(self, modulation, features, boxes):
        assert len(modulation.fine) == len(boxes)
        return self.answers.flatten(0, 1)


def boxes_of(answers, batch):
    maps = Maps(torch.zeros(2, 3, 1, 1, 1), torch.zeros(2, 3, 1, 1, 1))
    return box_losses(Known(answers), maps, maps, batch)


def test_iou_is_learned_from_minus_one_to_one():
    batch = batch_of_sets(64, 2)
    loss, iou = boxes_of(2 * batch.wanted - 1, batch)
    assert loss == 0 and iou == pytest.approx(float(batch.wanted.amax(-1).mean()), abs=1e-5)
    assert boxes_of(2 * batch.wanted - 0.5, batch)[0] == pytest.approx(0.25)


def test_the_density_that_boxes_are_drawn_for_is_the_best_answer():
    batch = batch_of_sets(64, 2, density=True, proposals=4000)
    best = (batch.wanted + 1e-30).log()
    found = float(boxes_of(best, batch)[0])
    assert boxes_of(best + 7, batch)[0] == pytest.approx(found, abs=0.3), "a density has no scale of its own"
    for worse in (best * 0.9, best * 1.1, torch.zeros_like(best), best.flip(-1)):
        assert float(boxes_of(worse, batch)[0]) > found


def test_each_set_is_judged_by_its_own_target():
    model = network("dimp18").eval()
    both = batch_of_sets(64, 2)
    with torch.no_grad():
        together = model.step(both)[0]
        alone = [model.step(both.apply(lambda part, k=k: part[k : k + 1]))[0] for k in range(2)]
    for name, value in together.items():
        torch.testing.assert_close(value, (alone[0][name] + alone[1][name]) / 2, rtol=1e-4, atol=1e-5)


def test_the_loader_gives_sets_of_the_kind_that_the_loss_needs():
    data = [video(40)]
    for kind, count in (("dimp18", 8), ("superdimp", 12)):
        changes = ["DATA.TRAIN.SAMPLE_PER_EPOCH=2", "TRAIN.BATCH_SIZE=2", f"DATA.PROPOSALS.NUMBER={count}"]
        cfg = config(kind, *changes)
        loader = build_loader(cfg, [data], stage=0)
        loader.sampler.epoch = 1
        batch = next(iter(loader)).batch
        assert batch.train.shape == batch.test.shape == (2, 3, 3, 64, 64) and batch.proposals.shape == (2, 3, count, 4)
        assert (batch.sampling is None) == (kind == "dimp18")
        model = build_model(cfg)
        losses, _ = model.step(batch.normalised(model.normalize))
        assert all(value.isfinite() for value in losses.values())


def test_training_starts_from_the_classifiers_file_of_torchvision(tmp_path):
    """Its keys have no prefix; its last stage and its 1000 classes are left out."""
    source = ImageNetResNet(18, last=4, width=0.125)
    torch.save(
        {**source.state_dict(), "fc.weight": torch.zeros(1000, 64), "fc.bias": torch.zeros(1000)}, tmp_path / "r.pth"
    )
    cfg = config("dimp18", f"MODEL.PRETRAIN_FILE={tmp_path / 'r.pth'}")
    model = build_model(cfg)
    load_pretrained(model, cfg, "")
    known = source.state_dict()
    assert all(torch.equal(value, known[key]) for key, value in model.backbone.state_dict().items())


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["atom", "dimp18", "superdimp", "prdimp50"])
def test_a_narrow_network_learns_sets_by_heart(kind):
    """Four sets of synthetic video, 60 steps: filters find their targets, IoU-Net tells good boxes from bad ones."""
    share = 0.0 if kind == "atom" else 1.0
    equal = ["TRAIN.LR=0.002", f"TRAIN.BACKBONE_MULTIPLIER={share}", "TRAIN.HEAD_MULTIPLIER=1.0",
             "TRAIN.OPTIMIZER_MULTIPLIER=1.0", "TRAIN.FROZEN_LAYERS=0", "TRAIN.BATCH_SIZE=4",
             "DATA.TRAIN.SAMPLE_PER_EPOCH=4", "DATA.PROPOSALS.NUMBER=16"]  # fmt: skip
    cfg, model = config(kind, *equal), network(kind, *equal).train()
    data = stream(Path(""), 4, held_out=False, frames=48, modalities=("visible",))
    loader = build_loader(cfg, [data], stage=0)
    loader.sampler.epoch = 1
    batch = next(iter(loader)).batch.normalised(model.normalize)
    optimizer, course = build_optimizer(cfg, model), []
    for _ in range(60):
        losses, figures = model.step(batch)
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
        course.append({name: float(value.detach()) for name, value in {**losses, **figures}.items()})
    first, last = course[0], course[-1]
    assert last["iou"] > 0.7 and last["box"] < min(0.5 * first["box"], first["box"] - 0.01)
    if kind == "atom":
        return
    assert last["hits"] == 1 and last["first_score"] < first["first_score"] and last["score"] < first["score"]
    if kind != "prdimp50":  # whose loss ends at the label's entropy
        assert last["score"] < 0.1 * first["score"] and last["score_on"] > 0.7
