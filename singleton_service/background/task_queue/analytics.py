"""What the counters of the scripts say, in people's words: pure arithmetic, nothing is asked.

A counter's field is a kind ("completed": since the queue began), a kind in a minute, an hour or a day since 1970
("completed:m29922149", "ran_ms:h498702"), or a kind, a day and a task's name. See tally.lua, gauges.lua and names.lua.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    Counters = Mapping[str, int]

OTHER_NAMES = "(other names)"
_EVENTS = ("enqueued", "completed", "failed", "retried", "cancelled", "expired")
_MINUTE_MS, _HOUR_MS, _DAY_MS = 60_000, 3_600_000, 86_400_000


def merged(queues: Iterable[Counters]) -> dict[str, int]:
    """Return the counters of several queues as if they were one."""
    total: dict[str, int] = defaultdict(int)
    for counters in queues:
        for field, value in counters.items():
            if field == "began:":
                total[field] = min(total.get(field, value), value)
            elif field.startswith(("ran_most:", "waited_most:")):
                total[field] = max(total[field], value)
            else:
                total[field] += value
    return dict(total)


def summary(counters: Counters, now_ms: int) -> dict[str, Any]:
    """Say what one queue did: totals, windows, times of the last day, names of today and yesterday."""
    completed, failed = counters.get("completed", 0), counters.get("failed", 0)
    minute, hour = now_ms // _MINUTE_MS, now_ms // _HOUR_MS
    began_ms = counters.get("began:")
    day = [f":h{n}" for n in range(hour - 23, hour + 1)]
    # Minutes that were not added to their hour yet: all there are, however long ago the last thing happened.
    minutes = {f":{time}" for _, _, time in (field.partition(":") for field in counters) if time.startswith("m")}
    recent = [time for time in minutes if int(time[2:]) > minute - 24 * 60]
    return {
        "total_executed": completed + failed,
        "successful": completed,
        "failed": failed,
        "success_rate": _ratio(completed, completed + failed),
        "avg_execution_time": _ratio(_sum(counters, "ran_ms", day), 1000 * _sum(counters, "ran", day)),
        "max_execution_time": _most(counters, "ran_most", day) / 1000,
        "avg_wait_time": _ratio(_sum(counters, "waited_ms", day), 1000 * _sum(counters, "waited", day)),
        "max_wait_time": _most(counters, "waited_most", day) / 1000,
        "peak_concurrent": _most(counters, "running_most", day),
        "uptime_hours": 0.0 if began_ms is None else round((now_ms - began_ms) / _HOUR_MS, 3),
        "last_minute": _window(counters, [f":m{minute - 1}"], 60),
        "last_hour": _window(counters, [f":m{n}" for n in range(minute - 59, minute + 1)], 3600),
        "last_day": _window(counters, day + recent, 86_400),
        "by_name": _by_name(counters, now_ms // _DAY_MS),
    }


def _window(counters: Counters, times: list[str], seconds: int) -> dict[str, Any]:
    counted: dict[str, Any] = {event: _sum(counters, event, times) for event in _EVENTS}
    ended = counted["completed"] + counted["failed"]
    return {**counted, "per_second": ended / seconds, "success_rate": _ratio(counted["completed"], ended)}


def _by_name(counters: Counters, today: int) -> dict[str, dict[str, Any]]:
    days = {f"d{today - 1}", f"d{today}"}
    counted: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for field, value in counters.items():
        kind, _, rest = field.partition(":")
        day, colon, name = rest.partition(":")
        if colon and day in days:
            counted[name or OTHER_NAMES][kind] += value
    return {
        name: {
            "completed": kinds["completed"],
            "failed": kinds["failed"],
            "avg_execution_time": _ratio(kinds["ran_ms"], 1000 * kinds["completed"]),
        }
        for name, kinds in sorted(counted.items())
    }


def _sum(counters: Counters, kind: str, times: list[str]) -> int:
    return sum(counters.get(kind + time, 0) for time in times)


def _most(counters: Counters, kind: str, times: list[str]) -> int:
    return max(counters.get(kind + time, 0) for time in times)


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None
