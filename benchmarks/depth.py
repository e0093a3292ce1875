"""Does a task cost more where a million others wait?

With few and with many tasks queued and as many delayed, batches are enqueued, fetched and acknowledged, and the server
is asked (INFO commandstats, EVALSHA) how long each took it. What the client does in between does not count.

    python -m benchmarks.depth [--few 1000] [--many 1000000] [--batches 300]
"""

from __future__ import annotations

import argparse
import statistics
import sys
from typing import TYPE_CHECKING, Any

from .bare_queue import BATCH, bare_queue, describe, servers

if TYPE_CHECKING:
    from collections.abc import Callable

    from .bare_queue import BareQueue

LIMIT = 1.2
ROUNDS = 5


def server_us(queue: BareQueue, step: Callable[[], Any]) -> tuple[float, Any]:
    """Return what a step took the server, µs, and what it gave."""
    queue.server.config_resetstat()
    given = step()
    said: dict[str, Any] = queue.server.info("commandstats")
    return float(said["cmdstat_evalsha"]["usec"]), given


def one_round(queue: BareQueue, batches: int) -> dict[str, float]:
    """Return µs of server time per task for each verb; leaves the queue as deep as it was."""
    tasks = batches * BATCH
    enqueued_us, _ = server_us(queue, lambda: queue.enqueue(tasks))
    fetched_us, leases = server_us(queue, lambda: queue.fetch(tasks))
    completed_us, _ = server_us(queue, lambda: queue.complete(leases))
    return {"enqueue": enqueued_us / tasks, "fetch": fetched_us / tasks, "acknowledge": completed_us / tasks}


def at_depth(queue: BareQueue, depth: int, batches: int) -> dict[str, float]:
    """Return the median of some rounds with so many queued and so many delayed."""
    queue.limit(max_results=1000)
    queue.enqueue(depth)
    queue.enqueue(depth, delay_seconds=3600)
    one_round(queue, batches)
    rounds = [one_round(queue, batches) for _ in range(ROUNDS)]
    queue.empty()
    return {verb: statistics.median(each[verb] for each in rounds) for verb in rounds[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--few", type=int, default=1000)
    parser.add_argument("--many", type=int, default=1_000_000)
    parser.add_argument("--batches", type=int, default=100, help=f"of {BATCH} tasks a round; {ROUNDS} rounds")
    given = parser.parse_args()
    is_over = False
    for server in servers():
        with bare_queue(server) as queue:
            print(describe(queue))
            print(f"median of {ROUNDS} rounds of {given.batches} x {BATCH} tasks, µs of server time per task\n")
            print(f"{'queued, and delayed':16}  {given.few:>12,}  {given.many:>12,}   times (limit {LIMIT})")
            few, many = at_depth(queue, given.few, given.batches), at_depth(queue, given.many, given.batches)
            for verb, us in few.items():
                is_over |= many[verb] / us > LIMIT
                print(f"{verb:19}  {us:12.2f}  {many[verb]:12.2f}   {many[verb] / us:5.2f}")
            print()
    sys.exit("over the limit" if is_over else 0)


if __name__ == "__main__":
    main()
