"""Sixteen tasks of five seconds; their worker is killed with -9, and a new one started. What becomes of them?"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .session import Session

if TYPE_CHECKING:
    from .contestants import Contestant
    from .measures import Sizes

TASKS = 16
_SETTLE_S = 1.5
_LOOK_EVERY_S = 0.1


@dataclass(frozen=True, slots=True)
class Aftermath:
    """What became of the tasks.

    Attributes:
        under_way: how many ran when their worker was killed.
        again: how many of those ran again while it was watched.
        first_s, last_s: how long after the new worker's start they began; None if none did.
        waiting: how many had not begun.
        waiting_ran: how many of those began.
        watched_s: for how long it was watched at most.
    """

    under_way: int
    again: int
    first_s: float | None
    last_s: float | None
    waiting: int
    waiting_ran: int
    watched_s: float


def killed(contestant: Contestant, sizes: Sizes) -> Aftermath:
    """Kill a worker amid its tasks."""
    in_flight = max(contestant.in_flight, 1)
    with Session(contestant, in_flight=in_flight, is_durable=sizes.is_durable) as session:
        session.start_worker()
        session.ask("one", kind="note", subject="warm")
        session.ran("warm")
        for at in range(TASKS):
            session.ask("one", kind="slow", subject=f"slow-{at}")
        session.wait_for("slow task", lambda: bool(session.stamps("began")))
        time.sleep(_SETTLE_S)
        session.kill_workers()
        under_way = {stamp.key for stamp in session.stamps("began")}
        restarted_s = session.start_worker()
        deadline_s = restarted_s + sizes.watched_s
        while True:
            began_s = {stamp.key: stamp.at_s for stamp in reversed(session.stamps("began")) if stamp.at_s > restarted_s}
            if len(began_s) == TASKS or time.monotonic() > deadline_s:
                break
            time.sleep(_LOOK_EVERY_S)
    again_s = sorted(at_s - restarted_s for key, at_s in began_s.items() if key in under_way)
    return Aftermath(
        under_way=len(under_way),
        again=len(again_s),
        first_s=again_s[0] if again_s else None,
        last_s=again_s[-1] if again_s else None,
        waiting=TASKS - len(under_way),
        waiting_ran=len(began_s.keys() - under_way),
        watched_s=sizes.watched_s,
    )
