"""All checks, one after another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from singleton_service.background.config import settings_in_force

from . import queue_checks, server_checks, worker_checks
from .asking import gather
from .finding import problem
from .place_checks import check_directory, check_neighbours
from .schedule_checks import check_schedules

if TYPE_CHECKING:
    from singleton_service.background.config import PlainSettings

    from .facts import Facts
    from .finding import Finding

# The check that stands for all those that need a server.
UNREACHABLE: Final = "reachable"

_SERVER = (
    server_checks.check_version,
    server_checks.check_eviction,
    server_checks.check_persistence,
    server_checks.check_clock,
    server_checks.check_memory,
    server_checks.check_connections,
)
_QUEUES = (
    queue_checks.check_protocol,
    queue_checks.check_workers,
    queue_checks.check_pauses,
    queue_checks.check_held,
    queue_checks.check_leases,
)
_TROUBLES = (worker_checks.check_fetching, worker_checks.check_event_loop)
_TASKS = (queue_checks.check_running, queue_checks.check_failed)


def examine(settings: PlainSettings | None = None) -> list[Finding]:
    """Look for what keeps tasks from running, or may lose them, and say what to do about it. Changes nothing.

    Takes as long as a few dozen round trips to the server, however many tasks there are. An embedded server that does
    not run is started for it, as by any program.

    Args:
        settings: of the queue; those of this process unless given.

    Raises:
        ConfigError: the settings can't be used. A server that is away is a finding, not an error.
    """
    return findings_of(gather(settings_in_force() if settings is None else settings))


def findings_of(facts: Facts) -> list[Finding]:
    """Return what all checks find, in the order in which to mend it."""
    found = [] if facts.directory is None else [check_directory(facts.directory)]
    if facts.unreachable is not None:
        return [*found, problem(UNREACHABLE, *facts.unreachable)]
    if facts.server is not None:
        found += [check(facts.server) for check in _SERVER]
    if facts.refused:
        fix = "Use Redis 6.2 or newer, or Valkey, as a user that may run scripts and all commands on the keys of tasks."
        return [*found, problem("queues", facts.refused, fix)]
    found += [check(facts.queues) for check in _QUEUES]
    found += [check(facts.troubles) for check in _TROUBLES]
    if facts.tasks is not None:
        found += [check(facts.tasks) for check in _TASKS]
    if facts.schedules is not None:
        found.append(check_schedules(facts.schedules))
    neighbours = check_neighbours(facts)
    return found if neighbours is None else [*found, neighbours]
