"""Handing on what a dead worker held."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from . import wall_clock
from .codec import encode_error

if TYPE_CHECKING:
    from .client import QueueClient
    from .link import Link
    from .protocol import Protocol

logger = logging.getLogger("singleton_service.task_queue")


def recover_lost(link: Link, protocol: Protocol, lost: str) -> None:
    """Hand on what a worker held in a queue, unless it has come back since its lease ended."""
    _recover(link, protocol, lost, is_dead=False)


def recover_dead(client: QueueClient, dead: str) -> int:
    """Hand on at once what a worker held in all queues, and return how many of its tasks failed for good.

    Only for who has seen its process dead: no lease is looked at. Again is harmless, and a moment later useful: what
    the process had sent when it died may arrive only then.

    Raises:
        QueueUnavailableError: the server is not there.
    """
    return sum(_recover(client.link, client.protocol(queue), dead, is_dead=True) for queue in client.queues())


def _recover(link: Link, protocol: Protocol, lost: str, *, is_dead: bool) -> int:
    error = encode_error(
        wall_clock.now(),
        "WorkerLost",
        "worker lost 3 times: each time the task ran, its worker process died. "
        "Look for crashes or memory kills in the worker's log, then retry the task",
        None,
    )
    handed_on = buried = 0
    left = 1
    while left > 0:
        more, gone, left = link.run([protocol.recover(lost, error, is_dead=is_dead)])[0]
        handed_on += more
        buried += gone
    if handed_on or buried:
        logger.warning(
            "worker %s is lost: %d of its tasks in queue %r go on, %d failed for good",
            lost,
            handed_on,
            protocol.queue,
            buried,
        )
    return buried
