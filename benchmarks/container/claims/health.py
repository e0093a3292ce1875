"""Can everything that is up be asked whether it still works, at once and with a time limit?

"partly": it can be asked, one after the other, for as long as it takes.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import dishka
import svcs
import that_depends
import wireup
from dependency_injector import containers

from benchmarks.container.claims.page import NO, PARTLY, YES, compare
from singleton_service import BaseService, health, start

HANGS_S = 1.0


class Database(BaseService):
    asked = 0

    @classmethod
    def ping(cls) -> bool:
        cls.asked += 1
        if cls.asked > 1:  # the first one is the one of the start
            time.sleep(HANGS_S)
        return True


class Cache(BaseService):
    pass


def ours() -> str:
    start(Database, Cache)
    began = time.monotonic()
    answers = {answer["name"]: answer["ok"] for answer in health(timeout=0.1)}
    in_time = time.monotonic() - began < HANGS_S
    return YES if in_time and answers == {"Database": False, "Cache": True} else NO


def with_svcs() -> str:
    registry = svcs.Registry()
    pinged: list[str] = []

    def slow(_service: object) -> None:
        time.sleep(HANGS_S)
        pinged.append("database")

    registry.register_value(str, "database", ping=slow)
    registry.register_value(bytes, b"cache", ping=lambda _service: pinged.append("cache"))
    began = time.monotonic()
    for one in svcs.Container(registry).get_pings():
        one.ping()
    if pinged != ["database", "cache"]:
        return NO
    return PARTLY if time.monotonic() - began >= HANGS_S else YES


def by_name(*places: object) -> Callable[[], str]:
    """Judge those who have nothing of the kind: no public name that would say so."""

    def judge() -> str:
        names = [name for place in places for name in dir(place) if not name.startswith("_")]
        return PARTLY if any(word in name.lower() for name in names for word in ("ping", "health")) else NO

    return judge


if __name__ == "__main__":
    compare(
        __file__,
        {
            "singleton-service": ours(),
            "dishka": by_name(dishka, dishka.Container)(),
            "wireup": by_name(wireup, wireup.SyncContainer)(),
            "svcs": with_svcs(),
            "that-depends": by_name(that_depends, that_depends.BaseContainer)(),
            "dependency-injector": by_name(containers, containers.DynamicContainer)(),
        },
    )
