"""Options are said once and mean the same in every command."""

import argparse

import pytest

from lib.cli import score, test, track, train, transform, tune, validate, vot
from lib.cli.commands import SCRIPTS, load_command
from lib.cli.options import add_tracker
from lib.cli.parser import Parser
from lib.core.errors import InputError

NAMED = [
    ["iimf_track", "tiny"],
    ["--device", "cpu", "iimf_track", "tiny"],
    ["iimf_track", "--device", "cpu", "tiny"],
    ["--tracker_name", "iimf_track", "--tracker_param", "tiny"],
    ["--script", "iimf_track", "--config", "tiny"],
    ["tiny", "--script", "iimf_track"],
    ["iimf_track", "--config", "tiny"],
]


class Stop(Exception):
    pass


@pytest.fixture
def options(monkeypatch):
    """All options of a command, by reading how its parser is made."""

    def read(name):
        parsers = []

        def stop(parser):
            parsers.append(parser)
            raise Stop

        monkeypatch.setattr(Parser, "read", stop)
        monkeypatch.setattr(Parser, "parse_known_args", lambda parser, words: stop(parser))
        with pytest.raises(Stop):
            load_command(name).main([])
        return {text: action for action in parsers[0]._actions for text in action.option_strings}

    return read


@pytest.mark.parametrize("words", NAMED)
@pytest.mark.parametrize("command", [test, train, tune, vot, track])
def test_tracker_and_config_in_front_or_by_name(command, words):
    make = getattr(command, "make_parser", None)
    args = make(words).read() if make else command.parse_arguments(words)
    assert (args.tracker, args.config) == ("iimf_track", "tiny")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--save_dir", ""], "--save_dir"),
        (["--save_dir="], "--save_dir"),
        (["--device", "cpu", ""], "an argument"),
    ],
)
def test_an_empty_value_does_not_mean_the_default(words, named, capsys):
    with pytest.raises(SystemExit):
        train.make_parser(["iimf_track", "tiny", *words]).read()
    assert f"error: {named}: the value is empty; is a variable of the shell not set?" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["synthetic", "tune", "labels"])
def test_a_seed_below_0_is_refused(options, name):
    seed = options(name)["--seed"]
    assert seed.type("7") == 7 and seed.type("0") == seed.default == 0
    with pytest.raises(argparse.ArgumentTypeError, match="-1: expected 0 or more"):
        seed.type("-1")


def test_the_other_forms_of_scoring_and_validating():
    assert validate.parse_arguments(["iimf_track", "tiny", "--checkpoint", "x"]).config == "tiny"
    assert transform.parse_arguments(["a", "b", "--format", "lasher", "--out", "x"]).tracker == "a"
    for words in (["a", "x", "y"], ["--tracker_name", "a", "--tracker_param", "x", "y"]):
        args = score.parse_arguments(words)
        assert (args.trackers, args.configs) == (["a"], ["x", "y"])


@pytest.mark.parametrize("words", [[], ["iimf_track"], ["iimf_track", "tiny", "--config", "small"]])
def test_what_is_missing_or_given_twice_ends_the_command(words, capsys):
    with pytest.raises(SystemExit) as end:
        test.make_parser(words).read()
    assert end.value.code == 2
    assert "for example: iimf_track tiny" in (said := capsys.readouterr().err) or "given twice: tiny and small" in said


@pytest.mark.parametrize("name", [name for name in SCRIPTS if name != "benchmark"])
def test_options_agree(options, name):
    known = options(name)
    assert not [text for text in known if "-" in text.removeprefix("--")[1:] and text != "--world-size"], "underscores"
    for text, meaning in {"--output": "out", "--frames": "max_frames", "--checkpoint": "checkpoint"}.items():
        if text in known and (name, text) != ("synthetic", "--frames"):
            assert known[text].dest == meaning
    for shared in ("--device", "--threads", "--num_gpus", "--runid", "--set"):
        if shared in known and name not in ("score", "transform"):  # their runid is that of results
            assert known[shared].help == reference(shared)


def reference(text):
    actions = {option: action for action in test.make_parser([])._actions for option in action.option_strings}
    return actions[text].help


def test_documented_names_stay(options):
    for name, texts in {
        "track": ["--output", "--frames"],
        "export": ["--output"],
        "vis": ["--output"],
        "test": ["--results_dir", "--world-size", "--nnodes"],
        "train": ["--save_dir", "--world-size"],
        "app": ["--most_frames", "--most_megabytes"],
        "compare figures": ["--markdown"],
    }.items():
        assert set(texts) <= set(options(name)), name


def test_defaults_are_said_where_no_tracker_is_needed(capsys):
    parser = Parser("x", "Does this.", [])
    add_tracker(parser, what="default: a b", required=False)
    assert parser.read().tracker is None and "default: a b" in parser.format_help()


@pytest.mark.parametrize(
    "words",
    [
        *(["score", option, "FOLDER"] for option in ("--csv", "--sequence_csv", "--markdown", "--latex", "--html")),
        *(["benchmark", "metrics", option, "FOLDER"] for option in ("--json", "--markdown")),
    ],
)
def test_a_folder_in_the_place_of_a_file_is_refused_before_the_work(tmp_path, words):
    with pytest.raises(InputError, match="a.txt: is a folder, but a file is to get this name"):
        (tmp_path / "a.txt").mkdir()
        command, *rest = [str(tmp_path / "a.txt") if word == "FOLDER" else word for word in words]
        load_command(command).main(rest)
