"""When something happens again and again, as people write it: "daily at 02:00", "every 5 minutes"."""

from .expressions import LONGEST_S, Recurrence, parse

__all__ = ["LONGEST_S", "Recurrence", "parse"]
