"""Checkpoints that were made to do harm, and honest ones that look like them."""

import io
import pickle
import struct
import zipfile
from collections import Counter, OrderedDict, defaultdict

import numpy as np
import pytest
import torch
from compare import message_of

from lib.core import checkpoint, torch_file, unpickle
from lib.core.checkpoint import load_checkpoint, load_weights
from lib.core.errors import InputError
from lib.core.unpickle import NumpyArray, Placeholder


class Raw:
    """A call as a file can state it: of any name, with any arguments and any state."""

    def __init__(self, name, *args, state=None):
        self.name, self.args, self.state = name, args, state


class Handmade(pickle._Pickler):
    """Writes `Raw` calls without looking their names up."""

    dispatch = dict(pickle._Pickler.dispatch)

    def save_raw(self, raw):
        self.write(b"c" + raw.name.rpartition(".")[0].encode() + b"\n" + raw.name.rpartition(".")[2].encode() + b"\n")
        if raw.args != ("itself",):
            self.save(raw.args)
            self.write(pickle.REDUCE)
        if raw.state is not None:
            self.save(raw.state)
            self.write(pickle.BUILD)

    dispatch[Raw] = save_raw

    def persistent_id(self, obj):
        return obj.reference if isinstance(obj, Stored) else None


class Stored:
    """A reference to tensor data."""

    def __init__(self, values, key="0", kind="FloatStorage"):
        self.reference = ("storage", Raw(f"torch.{kind}", "itself"), key, "cpu", values)


def write_zip(path, content, data=b"\0" * 16, compress=zipfile.ZIP_STORED):
    """A file of torch.save's zip format. content: an object or a ready pickle."""
    file = io.BytesIO()
    Handmade(file, protocol=2).dump(content)
    with zipfile.ZipFile(path, "w", compress) as archive:
        archive.writestr("archive/data.pkl", content if isinstance(content, bytes) else file.getvalue())
        archive.writestr("archive/data/0", data)
        archive.writestr("archive/version", "3\n")
    return path


def tensor(values=4, offset=0, shape=(2, 2), stride=(2, 1), **kinds):
    return Raw("torch._utils._rebuild_tensor_v2", Stored(values, **kinds), offset, shape, stride, False, OrderedDict())


def numpy_type(code="f8", state=(3, "<", None, None, None, -1, -1, 0)):
    return Raw("numpy.dtype", code, False, True, state=state)


def numpy_array(state):
    return Raw("numpy.core.multiarray._reconstruct", Raw("numpy.ndarray", "itself"), (0,), b"b", state=state)


def nested_tuples(depth):
    return b"\x80\x02}" + b")" + b"\x85" * depth + b"K\x01s."


