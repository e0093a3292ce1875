"""Where Redis comes from: the server that REDIS_URL names, or one of our own."""

from __future__ import annotations

from singleton_service.background.engine.engine import Engine, open_engine
from singleton_service.background.engine.errors import EngineError
from singleton_service.background.engine.refusals import RefusedError

__all__ = ["Engine", "EngineError", "RefusedError", "open_engine"]
