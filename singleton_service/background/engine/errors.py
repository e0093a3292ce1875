"""What goes wrong before there is a server to talk to.

RuntimeError
 └─ EngineError          the server of a data directory, or the engine itself, cannot be used
"""

from __future__ import annotations

__all__ = ["EngineError"]


class EngineError(RuntimeError):
    """There is no server to use: *what* is wrong, *where*, and the *fix*; what its log said last."""

    def __init__(self, what: str, where: str, fix: str, log_tail: str = "") -> None:
        super().__init__(what, where, fix, log_tail)
        self.what = what
        self.where = where
        self.fix = fix
        self.log_tail = log_tail

    def __str__(self) -> str:
        tail = f"\nThe server's last words:\n{self.log_tail}" if self.log_tail else ""
        return f"{self.what}: {self.where}\n{self.fix}{tail}"
