"""docs/explanation/benchmarks.md and its picture: only a full run writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .contestants import ROOT
from .figures import TABLES
from .picture import Panel, draw
from .table import aftermaths, bare_table, depth_table, tables
from .targets import target_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .run import Outcome

PAGE = ROOT / "docs/explanation/benchmarks.md"
PICTURE = ROOT / "docs/explanation/benchmarks.svg"
SHOWN = ("drain_one", "enqueue_one", "pick_up_p50")

INTRODUCTION = """\
# Measured beside others

`make bench` wrote this page: it installs each peer into an environment of its own, starts its own server, lets all take
turns on one machine, and takes medians. Run it on yours: `make bench PEERS="huey dramatiq"` prints the same tables for
some, and writes nothing. In brackets: how many times better our first row with that figure is; below 1, it is the worse
one.
"""

ALLOWED = """\
Bare loops without leases, retries or fences (`make bench-ceiling`), how soon a process wakes that sleeps in BLPOP, and
how near to the ideal threads and asyncio tasks come that do nothing but sleep, without any queue.
Asked at several moments of the run, for a machine drifts."""
DEEP = """\
µs of server time a task, with as many more delayed (`make bench-queue`)."""
AIMS = """\
Computed from the figures above. Why a target is missed, what was tried and what the limit is:
[where the time goes](performance.md)."""

RULES = """\
## What is the same for all

- The payload, `{"recipient": "user@example.com", "subject": "Welcome!", "body": 64 characters}`, and a handler that
  does nothing and returns `{"status": "sent"}`. Results are kept.
- The server: a fresh one for each measurement. Python peers have redis-py with hiredis where they use redis-py, and
  uvloop where they use coroutines.
- In flight in one worker process: 8 threads, or 100 coroutines; RQ has one, prefork as many as there are cores.
- An enqueue counts when its answer is read. Clients that are called enqueue from 8 threads at once, those that are
  awaited from 8 coroutines.
- A drain ends when the status of the last task can be read by the peer's own API. Its clock starts with the first task
  of each worker process: how long a start takes has its own column. A thousand statuses are looked at then: those that
  can't be read as ended, or can be only later, are told as late or lost. The clock waits for them if they are more than
  one in a hundred.
- Start: from when the process is started until the handler of a waiting task runs. With the embedded server, it is
  started on the way.
- Pick-up: from before an idle worker's task is enqueued until its handler runs. Late: how long after its time a delayed
  task's handler runs, on an idle worker.
- An idle worker is watched for 20 s, all of them at once. Its commands are those it sends, as the server's
  MONITOR tells.
- Memory is the resident memory of all processes of one worker together, after 20,000 tasks.
- With two processes, "all cores busy" is what everything took: both workers, the server, and who waits for the end.
- Sleeping tasks: on 8 threads, or 200 coroutines; 100 % would be all places taken all the time. How many a peer drains
  at all limits the short ones.
- Killed: 16 tasks of 5 s, the worker and all its processes killed with -9 amid them, a new one started and watched
  for 90 s.
"""


def write(outcome: Outcome) -> None:
    """Write the page and the picture."""
    PICTURE.write_text(draw(_panels(outcome), "singleton-service"), encoding="utf-8")
    PAGE.write_text("\n".join(_lines(outcome)), encoding="utf-8")


def _panels(outcome: Outcome) -> Sequence[Panel]:
    titles = {measure.key: (title, measure) for title, measures in TABLES.items() for measure in measures}
    panels = []
    for key in SHOWN:
        title, measure = titles[key]
        values = {name: own[key] for name, own in outcome.figures.items() if key in own}
        better = "more is better" if measure.is_rate else "less is better"
        panels.append(Panel(f"{title}: {measure.title} ({better})", values, measure.digits))
    return panels


def _lines(outcome: Outcome) -> Iterator[str]:
    yield INTRODUCTION
    yield from (f"- {line}" for line in outcome.circumstances)
    yield ""
    yield "![Bars: drain, enqueue and pick-up of all who took part](benchmarks.svg)"
    yield ""
    for title, text in tables(outcome.figures):
        yield f"## {title}\n\n{text}\n"
    yield f"## After kill -9\n\n{aftermaths(outcome.killed)}\n"
    if outcome.bare:
        yield f"## What the machine allows\n\n{ALLOWED}\n\n{bare_table(outcome.bare)}\n"
    if outcome.depth:
        yield f"## With many queued\n\n{DEEP}\n\n{depth_table(outcome.depth)}\n"
    yield f"## Against what was aimed for\n\n{AIMS}\n\n{target_table(outcome)}\n"
    yield RULES
    yield "## How each is set\n"
    yield from (
        f"- **{'; '.join(who)}**: {settings} {versions}." for (settings, versions), who in outcome.settings.items()
    )
    yield ""
    if outcome.failures:
        yield "## What failed\n"
        yield from (f"- {failure}" for failure in outcome.failures)
        yield ""