ADDRESS = b"\0AAAA\x41\x41\x41" * 2
WRONG = {
    "more values than bytes": {"net": {"a": tensor(1 << 40, shape=(1 << 40,), stride=(1,))}},
    "values beyond the data": {"net": {"a": tensor(offset=1)}},
    "a stride beyond the data": {"net": {"a": tensor(stride=(1 << 30, 1))}},
    "a negative stride": {"net": {"a": tensor(offset=3, stride=(-2, 1))}},
    "a repeated value": {"net": {"a": tensor(shape=(1 << 40,), stride=(0,))}},
    "no such data": {"net": {"a": tensor(key="../version")}},
    "sizes that are no numbers": {"net": {"a": tensor(shape=(2.0, 2), stride=(2, 1))}},
    "a tensor of an object": {"net": {"a": Raw("torch._utils._rebuild_tensor_v2", {"dtype": 1}, 0, (), (), False, {})}},
    "a call of a value": b"\x80\x02K\x01)R.",
    "an item of a number": b"\x80\x02K\x01K\x02K\x03s.",
    "a registered extension": b"\x80\x02\x82\x01.",
    "a large buffer": b"\x80\x05\x96" + struct.pack("<Q", 1 << 45) + b"abc.",
    "deep keys": nested_tuples(400_000),
    "a long number": b"\x80\x02\x8b" + struct.pack("<i", 5000) + b"\x7f" * 5000 + b".",
    "a key of many bits": b"\x80\x02}\x8a\x40" + b"\x7f" * 64 + b"K\x01s.",
    "endless work": b"\x80\x02" + b"N0" * 30_000 + b"}.",
    "copies without end": b"\x80\x02ccollections\nOrderedDict\nq\x010]q\x02(" + b"(K\x01K\x02t" * 500 + b"e0"
    + b"h\x01h\x02\x85R0" * 600 + b"}.",
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_a_file_that_states_what_is_not_so_is_one_line(tmp_path, case, monkeypatch):
    if case in ("endless work", "copies without end"):
        monkeypatch.setattr(unpickle, "OPERATIONS", 30_000)  # seconds, otherwise
    path = write_zip(tmp_path / "x.pth", WRONG[case])
    message = message_of(load_checkpoint, path)
    assert message.startswith(f"{path}: is not a whole checkpoint (") and "\n" not in message


def test_numpy_objects_of_a_file_are_never_built(tmp_path):
    content = {
        "net": {"a": tensor()},
        "type": numpy_type("O", (3, "|", None, ("a",), {"a": (1, 1 << 40)}, 8, 1, 27)),
        "foreign": numpy_array((1, (2,), numpy_type("O", (3, "|", None, None, None, 8, 8, 63)), False, ADDRESS)),
        "large": numpy_array((1, (1 << 40,), numpy_type(), False, ADDRESS)),
        "broken": numpy_array((1, 5)),
        "buffer": Raw("numpy.ndarray", (4,), numpy_type(), b"abcd"),
        "scalar": Raw("numpy.core.multiarray.scalar", numpy_type("O", (3, "|")), ADDRESS),
    }
    path = write_zip(tmp_path / "x.pth", content)
    found = load_checkpoint(path)
    assert load_weights(path)["a"].shape == (2, 2)
    assert isinstance(found["buffer"], Placeholder) and found["scalar"] == ADDRESS
    for key in ("foreign", "large", "broken"):
        assert isinstance(found[key], NumpyArray)
        with pytest.raises(ValueError):
            found[key].array()


def test_numbers_of_numpy_load_as_numbers(tmp_path):
    arrays = [
        np.arange(6.0).reshape(2, 3),
        np.asfortranarray(np.arange(6, dtype=">i2").reshape(2, 3)),
        np.zeros((0, 4)),
    ]
    content = {"net": {"a": torch.ones(2)}, "loss": np.float64(0.5), "step": np.int64(7), "arrays": arrays,
               "best": np.bool_(True), "half": np.float16(0.25), "names": np.array(["a", "b"])}  # fmt: skip
    for new in (True, False):
        torch.save(content, tmp_path / "x.pth", _use_new_zipfile_serialization=new)
        found = load_checkpoint(tmp_path / "x.pth")
        assert [found[key] for key in ("loss", "step", "best", "half")] == [0.5, 7, True, 0.25]
        for array, expected in zip(found["arrays"], arrays, strict=True):
            assert array.array().dtype == expected.dtype and np.array_equal(array.array(), expected)
        with pytest.raises(ValueError, match="not one of numbers"):
            found["names"].array()
    python2 = numpy_array((1, (1,), numpy_type(), False, b"\0\0\0\0\0\0\xe0?".decode("latin1")))
    assert load_checkpoint(write_zip(tmp_path / "y.pth", {"a": python2}))["a"].array().tolist() == [0.5]


def test_a_file_changes_nothing_of_this_process(tmp_path):
    names = ["torch.FloatStorage", "collections.OrderedDict", "torch._utils._rebuild_tensor_v2", "numpy.dtype"]
    content = {name: Raw(name, "itself", state=(None, {"dtype": 1, "__defaults__": (1,)})) for name in names}
    content["memory"] = Raw("torch.UntypedStorage", 1 << 50)
    content["weights"] = {"a": tensor()}
    before = vars(torch.FloatStorage).copy(), torch._utils._rebuild_tensor_v2.__defaults__
    found = load_checkpoint(write_zip(tmp_path / "x.pth", content))
    assert (vars(torch.FloatStorage), torch._utils._rebuild_tensor_v2.__defaults__) == before
    assert isinstance(found["memory"], Placeholder) and found["weights"]["a"].tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize("name", ["torch.save", "numpy.save", "shutil.copy", "os.mkdir", "builtins.open", "posix.link"])
def test_no_function_that_a_file_names_is_called(tmp_path, name):
    (tmp_path / "mine.txt").write_text("")
    made = tmp_path / "made.npy"
    arguments = {
        "torch.save": ([1], str(made)), "numpy.save": (str(made), [1]), "os.mkdir": (str(made),),
        "builtins.open": (str(made), "w"),
    }.get(name, (str(tmp_path / "mine.txt"), str(made)))  # fmt: skip
    found = load_checkpoint(write_zip(tmp_path / "x.pth", {"net": {"a": tensor()}, "more": Raw(name, *arguments)}))
    assert not made.exists() and isinstance(found["more"], Placeholder)


def test_large_memo_places_and_deep_lists_cost_nothing(tmp_path):
    deep = b"\x80\x02}X\x01\x00\x00\x00a" + b"]" * 100_000 + b"a" * 99_999 + b"r\xff\xff\xff\xffs."
    found = load_checkpoint(write_zip(tmp_path / "x.pth", deep))["a"]
    while found:  # unpacked by hand: printing it would need as many calls
        (found,) = found
    itself = b"\x80\x02}q\x00X\x03\x00\x00\x00neth\x00s."
    assert "holds no weights" in message_of(load_weights, write_zip(tmp_path / "y.pth", itself))


def test_compressed_and_overlapping_parts_are_refused(tmp_path, monkeypatch):
    path = write_zip(tmp_path / "x.pth", {"net": {"a": tensor()}}, compress=zipfile.ZIP_DEFLATED)
    assert "is compressed" in message_of(load_checkpoint, path)
    with zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in "abc":
            archive.writestr(f"{name}.npy", b"\0" * (1 << 20))
    monkeypatch.setattr(checkpoint, "_LARGEST", 1 << 21)
    assert "expands to more than" in message_of(load_checkpoint, tmp_path / "x.npz")


@pytest.mark.parametrize("new", [True, False])
def test_every_kind_of_content_equals_what_torch_reads(tmp_path, new):
    base = torch.arange(24.0)
    kinds = [torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8,
             torch.uint8, torch.bool, torch.complex64, torch.complex128]  # fmt: skip
    tensors = {str(kind): torch.tensor([1, 0, 3]).to(kind) for kind in kinds}
    if new:
        tensors |= {"uint16": torch.tensor([1, 65535], dtype=torch.uint16), "f8": base.to(torch.float8_e5m2)}
    tensors |= {
        "view": base[3:9].view(2, 3).T, "expanded": torch.ones(3, 1).expand(3, 5), "empty": torch.zeros(0, 3),
        "scalar": torch.tensor(2.5), "parameter": torch.nn.Parameter(base), "same": base,
    }  # fmt: skip
    model = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.BatchNorm1d(3))
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.randn(4, 3)).sum().backward()
    optimizer.step()
    content = {"net": tensors, "model": model.state_dict(), "optimizer": optimizer.state_dict(), "size": base.shape,
               "set": {1, 2}, "frozen": frozenset("a"), "bytes": b"\xff\0", "z": 1 + 2j, "d": defaultdict(list, a=[1]),
               ("a", 1): None, "rng": torch.get_rng_state()}  # fmt: skip
    torch.save(content, tmp_path / "x.pth", _use_new_zipfile_serialization=new)
    found = load_checkpoint(tmp_path / "x.pth")
    for key, value in tensors.items():
        assert (
            torch.equal(found["net"][key].to(torch.complex128), value.to(torch.complex128))
            and found["net"][key].dtype == value.dtype
        )
    assert found["net"]["same"].data_ptr() == found["net"]["parameter"].data_ptr(), "tied weights stay tied"
    assert all(torch.equal(value, model.state_dict()[key]) for key, value in found["model"].items())
    steps = [state["step"] for state in found["optimizer"]["state"].values()]
    assert steps == [1, 1, 1, 1] and found["optimizer"]["param_groups"] == content["optimizer"]["param_groups"]
    assert torch.equal(found["rng"], content["rng"])
    for key in ("size", "set", "frozen", "bytes", "z", "d", ("a", 1)):
        assert found[key] == content[key]


