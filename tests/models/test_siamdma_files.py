"""Files of SiamDMA's weights: the author's names, and what training starts from."""

import logging

import golden_siamdma as golden
import micro
import pytest
import torch

from lib.core.config import load_config
from lib.core.errors import InputError
from lib.layers.timm_parts import timm
from lib.models import build_model
from lib.models.pretrained import load_pretrained
from lib.models.siamese.siamdma_names import download_resnet, start_weights
from lib.models.weights import identify, load_state

RAW = "DATA.INPUT=pysot"


def values(model):
    return {key: value for key, value in model.state_dict().items() if value.is_floating_point()}


@pytest.mark.parametrize("shared", ["true", "false"])
def test_the_authors_names_and_back(shared):
    changes = [RAW, f"MODEL.BACKBONE.SHARED_STEM={shared}"]
    model, other = micro.model("siamdma", *changes), micro.model("siamdma", *changes, seed=1)
    named = model.publish("author")
    assert set(named) == {key for key, _, _ in golden.read("siamdma_schema")["schema"]}
    assert identify(named) == identify(model.state_dict()) == "siamdma"
    load_state(other, named, "file")
    assert all(torch.equal(value, other.state_dict()[key]) for key, value in values(model).items())


def test_scalars_that_nothing_depends_on_may_be_missing_and_nothing_else():
    model, named = micro.model("siamdma", RAW), micro.model("siamdma", RAW, seed=1).publish("author")
    for key in golden.read("siamdma_schema")["never_used"]:
        del named[key]
    load_state(model, named, "file")
    named["Zmix.cattn.fc3.weight"] = torch.zeros(1)
    with pytest.raises(InputError, match=r"unexpected Zmix\.cattn\.fc3\.weight"):
        load_state(model, named, "file")


def test_stems_that_differ_need_two_stems():
    named = micro.model("siamdma", RAW, "MODEL.BACKBONE.SHARED_STEM=false").publish("author")
    with pytest.raises(InputError, match=r"MODEL\.BACKBONE\.SHARED_STEM=false"):
        load_state(micro.model("siamdma", RAW), named, "file")


def test_weights_carry_which_input_they_are_for():
    named, own = micro.model("siamdma", RAW).publish("author"), micro.model("siamdma").state_dict()
    with pytest.raises(InputError, match=r"made for pysot.*set DATA\.INPUT=pysot"):
        load_state(micro.model("siamdma"), named, "file")
    with pytest.raises(InputError, match=r"made for imagenet.*set DATA\.INPUT=imagenet"):
        load_state(micro.model("siamdma", RAW), own, "file")
    with pytest.raises(InputError, match="--naming author"):
        micro.model("siamdma").publish("author")


def trunk(last=3, projection=1):
    """A ResNet of the narrow width, as torchvision names it; pysot's projections are 3 x 3."""
    stream = {key: value for key, value in micro.model("siamdma", seed=2).state_dict().items() if "backbone" in key}
    found = {}
    for key, value in stream.items():
        _, group, number, name = key.split(".", 3)
        if number == "0":
            is_wide = name.endswith("downsample.0.weight") and group == "streams"
            found[name] = value[:, :, 1:2, 1:2] if is_wide and projection == 1 else value
    return found


def start(tmp_path, weights, caplog, *changes):
    """The network after it started from a file, and the account in the log."""
    torch.save(weights, tmp_path / "start.pth")
    model = micro.model("siamdma", *changes, seed=3)
    caplog.set_level(logging.INFO)
    load_pretrained(model, micro.config("siamdma", "MODEL.PRETRAIN_FILE=start.pth", *changes), str(tmp_path))
    return model, caplog.records[-1].getMessage()


