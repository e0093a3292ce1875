"""The door to the settings: what an application imports."""

from typing import TYPE_CHECKING

from singleton_service.background import config
from singleton_service.background.config import ConfigError, ConfigService

if TYPE_CHECKING:
    from singleton_service.background.config import Settings

__all__ = ["ConfigError", "ConfigService", "Settings"]


def __getattr__(name: str) -> object:
    """Load the model of the settings when it is asked for: pydantic, of which it is made, takes long to import."""
    if name == "Settings":
        return config.Settings
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