def test_old_format_refuses_sizes_beyond_the_file(tmp_path):
    path = tmp_path / "x.pth"
    torch.save({"net": {"a": torch.arange(4.0)}}, path, _use_new_zipfile_serialization=False)
    whole = path.read_bytes()
    count = struct.pack("<q", 4)
    assert whole.count(count) == 1
    path.write_bytes(whole.replace(count, struct.pack("<q", 1 << 40)))
    assert "has 1099511627776 values, not 4" in message_of(load_checkpoint, path)
    path.write_bytes(whole[:-8])
    assert "cut short" in message_of(load_checkpoint, path)
    large = io.BytesIO()
    for part in (torch_file._MAGIC, 1001, {"little_endian": True}, {"a": Stored(1 << 40)}, ["0"]):
        Handmade(large, protocol=2).dump(part)
    path.write_bytes(large.getvalue())
    assert "larger than the file" in message_of(load_checkpoint, path)


def test_mutated_files_are_a_value_or_one_line(tmp_path):
    """500 files: bytes changed, cut out or repeated, in the pickle of a small checkpoint."""
    rng = np.random.default_rng(14)
    content = {"net": {"a": tensor()}, "x": numpy_array((1, (2,), numpy_type(), False, ADDRESS)), "s": {1, (2, 3)},
               "l": Raw("numpy.core.multiarray.scalar", numpy_type(), ADDRESS[:8]),
               "o": Raw("a.b", 1, state={"c": 1})}  # fmt: skip
    file = io.BytesIO()
    Handmade(file, protocol=2).dump(content)
    whole = file.getvalue()
    read = 0
    for _ in range(500):
        data = bytearray(whole)
        for _ in range(rng.integers(1, 4)):
            place, length = rng.integers(len(data)), rng.integers(1, 6)
            kind = rng.integers(3)
            if kind == 0:
                data[place] = rng.integers(256)
            elif kind == 1:
                del data[place : place + length]
            else:
                data[place:place] = data[rng.integers(len(data)) :][:length]
        try:
            found = load_checkpoint(write_zip(tmp_path / "x.pth", bytes(data)))
            read += isinstance(found, dict)
        except InputError as error:
            assert str(error).isprintable()
    assert 50 < read < 450, "both ends are reached"


def test_a_counter_of_a_schedule_is_read(tmp_path):
    torch.save({"milestones": Counter([3, 3, 7])}, tmp_path / "x.pth")
    found = load_checkpoint(tmp_path / "x.pth")["milestones"]
    assert isinstance(found, Counter) and found == Counter({3: 2, 7: 1})
