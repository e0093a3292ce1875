"""Bars as an SVG: plain text, legible on a light and on a dark page."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

WIDTH, NAMES, NUMBERS = 800, 260, 90
ROW, BAR, HEAD, GAP = 20, 13, 34, 18
STYLE = """
    text { font: 13px system-ui, sans-serif; fill: #1f2328 }
    .head { font-weight: 600 }
    .ours { fill: #0969da }
    .theirs { fill: #8c959f }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3 }
      .ours { fill: #4493f8 }
      .theirs { fill: #6e7681 }
    }"""


@dataclass(frozen=True, slots=True)
class Panel:
    """One group of bars.

    Attributes:
        title: what is measured, and which way is better.
        values: a bar for each name.
        digits: after the point of the numbers beside the bars.
    """

    title: str
    values: Mapping[str, float]
    digits: int = 0


def draw(panels: Sequence[Panel], ours: str) -> str:
    """Return the picture; names that begin with *ours* are coloured. All bars of a panel have one scale, from zero."""
    parts: list[str] = []
    top = 4.0
    for panel in panels:
        parts.append(f'<text class="head" x="0" y="{top + 18:g}">{escape(panel.title)}</text>')
        top += HEAD
        longest = max(panel.values.values(), default=0) or 1.0
        for name, value in panel.values.items():
            width = max(1.0, value / longest * (WIDTH - NAMES - NUMBERS))
            kind = "ours" if name.startswith(ours) else "theirs"
            line, bar = top + ROW / 2 + 4.5, top + (ROW - BAR) / 2
            parts += [
                f'<text x="{NAMES - 10}" y="{line:g}" text-anchor="end">{escape(name)}</text>',
                f'<rect class="{kind}" x="{NAMES}" y="{bar:g}" width="{width:.1f}" height="{BAR}" rx="2"/>',
                f'<text x="{NAMES + width + 8:.1f}" y="{line:g}">{value:,.{panel.digits}f}</text>',
            ]
            top += ROW
        top += GAP
    said = escape("; ".join(panel.title for panel in panels))
    size = f'width="{WIDTH}" height="{top:g}" viewBox="0 0 {WIDTH} {top:g}"'
    body = "\n  ".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{said}">\n'
        f"  <style>{STYLE}\n  </style>\n  {body}\n</svg>\n"
    )
