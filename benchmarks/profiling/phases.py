"""Which part of a task's way a place in our code belongs to, and how a profile adds up by them."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_FRAME = re.compile(r"^(?P<function>.*) \((?P<path>.*):\d+\)$")
_OURS = "/singleton_service/"
_WORKLOAD = "/benchmarks/profiling/workload.py"
# The first that matches "module.function", the module without its package.
PHASES = (
    ("reading answers", r"(link|wire)\..*(reply|receive|read|has_|fileno)"),
    ("packing and sending", r"(link|wire|joint|loop_lines?)\."),
    ("scripts' arguments", r"(protocol|scripts|keys|elements|reports|outbox)\."),
    ("encoding", r"(codec\.(to_json|encode|is_|has_|name_)|ids\.|requests\.)"),
    ("decoding", r"(codec|lease|leases|running_task)\."),
    (
        "checking the call",
        r"(checks|payloads|policy|producing|async_producing|records|availability|opened|client|errands)\.",
    ),
    ("dispatching", r"(dispatcher|dispatcher_loop|in_hand|lane|batch_lane|feeds|lookahead|crowding|job|routing)\."),
    ("running", r"(pool|execution|executor|seat|crew|coroutine_pool|loop|scopes|hooks|batch_execution|time_limits)\."),
    ("endings", r"(endings|outcome|outcomes|failures|stats|samples)\."),
    ("waiting and waking", r"(wakeup|bell|waiters|awaiting|following|standstill)\."),
    ("heartbeat", r"(heartbeat|rhythm|pulse|roster)\."),
)
HANDLER, CALLER, REST = "the handler", "the caller", "the rest"


def place_of(stack: str) -> str:
    """Return "module.function" of the innermost frame of ours in a collapsed stack, or who called us or was called."""
    for text in reversed(stack.split(";")):
        frame = _FRAME.match(text)
        if frame is None:
            continue
        path, function = frame["path"], frame["function"]
        if _OURS in path:
            return f"{path.rpartition('/')[2].removesuffix('.py')}.{function.rpartition('.')[2]}"
        if path.endswith(_WORKLOAD):
            return HANDLER if function.startswith("send_email") else CALLER
    return REST


def phase_of(place: str) -> str:
    """Return the part of a task's way that a place belongs to."""
    if place in {HANDLER, CALLER}:
        return place
    return next((phase for phase, pattern in PHASES if re.match(pattern, place)), REST)


def is_counted(stack: str) -> bool:
    """Whether a stack is part of what was measured: below `measured`, or in a thread that works for it."""
    return ";measured (" in stack or stack.startswith("Thread._bootstrap ")


def samples(lines: Iterable[str]) -> tuple[Counter[str], Counter[str]]:
    """Return how often each phase, and each place, was seen.

    Args:
        lines: collapsed stacks, "outer;inner number".
    """
    phases: Counter[str] = Counter()
    places: Counter[str] = Counter()
    for line in lines:
        stack, _, number = line.rpartition(" ")
        if is_counted(stack):
            place = place_of(stack)
            places[place] += int(number)
            phases[phase_of(place)] += int(number)
    return phases, places
