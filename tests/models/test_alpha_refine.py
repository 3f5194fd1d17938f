"""Alpha-Refine's network and method: parts that the golden values do not show, and its files."""

import sys
import types

import golden_alpha_refine as golden
import micro
import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy

from lib.core.boxes import xywh_to_cxcywh
from lib.core.checkpoint import load_checkpoint, load_weights
from lib.core.config import load_config
from lib.core.crop import cut
from lib.core.errors import InputError
from lib.core.frame import Frame
from lib.core.target import Target
from lib.core.target_mask import TargetMask
from lib.layers.refine.heads import CellBoxHead
from lib.models import build_method, build_model
from lib.models.alpha_refine.names import read_layout
from lib.models.alpha_refine.network import in_order, mask_extent
from lib.models.method import CropState, TargetAnswer
from lib.models.weights import identify, load_state

VARIANTS = [name for name in micro.VARIANTS if name.startswith("alpha_refine")]
FRAME = Frame([np.zeros((240, 320, 3), np.uint8)], (240, 320))
BOX = np.array([100.0, 80.0, 60.0, 40.0])
MIDDLE = np.array([0.5, 0.5, 0.5, 0.5])


def method(*changes, variant="alpha_refine"):
    return build_method(micro.model(variant, *changes), micro.config(variant, *changes))


def answered(own, box=MIDDLE, *, mask=None):
    """BOX after an answer."""
    target = Target("any", BOX, state=CropState(None))
    (view,) = own.views(target, FRAME)
    return own.update_target(target, view, TargetAnswer(np.array(box), 0.9, True, mask), FRAME.size)


def test_parameters_are_those_of_the_published_model():
    network = build_model(load_config("alpha_refine", "secm_r34", ["MODEL.PRETRAIN_FILE=''"]))
    assert sum(parameter.numel() for parameter in network.parameters()) == 10_197_975
    shapes = {key: list(value.shape) for key, value in network.publish("pytracking").items()}
    public = dict(golden.read("alpharefine_schema"))
    left = [key for key in public if key not in shapes]
    assert shapes == {key: public[key] for key in shapes}
    assert all(key.startswith(("feature_extractor.layer4.", "feature_extractor.fc.")) for key in left)


@pytest.mark.parametrize(
    ("config", "parameters"),
    [("serpnm_r34", 26.59), ("sec_r34", 22.99), ("sem_r34", 22.75), ("secm_r34_att", 23.83), ("seex_r34", 25.27)],
)
def test_variants_have_the_parameters_of_the_published_ones(config, parameters):
    """The published numbers count layers that are not built here: 13.627 M of the backbone, and in sec_r34 0.089 M."""
    with torch.device("meta"):
        network = build_model(load_config("alpha_refine", config, ["MODEL.PRETRAIN_FILE=''"]))
    unused = 23.825343 - 10.197975 + (0.088512 if config == "sec_r34" else 0)
    assert sum(parameter.numel() for parameter in network.parameters()) / 1e6 + unused == pytest.approx(
        parameters, abs=0.006
    )


def test_naive_neck_has_the_parameters_of_the_published_one():
    with torch.device("meta"):
        network = build_model(load_config("alpha_refine", "secm_r34_naive", ["MODEL.PRETRAIN_FILE=''"]))
    assert sum(parameter.numel() for parameter in network.neck.parameters()) == 45_104


def foreign(tmp_path, monkeypatch, weights):
    """A file like SEcmnet_ep0040-c.pth.tar: settings and meters of classes that do not exist here."""
    names = {
        "ltr": "", "ltr.admin": "", "ltr.admin.settings": "Settings", "ltr.admin.stats": "AverageMeter",
        "ltr.admin.model_constructor": "NetConstructor",
    }  # fmt: skip
    made = {}
    for module, name in names.items():
        if not name:
            monkeypatch.setitem(sys.modules, module, types.ModuleType(module))
            continue
        made[name] = type(name, (), {"__module__": module})
        holder = types.ModuleType(module)
        setattr(holder, name, made[name])
        monkeypatch.setitem(sys.modules, module, holder)
    settings, meter, constructor = (cls() for cls in made.values())
    settings.__dict__.update(module_name="SEcm_r34", batch_size=32)
    content = {
        "epoch": 40, "actor_type": "SEcm_Actor", "net_type": "SEcmnet", "net": weights, "net_info": None,
        "constructor": constructor, "optimizer": {"state": {}}, "stats": {"train": {"Loss/total": meter}},
        "settings": settings,
    }  # fmt: skip
    path = tmp_path / "SEcmnet_ep0040-c.pth.tar"
    torch.save(content, path, _use_new_zipfile_serialization=False)  # as torch 1.2 did
    for module in names:
        monkeypatch.delitem(sys.modules, module)
    return path


