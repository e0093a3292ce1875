"""What the pages refer to is there: files, headings, tests, settings."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/*.md")])
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives the headings of a page."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), f"{link} leads nowhere"
        if anchor:
            assert anchor in anchors(target), f"{link}: no such heading"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_test_a_page_names_exists(page: Path) -> None:
    for path, name in TEST.findall(page.read_text(encoding="utf-8")):
        source = (ROOT / path).read_text(encoding="utf-8")
        assert re.search(rf"^(async )?def {name}\(", source, re.MULTILINE), f"{path} has no {name}"


def test_every_cell_about_durability_names_its_test_or_promises_nothing() -> None:
    text = (ROOT / "docs/explanation/guarantees.md").read_text(encoding="utf-8")
    tests = dict(re.findall(r"^- (\[\w\]) `(\S+)`", text, re.MULTILINE))
    table = re.search(r"^\| What happens .*\n(?:\|.*\n)+", text, re.MULTILINE)
    assert table
    cells = [cell for row in table[0].splitlines()[2:] for cell in row.strip("|").split(" | ")[1:]]
    assert len(cells) == 5 * 5
    for cell in cells:
        named = re.findall(r"\[\w\]", cell)
        assert named or "not promised" in cell, cell
        assert set(named) <= set(tests), cell


def test_every_promise_names_the_test_that_would_break_it() -> None:
    text = (ROOT / "docs/explanation/guarantees.md").read_text(encoding="utf-8")
    promises = [line for line in text.splitlines() if re.match(r"\| \*\*", line)]
    assert len(promises) >= 10
    for promise in promises:
        assert TEST.search(promise), promise
