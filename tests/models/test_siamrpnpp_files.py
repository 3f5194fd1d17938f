"""Files of SiamRPN++'s weights: pysot's names, how its files wrap them, what training starts from, bad ones."""

import logging

import golden_pysot as pysot
import micro
import pytest
import torch

from lib.core.checkpoint import load_weights
from lib.core.errors import InputError
from lib.models.pretrained import load_pretrained
from lib.models.weights import identify, load_state
from tracking import convert_checkpoint

GOLDEN = {"siamrpnpp": "siamrpn_r50_l234_dwxcorr", "siamrpnpp-alex": "siamrpn_alex_dwxcorr"}
every = pytest.mark.parametrize("variant", ["siamrpnpp", "siamrpnpp-alex", "siamrpnpp-mobile"])


def same(first, second):
    return set(first) == set(second) and all(torch.equal(value, second[key]) for key, value in first.items())


@every
def test_pysots_names_and_back(variant):
    model, other = micro.model(variant), micro.model(variant, seed=1)
    named = model.publish("pysot")
    if variant in GOLDEN:
        assert set(named) == {key for key, *_ in pysot.schema(GOLDEN[variant])}
    assert identify(named) == identify(model.state_dict()) == "siamrpnpp"
    load_state(other, named, "file")
    assert same(other.state_dict(), model.state_dict())
    assert same(model.publish("toolbox"), model.state_dict())
    with pytest.raises(InputError, match="--naming"):
        model.publish("author")


@pytest.mark.parametrize("wrap", [
    lambda weights: weights,
    lambda weights: {f"module.{key}": value for key, value in weights.items()},
    lambda weights: {"state_dict": weights, "epoch": 20, "optimizer": {"lr": 0.1}},
    lambda weights: {"epoch": 3, "state_dict": {f"module.{key}": value for key, value in weights.items()}},
])  # fmt: skip
@pytest.mark.parametrize("old", [False, True])
def test_files_of_pysot(tmp_path, wrap, old):
    model, other = micro.model("siamrpnpp"), micro.model("siamrpnpp", seed=1)
    torch.save(wrap(model.publish("pysot")), tmp_path / "model.pth", _use_new_zipfile_serialization=not old)
    load_state(other, load_weights(tmp_path / "model.pth"), "file")
    assert same(other.state_dict(), model.state_dict())


def test_files_without_counters_of_batch_norm():
    model, other = micro.model("siamrpnpp"), micro.model("siamrpnpp", seed=1)
    named = {key: value for key, value in model.publish("pysot").items() if not key.endswith("tracked")}
    load_state(other, named, "file")
    assert same(other.state_dict(), model.state_dict())


def bad(change):
    named = micro.model("siamrpnpp").publish("pysot")
    change(named)
    return named


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda named: named.pop("rpn_head.cls_weight"), r"lacks rpn_head\.cls_weight"),
        (lambda named: named.update({"rpn_head.extra": torch.zeros(1)}), r"has the unexpected rpn_head\.extra"),
        (
            lambda named: named.update({"neck.downsample2.downsample.0.weight": torch.zeros(3, 3, 1, 1)}),
            r"neck\.streams\.0\.res3\.0\.weight: is \[3, 3, 1, 1\], this configuration needs",
        ),
    ],
)
def test_file_that_does_not_fit_is_one_line(change, message):
    with pytest.raises(InputError, match=message) as raised:
        load_state(micro.model("siamrpnpp"), bad(change), "model.pth")
    assert str(raised.value).startswith("model.pth: ") and "\n" not in str(raised.value)


def test_weights_of_another_kind_are_named():
    """Of another trunk, of SiamRPN and for it."""
    named = {name: micro.model(name).publish("pysot") for name in ("siamrpnpp", "siamrpnpp-alex", "siamrpn")}
    with pytest.raises(InputError, match="lacks .*use the configuration that the weights were trained with"):
        load_state(micro.model("siamrpnpp"), named["siamrpnpp-alex"], "model.pth")
    with pytest.raises(InputError, match="holds siamrpn, the configuration asks for siamrpnpp"):
        load_state(micro.model("siamrpnpp"), named["siamrpn"], "model.pth")
    with pytest.raises(InputError, match="holds siamrpnpp, the configuration asks for siamrpn"):
        load_state(micro.model("siamrpn"), named["siamrpnpp-alex"], "model.pth")
    with pytest.raises(InputError, match="holds siamrpnpp, the configuration asks for siamdma"):
        load_state(micro.model("siamdma"), named["siamrpnpp"], "model.pth")
    with pytest.raises(InputError, match="holds siamdma, the configuration asks for siamrpnpp"):
        load_state(micro.model("siamrpnpp"), micro.model("siamdma").state_dict(), "model.pth")


