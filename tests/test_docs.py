"""The documentation: every page is found, links and paths lead somewhere, commands and quoted messages are those of the
code, README's Python runs."""

import ast
import functools
import importlib
import re
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from lib.cli.commands import SCRIPTS, module_name
from lib.core.config import EXPERIMENTS, list_configs, load_config
from lib.core.errors import InputError

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("docs/demo_sequence/*.md"), *ROOT.glob("deploy/*.md")]
    + [*ROOT.glob("pretrained_models/*.md")]
)
LONGEST = 160

_FENCED = re.compile(r"^```(\w*)\n(.*?)^```", re.M | re.S)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_PATH = re.compile(r"`((?:lib|tests|tracking|experiments|docs|deploy|pretrained_models)/[\w./]*)`")
_COMMAND = re.compile(r"^(?: {4})?(?:\w+=\S+ )*(?:python ((?:tracking|deploy)/\w+\.py.*)|rgbt (.*))$", re.M)
_INLINE = re.compile(r"`rgbt\s+(\w+)(?:\s+(\w+))?")


def name_of(path):
    return str(path.relative_to(ROOT))


every_page = pytest.mark.parametrize("page", PAGES, ids=name_of)


def read(page):
    return page.read_text(encoding="utf-8")


def prose(page):
    """A page without its fenced blocks."""
    return _FENCED.sub("", read(page))


def anchors(page):
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(page):
    """(file, anchor) of the links of a page to files of the repository."""
    for link in _LINK.findall(prose(page)):
        if "://" not in link:
            file, _, anchor = link.partition("#")
            yield (page.parent / file).resolve() if file else page, anchor


@every_page
def test_links_lead_somewhere(page):
    missing = [name_of(file) for file, _ in links(page) if not file.exists()]
    missing += [f"{file.name}#{anchor}" for file, anchor in links(page) if anchor and anchor not in anchors(file)]
    assert not missing


def test_every_page_is_reached_from_the_readme():
    found, ahead = set(), [README]
    while ahead:
        page = ahead.pop()
        if page not in found and page.suffix == ".md":
            found.add(page)
            ahead += [file for file, _ in links(page)]
    assert not [name_of(page) for page in PAGES if page not in found]


@every_page
def test_no_line_is_too_long(page):
    long = [number for number, line in enumerate(read(page).splitlines(), 1) if len(line) > LONGEST]
    assert not long


@every_page
def test_named_paths_exist(page):
    made = re.findall(r"^`([\w/.]+)`:$", read(page), re.M)  # files that a worked example writes
    named = [path for path in _PATH.findall(read(page)) if path not in made and not path.endswith("local.py")]
    assert not [path for path in named if not (ROOT / path).exists()]


def commands(page):
    """What Python is given in a page's commands, continuation lines joined, comments left out; `rgbt <name>` is a
    module."""
    text = re.sub(r"\s*\\\n\s*", " ", read(page))
    found = []
    for script, command in _COMMAND.findall(text):
        words = re.split(r"\s+# ", script or command)[0].split()
        found.append(words if script else as_module(words))
    return found


def as_module(words):
    """`score --csv FILE` -> `-m lib.cli.score --csv FILE`"""
    name = next((name for name in (" ".join(words[:2]), words[0]) if name in SCRIPTS), None)
    assert name, f"rgbt {' '.join(words[:2])}: no such command"
    return ["-m", f"lib.cli.{module_name(name)}", *words[len(name.split()) :]]


@every_page
def test_named_commands_exist(page):
    for first, second in _INLINE.findall(read(page)):
        assert first in SCRIPTS or f"{first} {second}" in SCRIPTS, f"rgbt {first} {second}"


_SET = re.compile(r"--set((?:[\s\\]+[A-Z][A-Z0-9_.]*=[^\s`]*)+)")


def settings(text):
    """The KEY=VALUE words behind each `--set`."""
    return [word.rstrip(",;:)") for words in _SET.findall(text) for word in words.replace("\\", " ").split()]


