"""Does a task cost more where a million others wait?

With few and with many tasks queued and as many delayed, batches are enqueued, fetched and acknowledged, and the server
is asked (INFO commandstats, EVALSHA) how long each took it. What the client does in between does not count. Each depth
has a server of its own, and they take turns: what the machine does meanwhile, it does to all. Of many short rounds the
one is shown that a quarter of them were faster than: the machine's other work comes in bursts.

    python -m benchmarks.depth [--depths 10 1000 100000 1000000] [--json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from .bare_queue import BATCH, bare_queue, describe, servers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from .bare_queue import BareQueue

LIMIT = 1.2
DEPTHS = (10, 1000, 100_000, 1_000_000)
# A round is one batch, so that where ten wait there are never many more.
ROUNDS, SINGLES = 400, 20

Costs = dict[str, float]


def server_us(queue: BareQueue, step: Callable[[], Any]) -> tuple[float, Any]:
    """Return what a step took the server, µs, and what it gave."""
    queue.server.config_resetstat()
    given = step()
    said: dict[str, Any] = queue.server.info("commandstats")
    return float(said["cmdstat_evalsha"]["usec"]), given


def one_round(queue: BareQueue) -> Costs:
    """Return µs of server time per task for each verb; leaves the queue as deep as it was."""
    single_us, _ = server_us(queue, lambda: queue.enqueue(SINGLES, at_a_time=1))
    enqueued_us, _ = server_us(queue, lambda: queue.enqueue(BATCH - SINGLES, at_a_time=BATCH))
    fetched_us, leases = server_us(queue, lambda: queue.fetch(BATCH))
    completed_us, _ = server_us(queue, lambda: queue.complete(leases))
    return {
        "enqueue, one a call": single_us / SINGLES,
        f"enqueue, {BATCH - SINGLES} a call": enqueued_us / (BATCH - SINGLES),
        f"fetch, {BATCH} a call": fetched_us / BATCH,
        f"acknowledge, {BATCH} a call": completed_us / BATCH,
    }


def by_depth(server: Path, depths: Sequence[int]) -> list[Costs]:
    """Return the lower quartile of some rounds with so many queued and so many delayed, for each depth."""
    with ExitStack() as stack:
        queues = [stack.enter_context(bare_queue(server)) for _ in depths]
        for queue, depth in zip(queues, depths, strict=True):
            queue.limit(max_results=1000)
            queue.enqueue(depth)
            queue.enqueue(depth, delay_seconds=3600)
            one_round(queue)
        rounds = [[one_round(queue) for queue in queues] for _ in range(ROUNDS)]
    return [{verb: _quartile([each[verb] for each in own]) for verb in own[0]} for own in zip(*rounds, strict=True)]


def _quartile(values: Sequence[float]) -> float:
    return statistics.quantiles(values, n=4)[0]


def growth(costs: list[Costs], verb: str) -> float:
    """Return how many times the most expensive depth of a verb costs what the cheapest does."""
    values = [each[verb] for each in costs]
    return max(values) / min(values)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--depths", type=int, nargs="+", default=DEPTHS)
    parser.add_argument("--json", action="store_true", help="costs by depth on the first server, for `make bench`")
    given = parser.parse_args()
    if given.json:
        costs = by_depth(next(servers()), given.depths)
        print(json.dumps(dict(zip(map(str, given.depths), costs, strict=True))))
        return
    is_over = False
    for server in servers():
        with bare_queue(server) as queue:
            print(describe(queue))
        print(f"lower quartile of {ROUNDS} rounds of {BATCH} tasks, µs of server time per task\n")
        depths = "".join(f"{depth:>12,}" for depth in given.depths)
        print(f"{'queued, and delayed':22}{depths}   times (limit {LIMIT})")
        costs = by_depth(server, given.depths)
        for verb in costs[0]:
            is_over |= growth(costs, verb) > LIMIT
            values = "".join(f"{each[verb]:12.2f}" for each in costs)
            print(f"{verb:22}{values}   {growth(costs, verb):5.2f}")
        print()
    sys.exit("over the limit" if is_over else 0)


if __name__ == "__main__":
    main()