def start(tmp_path, weights, caplog, variant):
    """The network after it started from a file, and the lines of the account in the log."""
    torch.save(weights, tmp_path / "start.pth")
    model = micro.model(variant, seed=3)
    caplog.set_level(logging.INFO)
    load_pretrained(model, micro.config(variant, "MODEL.PRETRAIN_FILE=start.pth"), str(tmp_path))
    return model, caplog.records[-1].getMessage().splitlines()


@pytest.mark.parametrize("projection", [1, 3])
def test_training_starts_from_a_resnet_of_torchvision_or_pysot(tmp_path, caplog, projection):
    source = {key.removeprefix("backbone."): value for key, value in micro.model("siamrpnpp").publish("pysot").items()
              if key.startswith("backbone.")}  # fmt: skip
    if projection == 1:
        source = {key: value[..., 1:2, 1:2] if key.endswith("0.downsample.0.weight") and value.shape[-1] == 3 else value
                  for key, value in source.items()}  # fmt: skip
    model, (_, scratch, unused) = start(tmp_path, source | {"fc.weight": torch.zeros(2, 2)}, caplog, "siamrpnpp")
    own = model.state_dict()
    assert torch.equal(own["backbone.streams.0.layer4.2.conv2.weight"], source["layer4.2.conv2.weight"])
    wide, given = own["backbone.streams.0.layer2.0.downsample.0.weight"], source["layer2.0.downsample.0.weight"]
    assert torch.equal(wide[..., 1:2, 1:2], given[..., -2:-1, -2:-1] if projection == 3 else given)
    assert projection == 3 or wide.count_nonzero() == given.count_nonzero()
    assert "backbone" not in scratch and "rpn_head" in scratch and "backbone.fc" in unused


def test_training_starts_from_pysots_alexnet(tmp_path, caplog):
    own = micro.model("siamrpnpp-alex").state_dict()
    places = {"0": "layer1.0", "1": "layer1.1", "4": "layer2.0", "5": "layer2.1", "8": "layer3.0", "9": "layer3.1",
              "11": "layer4.0", "12": "layer4.1", "14": "layer5.0", "15": "layer5.1"}  # fmt: skip
    weights = {}
    for key, value in own.items():
        if key.startswith("backbone.features."):
            index, name = key.removeprefix("backbone.features.").split(".")
            weights[f"{places[index]}.{name}"] = value
    model, (_, scratch, *_) = start(tmp_path, weights, caplog, "siamrpnpp-alex")
    assert all(torch.equal(model.state_dict()[key], value) for key, value in own.items() if "features" in key)
    assert "backbone" not in scratch


def test_converted_to_safetensors_and_back(tmp_path, monkeypatch):
    """Through the command, by the narrow network's configuration."""
    model = micro.model("siamrpnpp")
    torch.save({"state_dict": model.publish("pysot")}, tmp_path / "model.pth")
    monkeypatch.setattr("lib.cli.convert.load_config", lambda script, name: micro.config("siamrpnpp"))
    tracker = ["--script", "siamrpnpp", "--config", "siamrpn_r50_l234_dwxcorr"]
    convert_checkpoint.main([str(tmp_path / "model.pth"), str(tmp_path / "x.safetensors"), *tracker])
    assert same(load_weights(tmp_path / "x.safetensors"), model.state_dict())
    back = [str(tmp_path / "x.safetensors"), str(tmp_path / "back.pth"), *tracker, "--naming", "pysot"]
    convert_checkpoint.main(back)
    assert same(load_weights(tmp_path / "back.pth"), model.publish("pysot"))
