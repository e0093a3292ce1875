"""Handlers that run in processes of their own: killed when they don't end, and alone when they crash.

pool.py has them from the outside: one thread for all of them. inside.py is what runs in each.
"""

from .pool import ProcessPool
from .travel import check_tickets, is_importing_main

__all__ = ["ProcessPool", "check_tickets", "is_importing_main"]
