"""What a worker process writes down about its own troubles, for whoever looks from elsewhere; gone an hour later."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

from singleton_service.background.task_queue.errors import TaskQueueError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from singleton_service.background.task_queue.client import QueueClient

logger = logging.getLogger("singleton_service.worker")

_KEPT_S = 3600
_READ_TIMEOUT_S = 2.0
# What is known of the loop of its coroutines, and of the one that fetches.
BLOCKED, STANDS_STILL = "blocked", "stands_still"


class NotePad:
    """What this process has written down. For one thread."""

    def __init__(self, client: QueueClient) -> None:
        self._client = client
        self._link = client.new_link(_READ_TIMEOUT_S)
        self._written: Mapping[str, str] = {}

    def keep(self, troubles: Mapping[str, str]) -> None:
        """Write down these troubles, in place of those before, when they are others. Never raises.

        Args:
            troubles: kind -> what is so, in one line.
        """
        if troubles == self._written:
            return
        key = _key(self._client, self._client.worker_id)
        try:
            self._link.call(*((b"SET", key, json.dumps(troubles), b"EX", _KEPT_S) if troubles else (b"DEL", key)))
        except TaskQueueError as error:
            logger.debug("could not write down what is wrong here: %s", error)
        else:
            self._written = dict(troubles)

    def close(self) -> None:
        """Let go of the connection; what is written goes with its time."""
        self._link.close()


def read_notes(client: QueueClient, workers: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return the troubles of those workers that have any.

    Raises:
        QueueUnavailableError: the server is not there.
    """
    found = client.read([(b"GET", _key(client, worker)) for worker in workers]) if workers else []
    return {worker: json.loads(note) for worker, note in zip(workers, found, strict=True) if note}


def _key(client: QueueClient, worker: str) -> str:
    # Beside the queues, in a slot of its own.
    return f"{client.settings.namespace}:note:{worker}"
