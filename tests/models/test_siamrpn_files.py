"""Files of SiamRPN's weights: the original release's old format, the ways to wrap a state dict, the command."""

import io
import pickle
import struct
import sys
from types import SimpleNamespace

import golden_siamrpn as golden
import micro
import pytest
import torch

from lib.core.checkpoint import load_weights, save_checkpoint
from lib.core.errors import InputError
from lib.models.siamese.siamrpn_names import export
from lib.models.weights import load_state
from tracking import convert_checkpoint

NARROW = ["MODEL.BACKBONE.WIDTH=0.0625"]


class OldPickler(pickle._Pickler):
    """Writes as Python 2 did: byte strings for text, storages of torch 0.3.1 by their keys."""

    dispatch = dict(pickle._Pickler.dispatch)

    def save_text(self, text):
        data = text.encode()
        self.write(pickle.SHORT_BINSTRING + bytes([len(data)]) + data if len(data) < 256 else
                   pickle.BINSTRING + struct.pack("<i", len(data)) + data)  # fmt: skip
        self.memoize(text)

    dispatch[str] = save_text

    def save_global(self, obj, name=None):
        if isinstance(obj, Global):
            self.write(f"c{obj.module}\n{obj.name}\n".encode())
        else:
            super().save_global(obj, name)

    def persistent_id(self, obj):
        if not isinstance(obj, Storage):
            return None
        return ("storage", Global("torch.cuda", "FloatStorage"), obj.key, "cuda:0", obj.values.numel(), None)


class Global:
    """A name of another module, written as it is."""

    def __init__(self, module, name):
        self.module, self.name = module, name

    def __call__(self, *args):
        raise NotImplementedError


OldPickler.dispatch[Global] = OldPickler.save_global


class Storage(SimpleNamespace):
    """The values of a tensor, which lie behind the pickle."""


class Tensor:
    """Pickles as torch 0.3.1 rebuilt its tensors."""

    def __init__(self, storage):
        self.storage = storage

    def __reduce__(self):
        shape = tuple(self.storage.values.shape)
        stride = tuple(self.storage.values.stride())
        return Global("torch._utils", "_rebuild_tensor"), (self.storage, 0, shape, stride)


def write_like_torch_0_3_1(path, weights):
    """A bare OrderedDict without metadata and counters, as `torch.save` of 2018 wrote it under Python 2."""

    def pickled(content):
        file = io.BytesIO()
        OldPickler(file, protocol=2).dump(content)
        return file.getvalue()

    kept = {key: value for key, value in weights.items() if not key.endswith("num_batches_tracked")}
    storages = {key: Storage(key=str(number), values=value) for number, (key, value) in enumerate(kept.items())}
    content = Many([(key, Tensor(storage)) for key, storage in storages.items()])
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    with open(path, "wb") as file:
        for part in (0x1950A86A20F9469CFC6C, 1001, system, content, [storage.key for storage in storages.values()]):
            file.write(pickled(part))
        for storage in storages.values():
            file.write(struct.pack("<q", storage.values.numel()) + storage.values.numpy().tobytes())


class Many:
    """collections.OrderedDict as Python 2 pickled it: a list of pairs."""

    def __init__(self, pairs):
        self.pairs = pairs

    def __reduce__(self):
        return Global("collections", "OrderedDict"), ([list(pair) for pair in self.pairs],)


def test_file_of_the_original_release_loads_strictly(tmp_path):
    weights = golden.original_weights("SiamRPNvot")
    path = tmp_path / "SiamRPNVOT.model"
    write_like_torch_0_3_1(path, weights)
    assert path.stat().st_size >= 90542736, "as large as the release's, which has no counters either"
    assert b"U\x17featureExtract.0.weight" in path.read_bytes()[:4000], "a byte string of Python 2"
    loaded = load_weights(path)
    assert loaded.keys() == {key for key in weights if not key.endswith("num_batches_tracked")}
    assert all(torch.equal(value, weights[key]) for key, value in loaded.items())
    model = micro.model("siamrpn", "MODEL.BACKBONE.WIDTH=1", "DATA.SEARCH.SIZE=255", "TEST.SEARCH_SIZE=271")
    load_state(model, loaded, str(path))
    own = model.state_dict()
    assert torch.equal(own["rpn_head.template_loc_conv.weight"], weights["conv_r1.weight"])
    assert own["backbone.features.1.num_batches_tracked"] == 0


