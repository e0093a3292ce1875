"""Checks of the server: pure functions of what it says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .finding import fine, problem, warning
from .words import count, size, span

if TYPE_CHECKING:
    from .facts import ServerFacts
    from .finding import Finding

_OLDEST: Final = (6, 2)
_SLIGHT_S: Final = 1.0
_SCHEDULES_SUFFER_S: Final = 60.0
_NEAR_FULL: Final = 0.8
_FULL: Final = 0.95
_FRAGMENTED: Final = 1.5
_SWAPPED: Final = 0.9
# A server that holds little says nothing by the ratio of what it takes.
_TELLING_BYTES: Final = 100_000_000


def check_version(server: ServerFacts) -> Finding:
    """Whether the server can do what the scripts ask for, and is one that takes writes."""
    check, info = "server", server.info
    name, version = ("Valkey", info["valkey_version"]) if "valkey_version" in info else ("Redis", "")
    version = version or info.get("redis_version", "0")
    where = "embedded" if server.is_embedded else server.url
    said = f"{name} {version}, {where}, up {span(server.number('uptime_in_seconds'))}"
    if _parts(info.get("redis_version", "0")) < _OLDEST:
        return problem(check, f"{said}: too old", "Use Redis 6.2 or newer, or Valkey.")
    if info.get("role") == "slave":
        return problem(check, f"{said}: a replica, which takes no writes", "Have REDIS_URL name its primary.")
    if info.get("cluster_enabled") == "1":
        return problem(check, f"{said}: a cluster", "Have REDIS_URL name a single server.")
    if info.get("loading") == "1":
        return warning(check, f"{said}: loads its data", "Wait for it: tasks go on when it is done.")
    return fine(check, said)


def check_eviction(server: ServerFacts) -> Finding:
    """Whether the server may throw tasks away when its memory is full."""
    check = "eviction"
    policy = server.info.get("maxmemory_policy", "noeviction")
    if policy == "noeviction":
        return fine(check, "maxmemory-policy noeviction: a full server refuses to enqueue, and forgets nothing")
    fix = "CONFIG SET maxmemory-policy noeviction, and the same in its configuration."
    if server.number("maxmemory") > 0:
        return problem(check, f"maxmemory-policy {policy}: tasks vanish when the memory is full", fix)
    return warning(
        check, f"maxmemory-policy {policy}: tasks would vanish under a maxmemory, of which there is none", fix
    )


def check_persistence(server: ServerFacts) -> Finding:
    """Whether tasks outlive the server's process."""
    check, info = "persistence", server.info
    if server.undurable:
        return problem(check, server.undurable, "Change the server, or TASKS_DURABILITY.")
    for sign, what in (("aof_last_write_status", "append-only file"), ("rdb_last_bgsave_status", "snapshot")):
        if info.get(sign, "ok") != "ok":
            fix = "Make room on the server's disk and look into its log: it may refuse writes until then."
            return problem(check, f"its last {what} could not be written", fix)
    if info.get("aof_enabled") == "1":
        fsync = server.config.get("appendfsync", "")
        if fsync == "everysec" and server.number("aof_delayed_fsync"):
            said = "appendfsync everysec, and the disk was too slow for it: a kill of the server may lose tasks"
            return warning(check, said, "CONFIG SET appendfsync always, or give it a faster disk.")
        return fine(check, f"append-only file{f', appendfsync {fsync}' if fsync else ''}")
    fix = "CONFIG SET appendonly yes, and the same in its configuration."
    if server.config.get("save", "unknown"):
        return warning(check, "no append-only file: with the server's process goes what came after its snapshot", fix)
    return problem(check, "no append-only file, no snapshots: all tasks are lost with the server's process", fix)


def check_clock(server: ServerFacts) -> Finding:
    """Whether this machine and the server agree on the time: the server's decides, schedules go by this one's."""
    check, off_s = "clock", abs(server.ahead_s)
    if off_s <= _SLIGHT_S + server.ahead_within_s:
        return fine(check, f"within {span(max(off_s, server.ahead_within_s, 0.1))} of the server's")
    said = f"this machine's clock is {span(off_s)} {'behind' if server.ahead_s > 0 else 'ahead of'} the server's"
    fix = "Have both follow NTP (timedatectl set-ntp true)."
    if off_s < _SCHEDULES_SUFFER_S:
        return warning(check, said, fix)
    return problem(check, f"{said}: times that this machine gives are off by as much", fix)


def check_memory(server: ServerFacts) -> Finding:
    """Whether the server has room for more."""
    check, used = "memory", server.number("used_memory")
    limit = server.number("maxmemory") or server.number("total_system_memory")
    of_what = "its maxmemory" if server.number("maxmemory") else "its machine's memory"
    said = f"{size(used)} used" + (f", {used / limit:.0%} of {of_what}, {size(limit)}" if limit else "")
    fix = "Give it more, or keep less: TASKS_RESULT_TTL_SECONDS, TASKS_MAX_RESULTS, TASKS_MAX_BACKLOG."
    if limit and used > _FULL * limit:
        return problem(check, f"{said}: enqueues are refused when it is full", fix)
    if limit and used > _NEAR_FULL * limit:
        return warning(check, said, fix)
    if used > _TELLING_BYTES:
        ratio = server.number("used_memory_rss") / used
        if ratio > _FRAGMENTED:
            taken = size(server.number("used_memory_rss"))
            return warning(check, f"{said}, and {taken} taken for it: fragmented", "MEMORY PURGE, or restart it.")
        if ratio < _SWAPPED:
            return warning(check, f"{said}, not all of it in memory: swapped out", "Give its machine more memory.")
    return fine(check, said)


def check_connections(server: ServerFacts) -> Finding:
    """Whether more programs can connect."""
    check, open_now, most = "connections", server.number("connected_clients"), server.number("maxclients")
    said = f"{count(open_now, 'connection')}{f' of {most:,}' if most else ''}"
    if most and open_now > _NEAR_FULL * most:
        return warning(check, said, "Raise maxclients of the server, and its limit of open files.")
    return fine(check, said)


def _parts(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())
