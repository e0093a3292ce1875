"""Speak for the peer that is named: `python -m benchmarks.peers.adapters huey`."""

from __future__ import annotations

import importlib
import sys

from .speaking import serve

if __name__ == "__main__":
    serve(importlib.import_module(f"{__package__}.{sys.argv[1]}"))
