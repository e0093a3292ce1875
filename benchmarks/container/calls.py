"""What does a guarded call cost, once the service is started?

Against the same class method without the guard, and against each peer: resolving a singleton, and resolving it and
calling its method, which is the job that a guarded call does. All are timed in turn, round after round, so that
whatever the machine does meanwhile falls on all of them; the cost of the empty measuring loop is taken off.

    python -m benchmarks.container.calls [--rounds 60]
"""

from __future__ import annotations

import argparse
import statistics
import timeit
from typing import Any

import dishka
import svcs
import wireup
from dependency_injector import providers
from that_depends import providers as that_providers

from benchmarks.container.measuring import describe, spread
from singleton_service import BaseService, guarded, start

CALLS = 20_000
AT_MOST = 1.5
PLAIN, GUARDED = "plain class method", "guarded class method"
AND_CALL = " + call"


class Pool:
    """What the peers resolve."""

    def method(self, value: int) -> int:
        return value


class Service(BaseService):
    """Ours, with one method twice."""

    @classmethod
    def plain(cls, value: int) -> int:
        return value

    @classmethod
    @guarded
    def guarded(cls, value: int) -> int:
        return value


def contestants() -> dict[str, timeit.Timer]:
    """Return a timer for each line of the report. Everything is up and was called once."""
    provider = dishka.Provider(scope=dishka.Scope.APP)
    provider.provide(Pool)
    registry = svcs.Registry()
    registry.register_factory(Pool, Pool)
    start(Service)
    timers = {
        PLAIN: timeit.Timer("Service.plain(1)", globals={"Service": Service}),
        GUARDED: timeit.Timer("Service.guarded(1)", globals={"Service": Service}),
    }
    resolving: dict[str, tuple[str, Any]] = {
        "dishka": ("it.get(Pool)", dishka.make_container(provider)),
        "wireup": ("it.get(Pool)", wireup.create_sync_container(injectables=[wireup.injectable(Pool)])),
        "svcs": ("it.get(Pool)", svcs.Container(registry)),
        "that-depends": ("it.resolve_sync()", that_providers.Singleton(Pool)),
        "dependency-injector": ("it()", providers.Singleton(Pool)),
        "dependency-injector, thread-safe": ("it()", providers.ThreadSafeSingleton(Pool)),
    }
    for name, (expression, it) in resolving.items():
        names = {"it": it, "Pool": Pool}
        timers[name] = timeit.Timer(expression, globals=names)
        timers[f"{name}{AND_CALL}"] = timeit.Timer(f"{expression}.method(1)", globals=names)
    for timer in timers.values():
        timer.timeit(1)
    return timers


def measure(rounds: int) -> dict[str, list[float]]:
    """Return nanoseconds per call of each contestant, a value for each round."""
    empty = timeit.Timer("pass")
    timers = contestants()
    taken: dict[str, list[float]] = {name: [] for name in timers}
    for _ in range(rounds):
        loop_s = empty.timeit(CALLS)
        for name, timer in timers.items():
            taken[name].append((timer.timeit(CALLS) - loop_s) / CALLS * 1e9)
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=60)
    rounds = parser.parse_args().rounds
    print(*describe(), sep="\n")
    print(f"{rounds} rounds of {CALLS} calls each; median, spread of the middle half\n")
    taken = measure(rounds)
    plain_ns = statistics.median(taken[PLAIN])
    guarded_ns = statistics.median(taken[GUARDED])
    print(f"{'':42}{'ns/call':>8}{'spread':>8}{'to plain':>10}{'to guarded':>12}")
    for name, samples in taken.items():
        ns = statistics.median(samples)
        print(f"{name:42}{ns:8.1f}{spread(samples):>8}{ns / plain_ns:10.2f}{ns / guarded_ns:12.2f}")
    print(
        f"\na guarded call costs {guarded_ns / plain_ns:.2f} times a plain one; the aim is 1.0, and at most {AT_MOST}"
    )
    # A guarded call is getting at the service, which is what resolving is, and the call of its method.
    peers = {name: statistics.median(samples) for name, samples in taken.items() if name not in {PLAIN, GUARDED}}
    for job, ours_ns, theirs in (
        ("getting at the service (guarded less plain)", guarded_ns - plain_ns, lambda name: AND_CALL not in name),
        ("getting at it and calling its method", guarded_ns, lambda name: AND_CALL in name),
    ):
        quickest = min(filter(theirs, peers), key=peers.__getitem__)
        print(f"{job}: {ours_ns:.1f} ns; the quickest peer {peers[quickest]:.1f} ns ({quickest})")


if __name__ == "__main__":
    main()
