"""What does a task cost in the server's memory, and does a queue that has run many hold more than one that ran few?

Tasks with the reference payload are enqueued, leased and completed with a small result, and the server's used memory is
read after each step, per task. Then one queue runs a hundred times as many tasks as another, with the same small number
of results kept; both are emptied of what is under way, and compared key by key.

    python -m benchmarks.memory [--tasks 100000] [--ran 1000000]
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from .bare_queue import PAYLOAD, RESULT, bare_queue, describe, servers

if TYPE_CHECKING:
    from .bare_queue import BareQueue

# Bytes per task on Redis 7.0 that we mean to stay under.
LIMITS = {"queued": 265, "in flight": 450, "finished": 290}
FEWER = 100
KEPT = 1000


def per_task(queue: BareQueue, tasks: int) -> dict[str, float]:
    """Return bytes per task after each step of their way."""
    queue.limit(max_results=tasks)
    before = queue.used_memory()
    measured = {}
    queue.enqueue(tasks)
    measured["queued"] = (queue.used_memory() - before) / tasks
    leases = queue.fetch(tasks)
    measured["in flight"] = (queue.used_memory() - before) / tasks
    queue.complete(leases)
    measured["finished"] = (queue.used_memory() - before) / tasks
    queue.empty()
    return measured


def after_many(queue: BareQueue, tasks: int) -> dict[str, tuple[int, int]]:
    """Return entries and bytes of each key of a queue that has run so many tasks."""
    queue.limit(max_results=KEPT)
    queue.run(tasks)
    found = {}
    ask = queue.client.link.call
    for key in ask(b"KEYS", b"*"):
        size = {b"hash": b"HLEN", b"zset": b"ZCARD", b"list": b"LLEN"}[ask(b"TYPE", key)]
        found[key.decode().rpartition("}:")[2]] = (ask(size, key), ask(b"MEMORY", b"USAGE", key, b"SAMPLES", 0))
    queue.empty()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=100_000, help="held at once (100,000)")
    parser.add_argument("--ran", type=int, default=1_000_000, help="run one after the other (1,000,000; 0: none)")
    given = parser.parse_args()
    is_over = False
    for server in servers():
        with bare_queue(server) as queue:
            print(describe(queue))
            print(f"{given.tasks:,} tasks, payload {len(str(PAYLOAD))} characters, result {RESULT.decode()}\n")
            print(f"{'bytes per task':20}    measured   limit")
            for step, found in per_task(queue, given.tasks).items():
                is_over |= server.name == "redis-server" and found > LIMITS[step]
                print(f"{step:20}    {found:8.1f}   {LIMITS[step]:5}")
            if given.ran:
                few, many = after_many(queue, given.ran // FEWER), after_many(queue, given.ran)
                print(f"\n{'key':16}  after {given.ran // FEWER:>9,} tasks          after {given.ran:>9,}")
                for key in sorted(few.keys() | many.keys()):
                    one, other = few.get(key, (0, 0)), many.get(key, (0, 0))
                    print(f"{key:16}  {one[0]:6} entries {one[1]:9} B   {other[0]:6} entries {other[1]:9} B")
            print()
    sys.exit("over a limit" if is_over else 0)


if __name__ == "__main__":
    main()
