"""Weights in one byte a value: as near as the rule says, smaller on disk, and read like any others."""

import sys

import micro
import pytest
import torch

from lib.core.checkpoint import load_weights, save_weights
from lib.core.compact import compact, expand
from lib.core.errors import InputError
from lib.models.weights import load_state
from tracking import convert_checkpoint


def weights_of(model):
    state = model.state_dict()
    return {
        key: value + 0.01 * torch.randn(value.shape) if value.is_floating_point() else value
        for key, value in state.items()
    }


def test_every_value_is_within_half_a_step_of_its_row():
    torch.manual_seed(0)
    matrix = torch.randn(96, 3, 16, 16) * torch.logspace(-4, 1, 96).view(96, 1, 1, 1)
    matrix[5] = 0
    stored = compact({"a.weight": matrix, "a.bias": torch.randn(96)})
    assert stored["a.weight"].dtype == torch.int8 and stored["a.weight"].shape == matrix.shape
    assert stored["a.bias"].dtype == torch.float16
    again = expand(stored)
    assert again.keys() == {"a.weight", "a.bias"} and again["a.weight"].dtype == torch.float32
    error = (again["a.weight"] - matrix).flatten(1).abs().amax(dim=1)
    largest = matrix.flatten(1).abs().amax(dim=1)
    assert (error <= largest * (0.5001 / 127)).all()
    assert (again["a.weight"][5] == 0).all()


def test_counters_and_small_tensors_keep_their_kind():
    weights = {"n": torch.tensor(7), "code": torch.randn(1, 400, 64), "few": torch.randn(4, 4)}
    stored = compact(weights)
    assert {key: value.dtype for key, value in stored.items()} == {
        "n": torch.int64,
        "code": torch.float16,
        "few": torch.float16,
    }
    assert torch.equal(expand(stored)["n"], weights["n"])


def test_command_writes_a_file_that_loads_as_any_other(tmp_path, monkeypatch, caplog):
    torch.manual_seed(0)
    model = micro.model("iimf_track")
    weights = weights_of(model)
    save_weights(tmp_path / "whole.safetensors", weights, {})
    convert = ["convert_checkpoint.py", str(tmp_path / "whole.safetensors")]
    monkeypatch.setattr(sys, "argv", [*convert, str(tmp_path / "small.safetensors"), "--store", "int8"])
    convert_checkpoint.main()
    assert (tmp_path / "small.safetensors").stat().st_size < 0.5 * (tmp_path / "whole.safetensors").stat().st_size
    load_state(model, load_weights(tmp_path / "small.safetensors"))
    for key, value in model.state_dict().items():
        assert torch.allclose(value, weights[key], atol=float(weights[key].abs().max()) / 200), key
    monkeypatch.setattr(sys, "argv", [*convert, str(tmp_path / "x.pth"), "--store", "int8"])
    with pytest.raises(InputError, match="--store int8: other codes cannot read it"):
        convert_checkpoint.main()


def test_convert_writes_the_mean_of_several_files(tmp_path, monkeypatch):
    random = torch.Generator().manual_seed(0)
    files = []
    for number in range(3):
        weights = {"backbone.a.weight": torch.randn(4, 3, generator=random), "backbone.steps": torch.tensor(number)}
        torch.save({"net": weights}, tmp_path / f"ep{number}.pth.tar")
        files.append((str(tmp_path / f"ep{number}.pth.tar"), weights))
    (last, first), *others = files
    out = tmp_path / "mean.safetensors"
    monkeypatch.setattr(
        sys, "argv", ["convert_checkpoint.py", last, str(out), "--average", *(name for name, _ in others)]
    )
    convert_checkpoint.main()
    mean = torch.stack([weights["backbone.a.weight"] for _, weights in files]).mean(0)
    found = load_weights(out)
    torch.testing.assert_close(found["backbone.a.weight"], mean)
    assert found["backbone.steps"] == first["backbone.steps"]
    torch.save({"net": {"backbone.a.weight": torch.randn(4, 2)}}, tmp_path / "other.pth.tar")
    again = [last, str(tmp_path / "x.safetensors"), "--average", str(tmp_path / "other.pth.tar")]
    monkeypatch.setattr(sys, "argv", ["convert_checkpoint.py", *again])
    with pytest.raises(InputError, match="other.pth.tar: holds other weights than .*ep0.pth.tar"):
        convert_checkpoint.main()
    assert not (tmp_path / "x.safetensors").exists()