def test_the_public_file_is_read_without_its_classes(tmp_path, monkeypatch):
    network, other = micro.model("alpha_refine"), micro.model("alpha_refine", seed=1)
    public = network.publish("pytracking")
    public |= {
        "feature_extractor.layer4.0.conv1.weight": torch.ones(2, 2, 3, 3),
        "feature_extractor.fc.bias": torch.ones(9),
    }
    path = foreign(tmp_path, monkeypatch, public)
    assert load_checkpoint(path)["net_type"] == "SEcmnet" and "ltr.admin.settings" not in sys.modules
    weights = load_weights(path)
    assert identify(weights) == "alpha_refine"
    load_state(other, weights, path.name)
    assert all(torch.equal(value, other.state_dict()[key]) for key, value in network.state_dict().items())
    del weights["neck.post_corr.0.bias"]
    with pytest.raises(InputError, match=r"SEcmnet_ep0040-c.pth.tar: lacks neck.post_corr.0.bias"):
        load_state(other, weights, path.name)


@pytest.mark.parametrize("variant", VARIANTS)
def test_layouts_are_read_from_the_keys(variant):
    cfg, found = micro.config(variant), read_layout(micro.model(variant).state_dict())
    wanted = {
        "MODEL.BACKBONE.DEPTH": cfg.MODEL.BACKBONE.DEPTH,
        "MODEL.NECK.SPATIAL": cfg.MODEL.NECK.SPATIAL,
        "MODEL.NECK.CORRELATION": cfg.MODEL.NECK.CORRELATION,
        "MODEL.HEAD.TYPE": cfg.MODEL.HEAD.TYPE,
        "MODEL.MASK": cfg.MODEL.MASK,
    }
    assert found == wanted


@pytest.mark.parametrize(
    ("held", "wanted", "said"),
    [
        ("alpha_refine-2020", "alpha_refine", "--set MODEL.BACKBONE.DEPTH=18 MODEL.NECK.SPATIAL=nonlocal"),
        ("alpha_refine-corners", "alpha_refine", "--set MODEL.MASK=false"),
        ("alpha_refine", "alpha_refine-mask", "--set MODEL.HEAD.TYPE=CORNER"),
    ],
)
def test_weights_of_another_layout_name_what_to_set(held, wanted, said):
    with pytest.raises(InputError, match="the weights are of a refiner with") as caught:
        load_state(micro.model(wanted), micro.model(held).publish("pytracking"), "file")
    assert said in str(caught.value)


def test_a_model_without_mask_head_may_store_the_layers_before_it():
    weights = micro.model("alpha_refine").state_dict()
    kept = {key: value for key, value in weights.items() if not key.startswith("mask_head.")}
    load_state(micro.model("alpha_refine-corners"), kept)


def test_masks_are_computed_only_when_asked_for():
    own, asked = method(), method("TEST.MASK=true")
    calls = []
    for each in (own, asked):
        each.network.mask_head.register_forward_hook(lambda *_: calls.append(1))
        pixels = torch.randint(0, 256, (2, 1, 1, 3, 128, 128), dtype=torch.uint8)
        with torch.inference_mode():
            memory = each.begin(pixels, torch.tensor(MIDDLE).float().expand(2, 1, 4))
            answer = each.search(memory, pixels, torch.ones(2, 1, 2) / 2)
        masks = each.target_masks(answer.prediction)
        assert len(calls) == (each is asked) and (masks is None) == (each is own)
    assert masks.shape == (2, 128, 128) and (masks > 0).all() and (masks < 1).all()


def test_corners_are_put_in_order():
    corners = torch.tensor([[3.0, 9.0, 1.0, 20.0], [1.0, 2.0, 3.0, 4.0], [float("nan"), 2.0, 3.0, 4.0]])
    ordered = in_order(corners)
    assert ordered[:2].tolist() == [[1, 9, 3, 20], [1, 2, 3, 4]] and ordered[2].isnan().any()


def test_answers_that_are_not_finite_leave_the_box():
    moved = answered(method("TEST.MASK=true"), [np.nan, 0.5, 0.5, 0.5], mask=np.full((128, 128), np.nan, np.float32))
    assert np.array_equal(moved.box, BOX) and not moved.found and moved.mask is None


@pytest.mark.parametrize("source", ["head", "mask", "base"])
def test_where_the_refined_box_comes_from(source):
    mask = np.zeros((128, 128), np.float32)
    mask[32:64, 48:96] = 0.9
    mask[100:104, 100:104] = 0.9  # another region, smaller
    own = method(f"TEST.BOX={source}", "TEST.PIXELS=exact")
    found = answered(own, [0.5, 0.5, 0.25, 0.25], mask=mask)
    (view,) = own.views(Target("any", BOX), FRAME)
    (x, y), (width, height) = view.corner, view.extent
    expected = {
        "head": [
            x + 0.375 * width + 0.5 / view.scale[0],
            y + 0.375 * height + 0.5 / view.scale[1],
            width / 4,
            height / 4,
        ],
        "mask": [x + 0.375 * width, y + 0.25 * height, 0.375 * width, 0.25 * height],
        "base": BOX,
    }
    np.testing.assert_allclose(found.box, expected[source], atol=1.01 if source == "mask" else 1e-9)
    empty = answered(method("TEST.BOX=mask"), mask=mask * 0.1)
    assert np.array_equal(empty.box, BOX) and empty.found


