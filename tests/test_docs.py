"""The documentation: links lead somewhere, and messages that it quotes are messages of the code."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("pretrained_models/*.md")])
QUOTED = [
    line.strip().removeprefix("error: ")
    for line in (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8").splitlines()
    if line.startswith("    error: ")
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", text)
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert not missing


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
