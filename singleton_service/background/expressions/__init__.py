"""When something happens again and again, as people write it: "daily at 02:00", "every 5 minutes", "0 2 * * *"."""

from .cron import Cron
from .expressions import LONGEST_S, Interval, Recurrence, parse

__all__ = ["LONGEST_S", "Cron", "Interval", "Recurrence", "parse"]