@pytest.mark.parametrize(("projection", "form"), [(1, "imagenet"), (3, "pysot")])
def test_both_cameras_start_from_one_resnet(tmp_path, caplog, projection, form):
    weights = trunk(projection=projection)
    extra = {"layer4.0.conv1.weight": torch.zeros(3), "fc.weight": torch.zeros(3), "fc.bias": torch.zeros(3)}
    model, account = start(tmp_path, weights | extra, caplog, f"DATA.INPUT={form}")
    for camera in model.backbone.streams:
        assert torch.equal(camera.layer3[1].conv2.weight, weights["layer3.1.conv2.weight"])
        wide = camera.layer2[0].downsample[0].weight
        assert (
            torch.equal(wide[:, :, 1:2, 1:2], weights["layer2.0.downsample.0.weight"][..., -2:-1, -2:-1])
            == (projection == 3)
            or projection == 1
        )
        if projection == 1:
            assert torch.equal(wide[:, :, 1, 1], weights["layer2.0.downsample.0.weight"][:, :, 0, 0])
            assert wide.count_nonzero() == wide[:, :, 1, 1].count_nonzero()
    assert torch.equal(model.backbone.stems[0].layer1[2].conv3.weight, weights["layer1.2.conv3.weight"])
    scratch, unused = account.splitlines()[1:]
    assert "backbone" not in scratch and "head.levels" in scratch and "input_form" in scratch
    assert "backbone.layer4" in unused and "backbone.fc" in unused
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_timm_gives_every_layer_of_the_trunk(monkeypatch):
    """Names and shapes of its ResNet-50; the values would be downloaded."""
    make = timm.create_model
    monkeypatch.setattr(timm, "create_model", lambda name, pretrained: make(name, pretrained=False))
    with torch.device("meta"):
        own = build_model(load_config("siamdma", "siamdma")).state_dict()
        found = start_weights(download_resnet(), own | {"input_form": torch.tensor(0, device="cpu")})
    trunk = {key: value.shape for key, value in own.items() if key.startswith("backbone.")}
    assert {key: found[key].shape for key in trunk} == trunk


def test_timm_that_cannot_load_is_one_line(monkeypatch):
    def refuse(name, pretrained):
        raise OSError("no network\nat all")

    monkeypatch.setattr(timm, "create_model", refuse)
    with pytest.raises(InputError, match=r"^MODEL\.PRETRAIN_FILE: timm cannot load resnet50\.tv_in1k \(no network\)"):
        download_resnet()


def test_trunk_made_for_other_input_is_named(tmp_path, caplog):
    start(tmp_path, trunk(projection=3), caplog)
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert warnings == ["DATA.INPUT is imagenet, but weights of this layout were made for pysot"]


def test_siamban_gives_trunk_neck_and_the_heads_of_the_cameras(tmp_path, caplog):
    weights = {f"backbone.{key}": value for key, value in trunk(projection=3).items()}
    source = micro.model("siamdma", seed=4).state_dict()
    for level, number in (("res3", 2), ("res4", 3)):
        for key, value in source.items():
            if key.startswith(f"neck.streams.0.{level}."):
                weights[key.replace(f"streams.0.{level}", f"downsample{number}.downsample")] = value
            if key.startswith(f"stream_heads.0.levels.{level}."):
                weights[key.replace(f"stream_heads.0.levels.{level}", f"head.box{number}.cls")] = value
    weights |= {"head.box2.loc.head.3.bias": torch.zeros(4), "head.cls_weight": torch.zeros(3)}
    model, account = start(tmp_path, weights, caplog, RAW)
    own = model.state_dict()
    for camera in range(2):
        for part in ("neck.streams.{}.res4.0.weight", "stream_heads.{}.levels.res3.conv_kernel.0.weight"):
            assert torch.equal(own[part.format(camera)], source[part.format(0)])
    scratch, unused = account.splitlines()[1:]
    assert "neck" not in scratch and "attention.res3" in scratch and "head.levels" in scratch
    assert "head.box2" in unused and "head.cls_weight" in unused


def test_a_tracker_of_this_kind_with_other_parts_gives_what_it_has(tmp_path, caplog):
    baseline = micro.model("siamdma", "MODEL.CDSA.USE=false", seed=5)
    model, account = start(tmp_path, baseline.state_dict(), caplog)
    assert torch.equal(model.head.loc_scale, baseline.head.loc_scale)
    assert account.splitlines()[1].startswith("  from scratch: attention.res3")
