"""The pictures of the pages show what the commands draw."""

from __future__ import annotations

import re

from tests.docs.screens import IMAGES, status_svg


def words(svg: str) -> list[str]:
    text = " ".join(re.findall(r"<text[^>]*>(.*?)</text>", svg)).replace("&#160;", " ")
    # Clocks and ages differ.
    return re.sub(r"\b\d\d:\d\d:\d\d\b|\b\d+(ms|s|m|h)\b", "TIME", text).split()


def test_the_picture_of_status_is_what_it_draws() -> None:
    shown = words((IMAGES / "status.svg").read_text(encoding="utf-8"))

    assert shown == words(status_svg()), "draw it anew: python -m tests.docs.screens"
    assert "ZeroDivisionError:" in shown
