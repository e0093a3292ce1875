"""How long does it take to bring up, and to take down, 10 to 10,000 things that depend on each other?

In a chain, a star (one needs all the others) and a random graph (each needs up to three earlier ones). Each thing has a
hook that runs when it comes up and one when it goes down. "declare" is what happens once per program, defining classes,
factories and the container; "start" is from there until the last one is up; "stop" takes all of them down again.
Each measurement is a process of its own, with the recursion limit as it is; three of them, and their median.

    python -m benchmarks.container.starts [--sizes 10 100 1000 10000] [--repeats 3]
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.container.measuring import PEERS, describe

ROOT = Path(__file__).parents[2]
OURS = "singleton-service"
SHAPES = ("chain", "star", "random")
TOO_LONG_S = 60


class Contestant(NamedTuple):
    """One container with a graph declared in it."""

    start: Callable[[], Any]
    stop: Callable[[], Any]


def edges(shape: str, size: int) -> list[list[int]]:
    """Return for each thing the numbers of those it needs, all smaller than its own. The last one needs all."""
    if shape == "chain":
        return [[number - 1] if number else [] for number in range(size)]
    if shape == "star":
        return [*([] for _ in range(size - 1)), list(range(size - 1))]
    dice = random.Random(size)
    graph = [dice.sample(range(number), min(number, dice.randint(0, 3))) for number in range(size - 1)]
    needed = {number for needs in graph for number in needs}
    return [*graph, [number for number in range(size - 1) if number not in needed]]


up = 0


def come_up() -> None:
    global up
    up += 1


def go_down() -> None:
    global up
    up -= 1


def things(graph: list[list[int]]) -> tuple[list[type], list[Callable[..., Iterator[Any]]]]:
    """Return a class for each thing and a factory that takes what it needs as arguments, annotated."""
    classes = [type(f"Thing{number}", (), {}) for number in range(len(graph))]
    factories = []
    for number, needs in enumerate(graph):
        names = ", ".join(f"_{needed}" for needed in needs)
        scope: dict[str, Any] = {"made": classes[number], "come_up": come_up, "go_down": go_down, "__name__": __name__}
        exec(f"def factory({names}):\n come_up()\n yield made()\n go_down()", scope)
        factory = scope["factory"]
        factory.__annotations__ = {f"_{needed}": classes[needed] for needed in needs}
        factory.__annotations__["return"] = Iterator[classes[number]]  # type: ignore[valid-type]
        factories.append(factory)
    return classes, factories


def ours(graph: list[list[int]]) -> Contestant:
    from singleton_service import BaseService, requires, start, stop

    services: list[type[BaseService]] = []
    for number, needs in enumerate(graph):

        class Thing(BaseService):
            @classmethod
            def initialize(cls) -> None:
                come_up()

            @classmethod
            def shutdown(cls) -> None:
                go_down()

        Thing.__name__ = f"Thing{number}"
        services.append(requires(*(services[needed] for needed in needs))(Thing))
    return Contestant(lambda: start(services[-1]), stop)


def with_dishka(graph: list[list[int]]) -> Contestant:
    import dishka

    classes, factories = things(graph)
    provider = dishka.Provider(scope=dishka.Scope.APP)
    for factory in factories:
        provider.provide(factory)
    container = dishka.make_container(provider)
    return Contestant(lambda: container.get(classes[-1]), container.close)


def with_wireup(graph: list[list[int]]) -> Contestant:
    import wireup

    classes, factories = things(graph)
    container = wireup.create_sync_container(injectables=[wireup.injectable(factory) for factory in factories])
    return Contestant(lambda: container.get(classes[-1]), container.close)


def with_svcs(graph: list[list[int]]) -> Contestant:
    import svcs

    classes, factories = things(graph)
    registry = svcs.Registry()

    def register(number: int) -> None:
        def factory(svcs_container: Any) -> Any:
            return factories[number](*(svcs_container.get(classes[needed]) for needed in graph[number]))

        def entered(svcs_container: Any) -> Iterator[Any]:
            yield from factory(svcs_container)

        registry.register_factory(classes[number], entered)

    for number in range(len(graph)):
        register(number)
    container = svcs.Container(registry)
    return Contestant(lambda: container.get(classes[-1]), container.close)


def with_that_depends(graph: list[list[int]]) -> Contestant:
    import that_depends
    from that_depends import providers

    _, factories = things(graph)
    made: list[Any] = []
    for number, needs in enumerate(graph):
        made.append(providers.Resource(factories[number], *(made[needed].cast for needed in needs)))
    container: Any = type("Container", (that_depends.BaseContainer,), {f"p{n}": one for n, one in enumerate(made)})
    return Contestant(made[-1].resolve_sync, container.tear_down_sync)


def with_dependency_injector(graph: list[list[int]]) -> Contestant:
    from dependency_injector import containers, providers

    _, factories = things(graph)
    container = containers.DynamicContainer()
    made: list[Any] = []
    for number, needs in enumerate(graph):
        made.append(providers.Resource(factories[number], *(made[needed] for needed in needs)))
        setattr(container, f"p{number}", made[-1])
    return Contestant(made[-1], container.shutdown_resources)


CONTESTANTS: dict[str, Callable[[list[list[int]]], Contestant]] = {
    OURS: ours,
    "dishka": with_dishka,
    "wireup": with_wireup,
    "svcs": with_svcs,
    "that-depends": with_that_depends,
    "dependency-injector": with_dependency_injector,
}


def measure_here(name: str, shape: str, size: int) -> dict[str, float | str]:
    """Return seconds by phase, or what went wrong in which."""
    graph = edges(shape, size)
    taken: dict[str, float | str] = {}
    phase = "declare"
    CONTESTANTS[name](edges("chain", 2))  # imports what it needs
    try:
        began = time.perf_counter()
        contestant = CONTESTANTS[name](graph)
        for phase, act, expected in (("start", contestant.start, size), ("stop", contestant.stop, 0)):
            taken["declare" if phase == "start" else "start"] = time.perf_counter() - began
            began = time.perf_counter()
            act()
            if up != expected:
                return {**taken, "error": f"{phase}: {up} up, not {expected}"}
        taken["stop"] = time.perf_counter() - began
    except Exception as error:  # a peer's way of not being up to it
        taken["error"] = f"{phase}: {type(error).__name__}"
    return taken


def measure(name: str, shape: str, size: int, repeats: int) -> dict[str, float | str]:
    """Return the median seconds by phase of *repeats* processes, or what went wrong."""
    runs: list[dict[str, Any]] = []
    for _ in range(repeats):
        command = [sys.executable, "-m", "benchmarks.container.starts", "--one", name, shape, str(size)]
        try:
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=TOO_LONG_S, check=False)
        except subprocess.TimeoutExpired:
            return {"error": f"more than {TOO_LONG_S} s"}
        if done.returncode:
            return {"error": f"died with {done.returncode}"}
        runs.append(json.loads(done.stdout))
        if "error" in runs[-1]:
            return runs[-1]
    return {phase: statistics.median(run[phase] for run in runs) for phase in ("declare", "start", "stop")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10, 100, 1000, 10_000])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measure_here(given.one[0], given.one[1], int(given.one[2]))))
        return
    print(*describe(), sep="\n")
    print(f"µs per thing, median of {given.repeats} processes; recursion limit {sys.getrecursionlimit()}")
    for shape in SHAPES:
        for size in given.sizes:
            print(
                f"\n{shape} of {size:,}{'':20}"[:30]
                + f"{'declare':>9}{'start':>9}{'stop':>9}{'up, to ours':>14}{'down, to ours':>15}"
            )
            results = {name: measure(name, shape, size, given.repeats) for name in (OURS, *PEERS)}
            for name, result in results.items():
                print(line(name, result, results[OURS], size))


def line(name: str, result: dict[str, Any], mine: dict[str, Any], size: int) -> str:
    if "error" in result:
        return f"  {name:28}  {result['error']}"
    phases = ("declare", "start", "stop")
    cells = "".join(f"{result[phase] / size * 1e6:9.1f}" for phase in phases)
    if "error" in mine:
        return f"  {name:28}{cells}"
    up_ratio = (result["declare"] + result["start"]) / (mine["declare"] + mine["start"])
    return f"  {name:28}{cells}{up_ratio:14.2f}{result['stop'] / mine['stop']:15.3f}"


if __name__ == "__main__":
    main()
