"""All scenarios, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .scenarios import bad_lines, cancelling, dying_servers, limits, lost_workers, odd_servers, soak, wake_ups

if TYPE_CHECKING:
    from .run import Scenario

_ALL: tuple[Scenario, ...] = (
    lost_workers.workers_killed,
    lost_workers.supervised_workers_killed,
    lost_workers.workers_stopped,
    lost_workers.only_the_heartbeat_blocked,
    lost_workers.poison,
    lost_workers.terminated,
    lost_workers.rolling_restart,
    limits.limits_under_kills,
    bad_lines.enqueue_answers_lost,
    bad_lines.fetch_answers_lost,
    bad_lines.acknowledge_answers_lost,
    bad_lines.black_hole,
    bad_lines.half_open,
    bad_lines.cut_and_slow,
    dying_servers.embedded_killed,
    dying_servers.embedded_always_killed,
    dying_servers.plain_always_killed,
    dying_servers.plain_everysec_killed,
    odd_servers.server_stopped,
    odd_servers.clients_killed,
    odd_servers.clients_paused,
    odd_servers.scripts_flushed,
    odd_servers.server_full,
    cancelling.cancel_races,
    wake_ups.lost_wake_ups,
    wake_ups.wrong_clocks,
    soak.soak,
)

SCENARIOS: dict[str, Scenario] = {scenario.__name__: scenario for scenario in _ALL}
