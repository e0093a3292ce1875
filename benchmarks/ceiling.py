"""What does this machine allow? Bare loops, with nothing that a real queue needs.

In batches of 100 on one connection: pushed in, popped, read, called and marked as done. Once as anybody would write it
(redis-py with hiredis, pipelines, json), once with what is quickest (a held connection, packed commands, orjson, one
script a batch). Then one EVALSHA at a time on a held connection: no enqueue can be quicker than that; the same from
threads that share round trips (joined.py); how long a sleeping process takes to wake, from before RPUSH until its BLPOP
has answered; and how near to the ideal threads and asyncio tasks come that do nothing but sleep (naps.py).

    python -m benchmarks.ceiling [--seconds 3] [--repeats 3] [--json]

It needs orjson and uvloop: `make bench` runs it in an environment of its own, at several moments of a run, for machines
drift.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from benchmarks.joined import Joined
from benchmarks.naps import naps
from benchmarks.peers.figures import BARE, medians, percentile, shown
from benchmarks.peers.server import own_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.connection import Connection

    import redis

PAYLOAD = {"recipient": "user@example.com", "subject": "Welcome!", "body": "x" * 64}
BATCH = 100
THREADS = 8
DONE = b'{"status":"sent"}'
ENQUEUE = """
for at = 1, #ARGV, 2 do
  redis.call('HSET', KEYS[1], ARGV[at], ARGV[at + 1])
  redis.call('RPUSH', KEYS[2], ARGV[at])
end
return #ARGV / 2
"""
FINISH_AND_FETCH = """
for at = 2, #ARGV, 2 do
  redis.call('HSET', KEYS[3], ARGV[at], ARGV[at + 1])
  redis.call('HDEL', KEYS[1], ARGV[at])
end
local ids = redis.call('LPOP', KEYS[2], ARGV[1])
if not ids then return {} end
return {ids, redis.call('HMGET', KEYS[1], unpack(ids))}
"""


def send_email(_payload: dict[str, Any]) -> dict[str, str]:
    return {"status": "sent"}


class Plain:
    """Pipelines of redis-py, and json."""

    def __init__(self, client: redis.Redis) -> None:
        self.client: Any = client
        self.next_id = 0

    def enqueue(self) -> None:
        """Put one batch in."""
        pipe = self.client.pipeline(transaction=False)
        for _ in range(BATCH):
            self.next_id += 1
            pipe.rpush("queue", json.dumps({"id": self.next_id, "name": "send_email", "payload": PAYLOAD}))
        pipe.execute()

    def drain(self) -> Iterator[int]:
        """Do all there is, and tell of each batch how many."""
        while popped := self.client.lpop("queue", BATCH):
            pipe = self.client.pipeline(transaction=False)
            for text in popped:
                task = json.loads(text)
                pipe.hset("done", task["id"], json.dumps(send_email(task["payload"])))
            pipe.execute()
            yield len(popped)


class Held:
    """A held connection, orjson, one script a batch."""

    def __init__(self, client: redis.Redis) -> None:
        self.connection: Any = client.connection_pool.get_connection()
        self.enqueue_sha = client.script_load(ENQUEUE)
        self.fetch_sha = client.script_load(FINISH_AND_FETCH)
        self.next_id = 0

    def call(self, *command: Any) -> Any:
        """Send a command and return what is answered."""
        self.connection.send_packed_command(self.connection.pack_command(*command), check_health=False)
        return self.connection.read_response()

    def enqueue(self, number: int = BATCH) -> None:
        """Put one batch in."""
        arguments: list[Any] = []
        for _ in range(number):
            self.next_id += 1
            arguments += (self.next_id, orjson.dumps({"name": "send_email", "payload": PAYLOAD}))
        self.call("EVALSHA", self.enqueue_sha, 2, "body", "queue", *arguments)

    def drain(self) -> Iterator[int]:
        """Do all there is, and tell of each batch how many."""
        ended: list[Any] = []
        while answer := self.call("EVALSHA", self.fetch_sha, 3, "body", "queue", "done", BATCH, *ended):
            ended = []
            for uid, body in zip(*answer, strict=True):
                ended += (uid, orjson.dumps(send_email(orjson.loads(body)["payload"])))
            yield len(answer[0])


def rate(seconds: float, number: int, call: Callable[[], object]) -> tuple[float, int]:
    """Return tasks a second, and how many calls were made."""
    began_s, calls = time.perf_counter(), 0
    while (taken_s := time.perf_counter() - began_s) < seconds:
        call()
        calls += 1
    return number * calls / taken_s, calls


def loops(client: redis.Redis, seconds: float) -> dict[str, float]:
    """Measure both loops, and the single call."""
    figures = {}
    kinds: dict[str, Plain | Held] = {"bare": Plain(client), "held": Held(client)}
    for name, loop in kinds.items():
        loop.enqueue()
        figures[f"{name}_push"], _ = rate(seconds, BATCH, loop.enqueue)
        began_s = time.perf_counter()
        number = sum(loop.drain())
        figures[f"{name}_drain"] = number / (time.perf_counter() - began_s)
    single = Held(client)
    began_cpu_s = time.process_time()
    figures["evalsha"], calls = rate(seconds, 1, lambda: single.enqueue(1))
    figures["evalsha_cpu"] = (time.process_time() - began_cpu_s) / calls * 1e6
    figures["joined_threads"] = Joined(Held(client).enqueue).rate(seconds, THREADS)
    return figures


def sleeper(port: int, told: Connection) -> None:
    """Wait for an item, say when it came, and wait again."""
    import redis  # noqa: PLC0415 - in a process of its own

    with redis.Redis(port=port, socket_timeout=60) as client:
        while (item := client.blpop(["wake"], timeout=30)) and item[1] != b"end":
            told.send(time.monotonic())


def wake_ups_ms(client: redis.Redis, port: int, samples: int) -> list[float]:
    """Return how long a process takes that sleeps in BLPOP."""
    context = multiprocessing.get_context("spawn")
    told, theirs = context.Pipe(duplex=False)
    process = context.Process(target=sleeper, args=(port, theirs))
    process.start()
    waits_ms = []
    try:
        for at in range(samples + 10):
            if at:
                time.sleep(random.uniform(0.005, 0.030))
            asked_s = time.monotonic()
            client.rpush("wake", "item")
            if not told.poll(30):
                raise TimeoutError("the sleeping process does not wake")
            waits_ms.append((told.recv() - asked_s) * 1000)
    finally:
        client.rpush("wake", "end")
        process.join(10)
        process.kill()
    return waits_ms[10:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--samples", type=int, default=300)
    parser.add_argument("--json", action="store_true", help="the figures by their keys, for `make bench`")
    given = parser.parse_args()
    repeats = []
    for _ in range(given.repeats):
        with tempfile.TemporaryDirectory(prefix="bench-") as directory, own_server(Path(directory)) as server:
            figures = loops(server.client, given.seconds)
            waits_ms = wake_ups_ms(server.client, server.port, given.samples)
            figures["hop_p50"] = statistics.median(waits_ms)
            figures["hop_p99"] = percentile(waits_ms, 99)
        figures |= naps(given.seconds / 3)
        repeats.append(figures)
    figures = medians(repeats)
    if given.json:
        print(json.dumps(figures))
        return
    for measure in BARE:
        print(f"{measure.title}: {shown(measure, figures[measure.key])}")


if __name__ == "__main__":
    main()
