"""The pages with tasks in a web application, followed to the letter, web server included."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.docs.test_container_docs import Reader, blocks, commands

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def data_dir(monkeypatch: pytest.MonkeyPatch, until: Callable[..., object]) -> Iterator[None]:
    # A short path: sockets take 100 bytes.
    with tempfile.TemporaryDirectory(prefix="howto-") as directory:
        monkeypatch.delenv("REDIS_URL", raising=False)
        monkeypatch.setenv("TASKS_DATA_DIR", f"{directory}/data")
        yield
        until(lambda: not (Path(directory) / "data" / "server.sock").exists())


@pytest.mark.usefixtures("data_dir")
@pytest.mark.parametrize(
    ("page", "commands_on_it"),
    [
        ("howto/follow-a-task.md", ["python", "python", "uvicorn", "curl", "curl", "curl"]),
        ("howto/web-requests.md", ["uvicorn", *["curl"] * 8]),
    ],
)
def test_the_page_can_be_followed_to_the_letter(tmp_path: Path, page: str, commands_on_it: list[str]) -> None:
    reader = Reader(tmp_path)
    ran = []
    try:
        for language, block in blocks(page):
            if language == "python":
                reader.write(block)
            elif language == "console":
                for command, output in commands(block):
                    reader.type(command, output)
                    ran.append(command.split()[0])
        reader.leave()
    finally:
        reader.close()
    assert ran == commands_on_it