@functools.cache
def schemas():
    trackers = sorted(path.parent.name for path in EXPERIMENTS.glob("*/defaults.yaml"))
    return [(tracker, list_configs(tracker)[0]) for tracker in trackers]


def is_accepted(setting):
    """Whether the schema of any tracker takes the setting."""
    for tracker, config in schemas():
        try:
            load_config(tracker, config, [setting])
            return True
        except InputError:
            continue
    return False


def test_settings_of_pages_and_help_are_accepted():
    helps = [ast.get_docstring(ast.parse(read(path))) or "" for path in ROOT.glob("lib/cli/**/*.py")]
    found = {setting for text in [*map(read, PAGES), *helps] for setting in settings(text)} - {"KEY=", "KEY=VALUE"}
    assert len(found) > 15
    assert not is_accepted("TRAIN.LR=fast")
    assert not [setting for setting in sorted(found) if not is_accepted(setting)]


def options(words):
    """Names of a command's options."""
    return {word.partition("=")[0] for word in words if re.match(r"--\w", word)}


@pytest.fixture(scope="module")
def read_help():
    """The help of a script, asked once."""
    asked = {}

    def ask(*words):
        if words not in asked:
            done = subprocess.run([sys.executable, *words, "--help"], cwd=ROOT, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            asked[words] = set(re.findall(r"--\w[\w-]*", done.stdout))
        return asked[words]

    return ask


def check_commands(pages, read_help):
    for page in pages:
        for words in commands(page):
            assert words[0] == "-m" or (ROOT / words[0]).is_file(), f"{page.name}: {words[0]}"
            which = words[: 1 + (words[0] == "-m")]
            which += words[len(which) : len(which) + 1] if "benchmark" in which[-1] else []
            known = read_help(*which)
            unknown = [name for name in options(words) if not any(option.startswith(name) for option in known)]
            assert not unknown, f"{page.name}: {' '.join(which)} has no {', '.join(unknown)}"


def test_commands_of_the_readme_exist(read_help):
    assert len(commands(README)) >= 10
    check_commands([README], read_help)


@pytest.mark.slow
def test_commands_of_all_pages_exist(read_help):
    check_commands(PAGES, read_help)


def test_python_of_the_readme_runs(monkeypatch, capsys):
    """In the repository the package `rgbt_toolbox` is called `lib`."""
    monkeypatch.setitem(sys.modules, "rgbt_toolbox", importlib.import_module("lib"))
    (block,) = [code for language, code in _FENCED.findall(read(README)) if language == "python"]
    assert len([line for line in block.splitlines() if line]) == 5
    first = ROOT / "docs" / "demo_sequence"
    names = {
        stream: cv2.imread(str(sorted((first / stream).iterdir())[0]))[..., ::-1] for stream in ("visible", "infrared")
    }
    exec(block, names)
    assert names["target"].found and capsys.readouterr().out


QUOTED = [
    re.sub(r"\n {5,}", " ", message)
    for message in re.findall(r"^ {4}error: (.*(?:\n {5,}.*)*)$", read(ROOT / "docs" / "troubleshooting.md"), re.M)
]


def message_patterns():
    """Every text of the code in parts of a pattern: what is filled in matches anything."""
    for path in (ROOT / "lib").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                yield [re.escape(part.value) if isinstance(part, ast.Constant) else ".*" for part in node.values]


@pytest.fixture(scope="module")
def patterns():
    """Those that say enough to be told from others."""
    return [re.compile("".join(parts)) for parts in message_patterns() if len("".join(parts).replace(".*", "")) >= 12]


def test_the_page_quotes_messages():
    assert len(QUOTED) >= 12


@pytest.mark.parametrize("line", QUOTED)
def test_quoted_messages_are_messages_of_the_code(line, patterns):
    assert any(pattern.search(line) for pattern in patterns), "no such message in lib/"
