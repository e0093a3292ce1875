"""The bookshop of examples/testing_an_app: its own tests, run as its author would."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.system.place import EXAMPLES
from tests.users_pytest import Suite

if TYPE_CHECKING:
    from collections.abc import Iterator

TESTS = 30


@pytest.fixture
def bookshop() -> Iterator[Suite]:
    # A short path: sockets take 100 bytes.
    with tempfile.TemporaryDirectory(prefix="kit-") as directory:
        yield Suite(Path(directory), EXAMPLES / "testing_an_app")


def test_its_tests_pass_and_nothing_is_left_behind(bookshop: Suite) -> None:
    bookshop.assert_passes(TESTS)


def test_they_pass_in_several_processes_too(bookshop: Suite) -> None:
    bookshop.assert_passes(TESTS, "-p", "xdist", "-n", "2")


def test_they_pass_on_a_server_that_is_given_and_leave_no_key_there(bookshop: Suite, redis_url: str) -> None:
    bookshop.variables = {"TEST_REDIS_URL": redis_url}
    plugin = "import os, pytest\n\n@pytest.fixture(scope='session')\ndef task_queue_redis_url():\n"
    plugin += "    return os.environ['TEST_REDIS_URL']\n"
    (bookshop.folder / "on_a_server.py").write_text(plugin, encoding="utf-8")
    bookshop.variables["PYTHONPATH"] = f"{bookshop.folder}:{bookshop.project}:{EXAMPLES.parent}"
    before = keys(redis_url)
    bookshop.assert_passes(TESTS, "-p", "on_a_server")
    assert keys(redis_url) == before


def keys(url: str) -> set[bytes]:
    import redis

    with redis.Redis.from_url(url) as connection:
        return set(connection.scan_iter())
