"""The door to the web: a router and a lifespan for a FastAPI application."""

from singleton_service.background.fastapi import lifespan, router

__all__ = ["lifespan", "router"]
