"""YAML, --set and JSON from elsewhere: a value or one line, soon."""

import json
import time

import numpy as np
import pytest
from compare import message_of

from lib.core import bounded
from lib.core.bounded import parse_json, parse_yaml
from lib.core.config import load_config
from lib.core.errors import InputError
from lib.core.schema import read_yaml
from lib.test.tuning.space import parse_axis

HOSTILE = {
    "a date that is none": "A: 2001-13-45",
    "digits that are missing": "A: 0b_",
    "a number of 5000 digits": "A: " + "7" * 5000,
    "a hexadecimal number of 5000 digits": "A: 0x" + "7" * 5000,
    "a number of 100 bits": "A: 0x" + "7" * 25,
    "a list as a key": "[1, 2]: 3",
    "a mapping as a key": "{a: 1}: 3",
    "a word as a number": "A: !!int abc",
    "a word as a truth": "A: !!bool abc",
    "a word as a float": "A: !!float abc",
    "a word as bytes": "A: !!binary abc",
    "a list as a set": "A: !!set [1]",
    "a word as a list of pairs": "A: !!pairs x",
    "lists 3000 deep": "A: " + "[" * 3000,
    "blocks 3000 deep": "\n".join(" " * depth + "a:" for depth in range(500)),
    "keys 3000 deep": "? " * 3000 + "a",
    "aliases that unfold": "a0: &a0 [1, 1]\n" + "".join(f"a{k}: &a{k} [*a{k - 1}, *a{k - 1}]\n" for k in range(1, 40)),
    "merges that unfold": "a0: &a0 {x: 1}\n" + "".join(
        f"a{k}: &a{k} {{<<: [*a{k - 1}, *a{k - 1}], k{k}: *a{k - 1}}}\n" for k in range(1, 40)),
    "itself inside": "a: &a [*a]",
    "many values": "- 1\n" * 30_000,
    "a long file": "#" * (bounded.LARGEST + 1),
    "code": "A: !!python/object/apply:os.system [echo]",
    "a null byte": "A: \0",
    "a key twice": "A: 1\nA: 2",
    "two documents": "A: 1\n---\nB: 1",
    "an alias of nothing": "A: *b",
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_yaml_is_one_line_and_soon(tmp_path, case):
    begun = time.process_time()
    with pytest.raises(ValueError) as raised:
        parse_yaml(HOSTILE[case])
    assert len(str(raised.value)) < 250
    path = tmp_path / "mine.yaml"
    path.write_text(HOSTILE[case], encoding="utf-8")
    for read in (lambda: read_yaml(path), lambda: load_config("iimf_track", str(path))):
        message = message_of(read)
        assert message.startswith(f"{path}: ") and len(message) < 400
    message = message_of(load_config, "iimf_track", "tiny", [f"TRAIN.LR={HOSTILE[case]}"])
    assert message.startswith("--set TRAIN.LR=") and len(message) < 600
    assert time.process_time() - begun < 10


def test_search_values_are_bounded_too():
    assert "are not YAML values" in message_of(parse_axis, "TEST.SEARCH_FACTOR=2001-13-45", {"TEST.SEARCH_FACTOR": 4.0})


def test_what_people_write_stays_readable():
    text = "base: &base {LR: 1e-4, N: 12}\nmine:\n  <<: *base\n  N: 0x10\nlist: [1, -2.5, .inf, true, ~, 2001-12-14]\n"
    found = parse_yaml(text)
    assert found["mine"] == {"LR": "1e-4", "N": 16} and found["list"][:5] == [1, -2.5, np.inf, True, None]
    assert parse_yaml("0.30000000000000004") == 0.1 + 0.2 and parse_yaml(str(2**63)) == 2**63


def test_deep_json_is_a_value_error():
    with pytest.raises(ValueError, match="nested too deeply"):
        parse_json("[" * 100_000)
    with pytest.raises(ValueError):
        parse_json("7" * 5000)
    assert parse_json(json.dumps({"a": [1]})) == {"a": [1]}


def test_mutated_configurations_are_a_value_or_one_line(tmp_path):
    rng = np.random.default_rng(15)
    whole = "TRAIN:\n  LR: 1e-4  # rate\n  N: 0x10\n  AMP: &a [1, {b: 2}]\nTEST: {X: *a, Y: !!str 3, Z: 2001-12-14}\n"
    signs = list("[]{}&*!|>%@`'\"#:-?, \n\t0x_\\~<=.") + ["!!", "\n  ", ": ", "- ", "<<: ", "\x85", "\ud7ff"]
    path, read = tmp_path / "x.yaml", 0
    for _ in range(400):
        text = list(whole)
        for _ in range(rng.integers(1, 5)):
            place = rng.integers(len(text))
            text[place : place + rng.integers(0, 3)] = [signs[rng.integers(len(signs))]]
        path.write_text("".join(text), encoding="utf-8")
        try:
            read += isinstance(read_yaml(path), dict)
        except InputError as error:
            assert str(error).isprintable()
    assert 20 < read < 380, "both ends are reached"
