"""Is a dependency that nobody provides told before anything runs?

"yes": when the program is put together. "partly": an error, at the first use. ``Mailer`` needs ``Pool``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dishka
import svcs
import that_depends
import wireup
from dependency_injector import containers, providers
from that_depends import providers as that_providers

from benchmarks.container.claims.page import NO, PARTLY, YES, compare


class Pool: ...


class Mailer:
    def __init__(self, pool: Pool) -> None:
        self.pool = pool


def ours() -> Callable[[], object]:
    # @requires names a class, and there is none: a NameError when the module is imported.
    exec("@requires(Pool)\nclass Mailer(BaseService): ...", _imported_by_our_user())
    return lambda: None


def _imported_by_our_user() -> dict[str, object]:
    scope: dict[str, object] = {}
    exec("from singleton_service import BaseService, requires", scope)
    return scope


def with_dishka() -> Callable[[], object]:
    provider = dishka.Provider(scope=dishka.Scope.APP)
    provider.provide(Mailer)
    container = dishka.make_container(provider)
    return lambda: container.get(Mailer)


def with_wireup() -> Callable[[], object]:
    container = wireup.create_sync_container(injectables=[wireup.injectable(Mailer)])
    return lambda: container.get(Mailer)


def with_svcs() -> Callable[[], object]:
    def mailer(svcs_container: Any) -> Mailer:
        return Mailer(svcs_container.get(Pool))

    registry = svcs.Registry()
    registry.register_factory(Mailer, mailer)
    return lambda: svcs.Container(registry).get(Mailer)


def with_that_depends() -> Callable[[], object]:
    class Container(that_depends.BaseContainer):  # type: ignore[misc]
        mailer = that_providers.Singleton(Mailer)

    return Container.mailer.resolve_sync  # type: ignore[no-any-return]


def with_dependency_injector() -> Callable[[], object]:
    class Container(containers.DeclarativeContainer):  # type: ignore[misc]
        pool = providers.Dependency(instance_of=Pool)
        mailer = providers.Singleton(Mailer, pool)

    return Container().mailer  # type: ignore[no-any-return]


def judge(put_together: Callable[[], Callable[[], object]]) -> str:
    try:
        use = put_together()
    except Exception as error:  # whatever kind the container raises
        print(f"       {put_together.__name__}: {type(error).__name__}")
        return YES
    try:
        use()
    except Exception as error:  # whatever kind the container raises
        print(f"       {put_together.__name__}, at first use: {type(error).__name__}")
        return PARTLY
    return NO


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
