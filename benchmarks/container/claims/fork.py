"""Does a forked child make its own things, instead of sharing the sockets and threads of its parent?"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import ClassVar

import dishka
import svcs
import wireup
from dependency_injector import providers
from that_depends import providers as that_providers

from benchmarks.container.claims.page import NO, YES, compare
from singleton_service import BaseService, guarded


class Connection:
    def __init__(self) -> None:
        self.made_by = os.getpid()


class ConnectionService(BaseService):
    connection: ClassVar[Connection]

    @classmethod
    def initialize(cls) -> None:
        cls.connection = Connection()

    @classmethod
    @guarded
    def get(cls) -> Connection:
        return cls.connection


def with_dishka() -> Callable[[], Connection]:
    provider = dishka.Provider(scope=dishka.Scope.APP)
    provider.provide(Connection)
    container = dishka.make_container(provider)
    return lambda: container.get(Connection)


def with_wireup() -> Callable[[], Connection]:
    container = wireup.create_sync_container(injectables=[wireup.injectable(Connection)])
    return lambda: container.get(Connection)


def with_svcs() -> Callable[[], Connection]:
    registry = svcs.Registry()
    registry.register_factory(Connection, Connection)
    container = svcs.Container(registry)
    return lambda: container.get(Connection)


def judge(get: Callable[[], Connection]) -> str:
    get()
    child = os.fork()
    if child == 0:
        os._exit(0 if get().made_by == os.getpid() else 1)
    _, status = os.waitpid(child, 0)
    return YES if os.waitstatus_to_exitcode(status) == 0 else NO


if __name__ == "__main__":
    compare(
        __file__,
        {
            "singleton-service": judge(ConnectionService.get),
            "dishka": judge(with_dishka()),
            "wireup": judge(with_wireup()),
            "svcs": judge(with_svcs()),
            "that-depends": judge(that_providers.Singleton(Connection).resolve_sync),
            "dependency-injector": judge(providers.Singleton(Connection)),
        },
    )
