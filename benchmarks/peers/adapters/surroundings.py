"""What the harness tells an adapter, by its environment."""

from __future__ import annotations

import os

URL = os.environ.get("BENCH_URL", "redis://127.0.0.1:6379/0")
# Which of its ways a peer shall take, where it has several.
WAY = os.environ.get("BENCH_WAY", "")
# How many tasks a worker process has under way at once.
IN_FLIGHT = int(os.environ.get("BENCH_IN_FLIGHT", "8"))
