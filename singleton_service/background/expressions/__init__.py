"""When something happens again and again, as people write it: "daily at 02:00", "every 5 minutes", "0 2 * * *"."""

from .calendar_days import Calendar
from .cron import Cron
from .errors import ExpressionError
from .expressions import parse
from .interval import LONGEST_S, Interval
from .recurrence import Recurrence
from .zones import find_zone

__all__ = ["LONGEST_S", "Calendar", "Cron", "ExpressionError", "Interval", "Recurrence", "find_zone", "parse"]