def test_heads_that_are_not_there_are_named():
    with pytest.raises(InputError, match="TEST.BOX: head: this network has no box head"):
        method("TEST.BOX=head", variant="alpha_refine-mask")
    with pytest.raises(InputError, match="no mask head"):
        method("TEST.MASK=true", variant="alpha_refine-corners")
    with pytest.raises(InputError, match="leave nothing to compute"):
        micro.model("alpha_refine-corners", "MODEL.HEAD.TYPE=NONE")


@pytest.mark.parametrize("box", [[100.0, 80, 60, 40], [33.3, 50.7, 41.2, 77.9], [-20.0, 4.0, 30.5, 60.1]])
def test_exact_pixels_find_a_square_where_it_is(box):
    """A white rectangle, cut and measured in the crop as its labels are, comes back to the same place."""
    image = np.zeros((240, 320, 3), np.uint8)
    image[100:140, 60:110] = 255
    own = {name: method(f"TEST.PIXELS={name}", "TEST.CLIP=false") for name in ("exact", "original")}
    (view,) = own["exact"].views(Target("any", np.array(box)), FRAME)
    truth = np.array([60.0, 100.0, 50.0, 40.0])
    inside = view.to_crop(truth)
    exact, original = (each.to_frame(view, xywh_to_cxcywh(inside)) for each in own.values())
    shift = np.array(view.corner) + np.array(view.extent) / 2 - view.around[:2] - view.around[2:] / 2
    np.testing.assert_allclose(exact, truth + [*shift, 0, 0], atol=1e-9)
    lost = (2 * view.around[2:] - np.array(view.extent)) / 2  # by rounding up
    np.testing.assert_allclose(exact - original, [*(shift + 0.5 / np.array(view.scale) + lost), 0, 0], atol=1e-9)
    assert cut(image, view).max() == 255 or box[0] < 0


def test_blank_border_and_first_shift():
    blank, whole = method(), method("TEST.BLANK_BORDER=false", "TEST.FIRST_SHIFT=0.5")
    edge = Target("any", np.array([280.0, 100.0, 40.0, 40.0]))
    assert blank.views(edge, FRAME)[0].outside(FRAME.size)[3] == whole.views(edge, FRAME)[0].outside(FRAME.size)[3] + 1
    assert [blank.first_views(edge, FRAME)[0].around[0], whole.first_views(edge, FRAME)[0].around[0]] == [280, 280.5]


def test_extent_of_a_mask():
    logits = -torch.ones(2, 1, 16, 16)
    logits[0, 0, 3:5, 6:11] = 1
    assert mask_extent(logits).tolist() == [[6, 3, 11, 5], [4, 4, 12, 12]]


def test_a_mask_outside_its_frame_and_without_a_region():
    mask = TargetMask(np.ones((8, 8), np.float32), (-50, 300), (20, 20))
    assert not mask.in_frame((240, 320)).any()
    assert mask.box(0.5, 1000) is None and mask.box(0.5, 0).tolist() == [-50, 300, 20, 20]


def test_losses_by_hand():
    network, batch = micro.model("alpha_refine"), micro.batch("alpha_refine", 3)
    batch = batch._replace(has_mask=torch.tensor([True, False, True]))
    losses, figures = network.step(batch)
    with torch.no_grad():
        found = network(network.embed(batch.template), batch.search)
    x, y, w, h = (batch.search_box * 128).unbind(1)
    truth = torch.stack([x, y, x + w, y + h], dim=1).clamp(0, 128)
    assert losses["corner"].item() == pytest.approx(((found.corners - truth) ** 2).mean().item(), rel=1e-5)
    kept = torch.tensor([0, 2])
    mask = binary_cross_entropy(found.mask[kept, 0].sigmoid(), batch.mask[kept].float() / 255)
    assert losses["mask"].item() == pytest.approx(1000 * mask.item(), rel=1e-4)
    assert figures["mask_iou"][1] == 2
    none = network.step(batch._replace(has_mask=torch.zeros(3, dtype=torch.bool)))[0]
    assert none["mask"].item() == 0 and "mask" not in network.step(batch._replace(mask=None))[0]
    giou = micro.model("alpha_refine", "TRAIN.CORNER_LOSS=giou").step(batch)[0]["corner"]
    assert 0 < giou.item() < 2


def test_the_cell_at_the_centre_learns():
    """A cell head whose every cell says its own corner: the label's cell is taken, not the most confident one."""
    head = CellBoxHead(4, 4, cells=4, stride=16).eval()
    for tower in (head.box_tower, head.confidence_tower):
        torch.nn.init.zeros_(tower[-1].weight)
        torch.nn.init.zeros_(tower[-1].bias)
    found = head(torch.randn(1, 4, 4, 4))
    corners, loss = head.learn(found, torch.tensor([[30.0, 10.0, 44.0, 24.0]]))  # centre 37, 17: column 2, row 1
    assert corners.tolist() == [[32, 16, 32, 16]] and found.corners.tolist() == [[0, 0, 0, 0]]
    assert loss.item() == pytest.approx(np.log(16))