@pytest.mark.parametrize("wrap", [
    lambda w: w, lambda w: {"state_dict": w}, lambda w: {"model": w},
    lambda w: {"state_dict": {f"module.{key}": value for key, value in w.items()}},
])  # fmt: skip
def test_ways_to_wrap_a_state_dict(tmp_path, wrap):
    source, other = micro.model("siamrpn"), micro.model("siamrpn", seed=1)
    torch.save(wrap(export(source.state_dict(), "original")), tmp_path / "x.pth")
    load_state(other, load_weights(tmp_path / "x.pth"), "x.pth")
    assert all(
        torch.equal(a, b) for a, b in zip(source.state_dict().values(), other.state_dict().values(), strict=True)
    )


def test_what_a_file_lacks_is_named_by_our_names(tmp_path):
    weights = export(micro.model("siamrpn").state_dict(), "original")
    del weights["conv_r2.bias"]
    with pytest.raises(InputError, match=r"x\.pth: lacks rpn_head\.search_loc_conv\.bias"):
        load_state(micro.model("siamrpn"), weights, "x.pth")


def convert(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["convert_checkpoint.py", *map(str, arguments)])
    convert_checkpoint.main()


def test_command_reads_every_naming_and_writes_each(tmp_path, monkeypatch, caplog):
    narrow = tmp_path / "narrow.yaml"
    narrow.write_text("MODEL: {NAME: siamrpn, CORR_SCALE: 0.25, BACKBONE: {WIDTH: 0.0625}}\n")
    source = micro.model("siamrpn", "MODEL.CORR_SCALE=0.25")
    save_checkpoint(tmp_path / "train.pth.tar", {"net": source.state_dict(), "epoch": 3})
    network = ["--script", "dasiamrpn", "--config", narrow]
    convert(monkeypatch, tmp_path / "train.pth.tar", tmp_path / "out.model", *network, "--naming", "original")
    public = torch.load(tmp_path / "out.model", weights_only=True)
    assert torch.equal(public["conv_cls1.weight"], source.rpn_head.template_cls_conv.weight * 0.25)
    assert "corr_scale" not in " ".join(public)
    convert(monkeypatch, tmp_path / "out.model", tmp_path / "pysot.pth", *network, "--naming", "pysot")
    assert "rpn_head.template_cls_conv.weight" in torch.load(tmp_path / "pysot.pth", weights_only=True)
    convert(monkeypatch, tmp_path / "pysot.pth", tmp_path / "own.safetensors", *network)
    own, back = source.state_dict(), load_weights(tmp_path / "own.safetensors")
    assert own.keys() == back.keys() and all(torch.equal(own[key], back[key]) for key in own)
    with pytest.raises(InputError, match="--naming 'pyysot' is unknown; did you mean pysot"):
        convert(monkeypatch, tmp_path / "out.model", tmp_path / "x.pth", *network, "--naming", "pyysot")


def test_command_finds_the_configuration_by_the_shapes(tmp_path, monkeypatch, caplog):
    with torch.device("meta"):
        shapes = micro.model("siamrpn", "MODEL.BACKBONE.WIDTH=1").state_dict()
    weights = {key: torch.zeros(value.shape, dtype=value.dtype) for key, value in shapes.items()}
    weights["rpn_head.corr_scale"] += 1
    torch.save(export(weights, "original"), tmp_path / "x.model")
    with caplog.at_level("INFO"):
        convert(
            monkeypatch, tmp_path / "x.model", tmp_path / "x.safetensors", "--script", "dasiamrpn", "--config", "auto"
        )
    fits = next(record.getMessage() for record in caplog.records if ": fits " in record.getMessage())
    assert "siamrpn_otb" in fits and "big" not in fits
    with pytest.raises(InputError, match="fits no configuration of experiments/iimf_track"):
        convert(
            monkeypatch, tmp_path / "x.model", tmp_path / "y.safetensors", "--script", "iimf_track", "--config", "auto"
        )
