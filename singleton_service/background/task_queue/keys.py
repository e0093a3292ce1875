"""Every key in the server. All keys of a queue share one hash tag, so they share one cluster slot."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class QueueKeys:
    """The keys of one queue, by the names that the scripts' headers use; `owned` is the worker's."""

    namespace: str
    queue: str
    worker: str
    _named: dict[tuple[str, ...], tuple[bytes, ...]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def key(self, name: str) -> bytes:
        """Return one key by its name; "ready:1" is the ready list of priority 1."""
        if name == "owned":
            name = f"owned:{self.worker}"
        return f"{self.namespace}:{{{self.queue}}}:{name}".encode()

    @property
    def wake(self) -> bytes:
        """The list that sleeping dispatchers pop from."""
        return self.key("wake")

    @property
    def ended_channel(self) -> bytes:
        """The channel on which ends of awaited tasks are published."""
        return self.key("ended")

    def named(self, names: tuple[str, ...]) -> tuple[bytes, ...]:
        """Return the keys of these names, in their order."""
        keys = self._named.get(names)
        if keys is None:
            keys = self._named[names] = tuple(map(self.key, names))
        return keys


def queues_key(namespace: str) -> bytes:
    """Return the key of the set of queue names; it lies in a slot of its own."""
    return f"{namespace}:queues".encode()
