"""Settings from the environment and `.env`, checked and explained."""

from __future__ import annotations

from singleton_service.background.config.errors import ConfigError, ConfigProblem
from singleton_service.background.config.masking import mask_url
from singleton_service.background.config.service import ConfigService
from singleton_service.background.config.settings import Settings

__all__ = ["ConfigError", "ConfigProblem", "ConfigService", "Settings", "mask_url"]
