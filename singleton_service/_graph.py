"""graph: which services there are, who needs whom, and how they are doing. Draws, starts nothing."""

from __future__ import annotations

import time
from dataclasses import dataclass

from ._lifecycle import all_services, check_services
from ._plan import full_order, needs
from ._states import ServiceState, look_at

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ._service import BaseService

    Service = type[BaseService]

__all__ = ["Graph", "Node", "graph"]


@dataclass(frozen=True, slots=True)
class Node:
    """One service in a graph, as it was when the graph was taken."""

    service: type[BaseService]
    name: str
    state: ServiceState
    level: int
    """0 for a service that needs none; otherwise one more than the highest it needs."""
    started_at: float | None
    """Seconds since the epoch; None when not started."""
    start_seconds: float | None
    """How long its hooks took; None when not started."""
    requires: tuple[type[BaseService], ...]
    uses: tuple[type[BaseService], ...]
    """What its hooks started without declaring it."""

    @property
    def label(self) -> str:
        """State in words, for a reader: ``started 12:03:55, took 0.013 s``."""
        if self.started_at is None or self.start_seconds is None:
            return self.state.value
        clock = time.strftime("%H:%M:%S", time.localtime(self.started_at))
        return f"{self.state.value} {clock}, took {self.start_seconds:.3f} s"


@dataclass(frozen=True, slots=True)
class Graph:
    """Services in start order, with their edges. Renders as text, Mermaid and DOT."""

    nodes: tuple[Node, ...]

    @property
    def order(self) -> list[type[BaseService]]:
        """The services in the order in which they start."""
        return [node.service for node in self.nodes]

    @property
    def edges(self) -> list[tuple[type[BaseService], type[BaseService]]]:
        """Pairs of a service and one that it requires."""
        return [(node.service, needed) for node in self.nodes for needed in node.requires]

    @property
    def levels(self) -> list[list[type[BaseService]]]:
        """Services by level: those of one level need nothing of each other."""
        levels: list[list[type[BaseService]]] = [[] for _ in range(1 + max((n.level for n in self.nodes), default=-1))]
        for node in self.nodes:
            levels[node.level].append(node.service)
        return levels

    def __str__(self) -> str:
        return self.text()

    def text(self) -> str:
        """Return an indented tree: what nobody needs on the left, what it needs below it."""
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        nodes = {node.service: node for node in self.nodes}
        needed = {service for node in self.nodes for service in (*node.requires, *node.uses)}
        shown: set[type[BaseService]] = set()
        # A stack instead of recursion: (service, how it hangs on the line above, prefix of its children).
        stack = [(node.service, "", "") for node in reversed(self.nodes) if node.service not in needed]
        while stack:
            service, branch, prefix = stack.pop()
            node = nodes[service]
            if service in shown and (node.requires or node.uses):
                yield f"{branch}{node.name}  (see above)"
                continue
            shown.add(service)
            yield f"{branch}{node.name}  [{node.label}]"
            below = [(needed, "") for needed in node.requires] + [(used, "(undeclared) ") for used in node.uses]
            for number, (child, mark) in reversed(list(enumerate(below, start=1))):
                is_last = number == len(below)
                stack.append(
                    (
                        child,
                        f"{prefix}{'└── ' if is_last else '├── '}{mark}",
                        f"{prefix}{'    ' if is_last else '│   '}",
                    )
                )

    def mermaid(self) -> str:
        """Return a Mermaid flowchart; dashed arrows are uses that were not declared."""
        numbers = {node.service: f"n{number}" for number, node in enumerate(self.nodes)}
        lines = ["flowchart TD"]
        lines += [f'    {numbers[node.service]}["{node.name}<br/>{node.label}"]' for node in self.nodes]
        for node in self.nodes:
            lines += [f"    {numbers[node.service]} --> {numbers[needed]}" for needed in node.requires]
            lines += [f"    {numbers[node.service]} -.-> {numbers[used]}" for used in node.uses]
        return "\n".join(lines)

    def dot(self) -> str:
        """Return a Graphviz digraph; dashed arrows are uses that were not declared."""
        numbers = {node.service: f"n{number}" for number, node in enumerate(self.nodes)}
        lines = ["digraph services {", "    node [shape=box];"]
        lines += [f'    {numbers[node.service]} [label="{node.name}\\n{node.label}"];' for node in self.nodes]
        for node in self.nodes:
            lines += [f"    {numbers[node.service]} -> {numbers[needed]};" for needed in node.requires]
            lines += [f"    {numbers[node.service]} -> {numbers[used]} [style=dashed];" for used in node.uses]
        return "\n".join([*lines, "}"])


def graph(*services: Service) -> Graph:
    """Return the graph of *services* and all they need, as it is now; start nothing. Any thread.

    Args:
        services: Where to begin; without arguments, every service class defined so far.

    Raises:
        CircularDependencyError: They require each other.
        TypeError: An argument is not a service class.
    """
    check_services(services)
    order = _with_what_they_use(services or all_services())
    levels: dict[Service, int] = {}
    nodes: list[Node] = []
    for service in order:
        required = needs(service)
        levels[service] = 1 + max((levels[needed] for needed in required), default=-1)
        state, record = look_at(service)
        used = record.used if record is not None else set()
        nodes.append(
            Node(
                service=service,
                name=service.__name__,
                state=state,
                level=levels[service],
                started_at=record.started_at if record is not None else None,
                start_seconds=record.seconds if record is not None else None,
                requires=required,
                uses=tuple(sorted(used.difference(required), key=lambda other: other.__qualname__)),
            )
        )
    return Graph(tuple(nodes))


def _with_what_they_use(roots: Sequence[Service]) -> list[Service]:
    """Return the start order of *roots*, what they need, and what hooks started undeclared."""
    while True:
        order = full_order(roots)
        records = (look_at(service)[1] for service in order)
        used = {other for record in records if record is not None for other in record.used}
        more = used.difference(order)
        if not more:
            return order
        roots = (*sorted(more, key=lambda other: other.__qualname__), *roots)
