"""Something else in the place of what is there, for as long as a block lasts."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from singleton_service import BaseService


@contextmanager
def environment(**variables: str) -> Iterator[None]:
    """Have these variables in the environment."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def attribute(owner: type[BaseService], name: str, value: object) -> Iterator[None]:
    """Have a service have this attribute, over its own or an inherited one."""
    own = vars(owner).get(name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if own is None:
            delattr(owner, name)
        else:
            setattr(owner, name, own)
