"""ConfigService: the settings, read once, for everyone who asks."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from singleton_service import BaseService, guarded
from singleton_service.background.config.load import load_settings
from singleton_service.background.config.settings import Settings
from singleton_service.background.config.variables import variable_name

__all__ = ["ConfigService"]

_FIELD_OF: Final = {name: field for field in Settings.model_fields for name in (field, variable_name(field))}


class ConfigService(BaseService):
    """Reads the environment and `.env` when it starts, and keeps what it read.

    A later change of the environment is seen after a stop and a new start.
    """

    _settings: ClassVar[Settings | None] = None

    @classmethod
    def initialize(cls) -> None:
        """Read all settings.

        Raises:
            ConfigError: A variable breaks its rule, or `.env` cannot be read.
        """
        cls._settings = load_settings()

    @classmethod
    def ping(cls) -> bool:
        """Return whether the settings have been read."""
        return cls._settings is not None

    @classmethod
    def shutdown(cls) -> None:
        """Forget the settings."""
        cls._settings = None

    @classmethod
    @guarded
    def get_config(cls) -> Settings:
        """Return all settings, frozen; every call gives the same object until a stop."""
        settings = cls._settings
        # None only when another thread stopped the service since the gate let this one in.
        return load_settings() if settings is None else settings

    @classmethod
    @guarded
    def get(cls, key: str, default: Any = None) -> Any:
        """Return one setting, by field name (`lease_seconds`) or variable (`TASKS_LEASE_SECONDS`).

        Returns:
            Its value; *default* if there is no such setting or it is unset.
        """
        field = _FIELD_OF.get(key)
        value = None if field is None else getattr(cls.get_config(), field)
        return default if value is None else value
