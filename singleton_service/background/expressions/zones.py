"""Time zones by their names. A process keeps the rules that it read first, until it ends."""

from __future__ import annotations

import difflib
import functools
import zoneinfo
from datetime import UTC, tzinfo

# Each machine's own idea, or no zone at all: two processes would not mean the same.
_NO_NAMES = ("localtime", "posixrules", "Factory")
_LONGEST = 100


def find_zone(name: str) -> tzinfo:
    """Return a time zone by its IANA name, such as "Europe/Berlin".

    Raises:
        ValueError: there is none; the message names one that is near, or says that this machine knows none at all.
        TypeError: the name is no text.
    """
    if not isinstance(name, str):
        raise TypeError(f"timezone {name!r} is of type {type(name).__name__}, it must be a name: 'Europe/Berlin'")
    if name == "UTC":
        return UTC  # there without a database, too
    return _read(name)


@functools.cache  # zones are few; zoneinfo itself keeps only eight of them
def _read(name: str) -> tzinfo:
    if name not in _NO_NAMES and not name.startswith(("right/", "posix/")) and len(name) <= _LONGEST:
        try:
            return zoneinfo.ZoneInfo(name)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            pass
    raise ValueError(_refusal(name))


def _refusal(name: str) -> str:
    known = sorted(zoneinfo.available_timezones().difference(_NO_NAMES))
    shown = ascii(name[:_LONGEST])
    if not known:
        return (
            f"timezone {shown} can't be used: there is no time zone database on this machine, so 'UTC' is the only "
            "name. Install the system's tzdata package, or: pip install tzdata"
        )
    # Cities are known better than continents: "berlin", "Europe/Berln", "America/Berlin".
    folded = {name.casefold(): name for name in reversed(known)}
    cities = {name.rpartition("/")[2].casefold(): name for name in reversed(known)}
    wanted = name[:_LONGEST].casefold().replace(" ", "_")
    city = wanted.rpartition("/")[2]
    near = folded.get(wanted) or cities.get(city)
    for names, asked in ((folded, wanted), (cities, city)):
        if near is None and (found := difflib.get_close_matches(asked, names, 1, 0.75)):
            near = names[found[0]]
    return (
        f"timezone {shown} can't be used: the time zone database of this machine has no such name. They are like "
        f"'UTC' and 'Europe/Berlin'. Try {near or 'UTC'!r}"
    )
