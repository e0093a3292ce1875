"""A program that uses an embedded server, and does what its standard input says, a word a line."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from singleton_service.background.config import Settings
from singleton_service.background.engine import EngineError, open_engine

settings = Settings(redis_url=None, data_dir=Path(sys.argv[1]))
engine = None


def command(*words: str) -> str:
    assert engine is not None
    connection = engine.connection()
    try:
        connection.connect()
        (answer,) = connection.call(words)
    finally:
        connection.disconnect()
    return answer.decode().replace("\r\n", " ") if isinstance(answer, bytes) else str(answer)


def say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


say("loaded")
for line in sys.stdin:
    match line.split():
        case ["open"]:
            try:
                engine = open_engine(settings)
                say("opened")
            except EngineError as error:
                say("refused", error.what)
        case ["close"]:
            assert engine is not None
            engine.close()
            say("closed")
        case ["deaf"]:
            for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(signum, signal.SIG_IGN)
            say("deaf")
        case ["fork"]:
            # The child says whether it could use what its parent opened, and lives on.
            if os.fork() == 0:
                try:
                    command("PING")
                    say("shared")
                except EngineError:
                    say(os.getpid())
                signal.pause()
        case words:
            try:
                say(command(*words))
            except Exception as error:
                say("failed", error)
