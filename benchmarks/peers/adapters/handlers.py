"""What the tasks do, in every peer alike, and how they tell when they did it: a line in a file, with the time.

The standard library only: it is imported in the environment of every peer.
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

PAYLOAD = {"recipient": "user@example.com", "subject": "Welcome!", "body": "x" * 64}
SENT = {"status": "sent"}
SLOW_S = 5.0

_stamps: int | None = None
_has_begun = False


def stamp(word: str, key: str = "-") -> None:
    """Append what happened, to which task, in which process and when, by the one clock of the machine."""
    global _stamps
    line = f"{word} {key} {os.getpid()} {time.monotonic():.6f}\n"
    if _stamps is None:
        _stamps = os.open(os.environ["BENCH_STAMPS"], os.O_WRONLY | os.O_APPEND)
    os.write(_stamps, line.encode())


def _begin() -> None:
    """Tell when the first task of this process began."""
    global _has_begun
    if not _has_begun:
        _has_begun = True
        stamp("first")


def send_email(_payload: dict[str, Any]) -> dict[str, str]:
    _begin()
    return SENT


def note(payload: dict[str, Any]) -> dict[str, str]:
    stamp("ran", payload["subject"])
    return SENT


def sleep(payload: dict[str, Any]) -> dict[str, str]:
    _begin()
    time.sleep(float(payload["subject"]))
    return SENT


def slow(payload: dict[str, Any]) -> dict[str, str]:
    stamp("began", payload["subject"])
    time.sleep(SLOW_S)
    stamp("ended", payload["subject"])
    return SENT


async def send_email_async(payload: dict[str, Any]) -> dict[str, str]:
    return send_email(payload)


async def note_async(payload: dict[str, Any]) -> dict[str, str]:
    return note(payload)


async def sleep_async(payload: dict[str, Any]) -> dict[str, str]:
    _begin()
    await asyncio.sleep(float(payload["subject"]))
    return SENT


async def slow_async(payload: dict[str, Any]) -> dict[str, str]:
    stamp("began", payload["subject"])
    await asyncio.sleep(SLOW_S)
    stamp("ended", payload["subject"])
    return SENT


PLAIN = {"send_email": send_email, "note": note, "sleep": sleep, "slow": slow}
COROUTINES = {"send_email": send_email_async, "note": note_async, "sleep": sleep_async, "slow": slow_async}
