"""The door to the web: a router and a lifespan for a FastAPI application, and 503 for its own endpoints."""

from singleton_service.background.fastapi import answer_queue_error, lifespan, router

__all__ = ["answer_queue_error", "lifespan", "router"]
