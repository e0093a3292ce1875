"""Settings from the environment and `.env`, checked and explained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from singleton_service.background.config.errors import ConfigError, ConfigProblem
from singleton_service.background.config.masking import mask_url
from singleton_service.background.config.service import ConfigService, settings_in_force
from singleton_service.background.config.settings import PlainSettings

if TYPE_CHECKING:
    from singleton_service.background.config.model import Settings

__all__ = [
    "ConfigError",
    "ConfigProblem",
    "ConfigService",
    "PlainSettings",
    "Settings",
    "mask_url",
    "settings_in_force",
]


def __getattr__(name: str) -> object:
    """Load the model when it is asked for: see model.py."""
    if name != "Settings":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from singleton_service.background.config.model import Settings  # noqa: PLC0415 - see above

    return Settings
