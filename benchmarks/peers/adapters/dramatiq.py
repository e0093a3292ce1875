"""Dramatiq, with its Redis broker and results."""

from __future__ import annotations

import sys
from typing import Any

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends.redis import RedisBackend
from dramatiq.results.errors import ResultMissing

from .handlers import PLAIN
from .surroundings import IN_FLIGHT, URL

SETTINGS = """`dramatiq --processes 1 --threads 8`, the Results middleware with its Redis backend and `store_results`
for every actor, all else at its default (prefetch of two per thread, JSON)."""
PACKAGES = ("dramatiq", "redis", "hiredis")
COROUTINES = False

broker = RedisBroker(url=URL)
broker.add_middleware(Results(backend=RedisBackend(url=URL)))
dramatiq.set_broker(broker)
ACTORS = {
    name: dramatiq.actor(handler, actor_name=name, store_results=True, broker=broker) for name, handler in PLAIN.items()
}


async def enqueue(kind: str, payload: dict[str, Any], delay_s: float) -> Any:
    return ACTORS[kind].send_with_options(args=(payload,), delay=round(delay_s * 1000) or None)


enqueue_many = None


async def is_finished(handle: Any) -> bool:
    try:
        handle.get_result()
    except ResultMissing:
        return False
    return True


def workers(*, delays: bool) -> list[list[str]]:  # noqa: ARG001 - its worker holds what is delayed
    return [[sys.executable, "-m", "dramatiq", "--processes", "1", "--threads", str(IN_FLIGHT), __name__]]
