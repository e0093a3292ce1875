"""Does a task cost more where a million others wait?

With few and with many tasks queued and as many delayed, batches are enqueued, fetched and acknowledged, and the server
is asked (INFO commandstats, EVALSHA) how long each took it. What the client does in between does not count. Of many
short rounds the one is shown that a quarter of them were faster than: the machine's other work comes in bursts.

    python -m benchmarks.depth [--few 1000] [--many 1000000]
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
ROUNDS, BATCHES = 60, 10
SINGLES = 100


def server_us(queue: BareQueue, step: Callable[[], Any]) -> tuple[float, Any]:
    """Return what a step took the server, µs, and what it gave."""
    queue.server.config_resetstat()
    given = step()
    said: dict[str, Any] = queue.server.info("commandstats")
    return float(said["cmdstat_evalsha"]["usec"]), given


def one_round(queue: BareQueue) -> dict[str, float]:
    """Return µs of server time per task for each verb; leaves the queue as deep as it was."""
    tasks = BATCHES * BATCH
    single_us, _ = server_us(queue, lambda: queue.enqueue(SINGLES, at_a_time=1))
    enqueued_us, _ = server_us(queue, lambda: queue.enqueue(tasks - SINGLES, at_a_time=BATCH))
    fetched_us, leases = server_us(queue, lambda: queue.fetch(tasks))
    completed_us, _ = server_us(queue, lambda: queue.complete(leases))
    return {
        "enqueue, one a call": single_us / SINGLES,
        "enqueue": enqueued_us / (tasks - SINGLES),
        "fetch": fetched_us / tasks,
        "acknowledge": completed_us / tasks,
    }


def at_depth(queue: BareQueue, depth: int) -> dict[str, float]:
    """Return the lower quartile of some rounds with so many queued and so many delayed."""
    queue.limit(max_results=1000)
    queue.enqueue(depth)
    queue.enqueue(depth, delay_seconds=3600)
    one_round(queue)
    rounds = [one_round(queue) for _ in range(ROUNDS)]
    queue.empty()
    return {verb: statistics.quantiles([each[verb] for each in rounds], n=4)[0] for verb in rounds[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--few", type=int, default=1000)
    parser.add_argument("--many", type=int, default=1_000_000)
    given = parser.parse_args()
    is_over = False
    for server in servers():
        with bare_queue(server) as queue:
            print(describe(queue))
            print(f"lower quartile of {ROUNDS} rounds of {BATCHES} x {BATCH} tasks, µs of server time per task\n")
            print(f"{'queued, and delayed':16}  {given.few:>12,}  {given.many:>12,}   times (limit {LIMIT})")
            few, many = at_depth(queue, given.few), at_depth(queue, given.many)
            for verb, us in few.items():
                is_over |= many[verb] / us > LIMIT
                print(f"{verb:19}  {us:12.2f}  {many[verb]:12.2f}   {many[verb] / us:5.2f}")
            print()
    sys.exit("over the limit" if is_over else 0)


if __name__ == "__main__":
    main()
