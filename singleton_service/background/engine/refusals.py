"""What a server answers a command that it does not carry out."""

from __future__ import annotations

from typing import Final

__all__ = ["RefusedError", "refusal_of"]

# It serves nobody here, whatever is asked.
_NOT_SERVED: Final = ("LOADING ", "NOAUTH ", "WRONGPASS ", "ERR max number of clients", "ERR invalid password")


class RefusedError(Exception):
    """A reply that is a refusal, in the server's words.

    Attributes:
        word: the first of them, which says of what kind it is, as NOSCRIPT.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.word = text.partition(" ")[0]


def refusal_of(text: str) -> Exception:
    """Return what a reply that begins with "-" means: a refusal, or that this connection is of no use."""
    if text.startswith(_NOT_SERVED):
        return ConnectionError(text.partition(" ")[2])
    return RefusedError(text.removeprefix("ERR "))
