"""Can there be one of a thing for each request, closed when the request ends? Here others do what we do not."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import dishka
import svcs
import that_depends
import wireup
from dependency_injector import containers, providers
from that_depends import providers as that_providers

from benchmarks.container.claims.page import NO, YES, compare
from singleton_service import BaseService, guarded, running

closed: list[object] = []


class Session: ...


def session() -> Iterator[Session]:
    made = Session()
    yield made
    closed.append(made)


class SessionService(BaseService):
    @classmethod
    @guarded
    def get(cls) -> object:
        return cls


def ours() -> list[object]:
    seen = []
    for _ in range(2):
        with running(SessionService):
            seen.append(SessionService.get())
    return seen


def with_dishka() -> list[object]:
    provider = dishka.Provider(scope=dishka.Scope.REQUEST)
    provider.provide(session)
    container = dishka.make_container(provider)
    seen = []
    for _ in range(2):
        with container() as request:
            seen.append(request.get(Session))
    return seen


def with_wireup() -> list[object]:
    container = wireup.create_sync_container(injectables=[wireup.injectable(session, lifetime="scoped")])
    seen = []
    for _ in range(2):
        with container.enter_scope() as request:
            seen.append(request.get(Session))
    return seen


def with_svcs() -> list[object]:
    registry = svcs.Registry()
    registry.register_factory(Session, session)
    seen = []
    for _ in range(2):
        with svcs.Container(registry) as request:
            seen.append(request.get(Session))
    return seen


def with_that_depends() -> list[object]:
    class Container(that_depends.BaseContainer):  # type: ignore[misc]
        default_scope = that_depends.ContextScopes.REQUEST
        session = that_providers.ContextResource(session)

    seen = []
    for _ in range(2):
        with that_depends.container_context(Container, scope=that_depends.ContextScopes.REQUEST):
            seen.append(Container.session.resolve_sync())
    return seen


def with_dependency_injector() -> list[object]:
    class Container(containers.DeclarativeContainer):  # type: ignore[misc]
        session = providers.ContextLocalResource(session)

    container = Container()
    seen = []
    for _ in range(2):
        seen.append(container.session())
        container.session.shutdown()
    return seen


def judge(two_requests: Callable[[], list[object]]) -> str:
    closed.clear()
    first, second = two_requests()
    return YES if first is not second and closed == [first, second] else NO


if __name__ == "__main__":
    compare(
        __file__,
        {
            "singleton-service": judge(ours),
            "dishka": judge(with_dishka),
            "wireup": judge(with_wireup),
            "svcs": judge(with_svcs),
            "that-depends": judge(with_that_depends),
            "dependency-injector": judge(with_dependency_injector),
        },
    )
