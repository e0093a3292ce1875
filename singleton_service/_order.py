"""Graph questions about services, as pure functions.

Nothing here knows what a service is: nodes are anything hashable, and *edges* tells what a node
needs. No function recurses, so a chain of ten thousand services is as good as a chain of two.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import TypeVar

    N = TypeVar("N")  # hashable

__all__ = ["CycleFound", "find_path", "start_order", "with_dependents"]


class CycleFound(Exception):  # noqa: N818 - an answer of a pure function; callers turn it into their own error
    """The nodes form a ring; ``path`` walks it and repeats its first node at the end."""

    def __init__(self, path: tuple[object, ...]) -> None:
        super().__init__(path)
        self.path = path


def start_order(
    roots: Iterable[N], edges: Callable[[N], Iterable[N]], *, is_done: Callable[[N], bool] | None = None
) -> list[N]:
    """Return *roots* and all they need, each after everything it needs itself.

    Takes time linear in nodes and edges. Among equals the order of *edges* decides, so the
    answer is the same every time.

    Args:
        roots: What is wanted.
        edges: What a node needs.
        is_done: Nodes to leave out, together with what only they need.

    Raises:
        CycleFound: Some nodes need each other.
    """
    order: list[N] = []
    finished: set[N] = set()
    for root in roots:
        if root in finished or (is_done is not None and is_done(root)):
            continue
        # A dict keeps the way from the root to here in order, and finds a node on it at once.
        trail: dict[N, Iterator[N]] = {root: iter(edges(root))}
        while trail:
            node, pending = next(reversed(trail.items()))
            for needed in pending:
                if needed in finished or (is_done is not None and is_done(needed)):
                    continue
                if needed in trail:
                    way = list(trail)
                    raise CycleFound((*way[way.index(needed) :], needed))
                trail[needed] = iter(edges(needed))
                break
            else:
                del trail[node]
                finished.add(node)
                order.append(node)
    return order


def find_path(source: N, target: N, edges: Callable[[N], Iterable[N]]) -> tuple[N, ...] | None:
    """Return the shortest way from *source* to *target*, both included, or None."""
    came_from: dict[N, N | None] = {source: None}
    frontier = [source]
    while frontier:
        following: list[N] = []
        for node in frontier:
            if node == target:
                return tuple(_walk_back(node, came_from))[::-1]
            for needed in edges(node):
                if needed not in came_from:
                    came_from[needed] = node
                    following.append(needed)
        frontier = following
    return None


def _walk_back(node: N, came_from: dict[N, N | None]) -> Iterator[N]:
    step: N | None = node
    while step is not None:
        yield step
        step = came_from[step]


def with_dependents(chosen: Iterable[N], order: Iterable[N], edges: Callable[[N], Iterable[N]]) -> list[N]:
    """Return the members of *order* that are in *chosen* or need one of them, in that order.

    *order* must have every node after what it needs.
    """
    picked = set(chosen)
    answer: list[N] = []
    for node in order:
        if node in picked or any(needed in picked for needed in edges(node)):
            picked.add(node)
            answer.append(node)
    return answer
