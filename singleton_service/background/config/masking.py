"""Show a setting without showing the secret in it."""

from __future__ import annotations

import re

__all__ = ["mask_url"]

MASK = "***"
_SECRET_PARAMETER = re.compile(r"(?i)([?&][^=&#]*(?:password|passwd|secret|token)[^=&#]*=)[^&#]*")


def mask_url(url: str) -> str:
    """Return *url* with its password hidden, however malformed it is.

    The last `@` ends the credentials: a password with an unescaped `/`, `?` or `#` in it
    makes the URL unparsable, and is exactly the one that must not reach a log.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        scheme, rest = "", url
    credentials, at, address = rest.rpartition("@")
    if at:
        user, colon, _ = credentials.partition(":")
        # Without a colon it is one word, and there are tools that put a token there.
        rest = f"{user}:{MASK}@{address}" if colon else f"{MASK}@{address}"
    return _SECRET_PARAMETER.sub(rf"\g<1>{MASK}", scheme + separator + rest)
