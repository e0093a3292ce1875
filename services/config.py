"""The door to the settings: what an application imports."""

from singleton_service.background.config import ConfigError, ConfigService, Settings

__all__ = ["ConfigError", "ConfigService", "Settings"]
