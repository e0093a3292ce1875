from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.system.embedded.conftest import Home, NewUser


def server_number(answer: str) -> int:
    return int(answer.partition("process_id:")[2].split()[0])


@pytest.mark.parametrize("count", [2, 8])
def test_programs_that_start_at_one_instant_get_one_server(home: Home, new_user: NewUser, count: int) -> None:
    users = [new_user() for _ in range(count)]

    for user in users:
        user.say("open")

    assert [user.hear() for user in users] == ["opened"] * count
    assert {server_number(user.ask("INFO server")) for user in users} == {home.server}
    assert home.starts == 1


def test_the_server_stops_when_its_last_user_is_killed(home: Home, new_user: NewUser) -> None:
    first, second = new_user().open(), new_user().open()
    server = home.server

    first.kill()
    first.process.wait()
    assert second.ask("INCR n") == "1"
    assert home.server == server

    second.kill()
    home.wait_until(home.is_asleep, within_s=5)
    assert not (home.path / "server.sock").exists()


def test_closing_is_leaving(home: Home, new_user: NewUser) -> None:
    user = new_user().open()

    assert user.ask("close") == "closed"

    home.wait_until(home.is_asleep, within_s=5)
    assert "the engine is closed" in user.ask("PING")


def test_data_outlives_the_server(home: Home, new_user: NewUser) -> None:
    for expected in ("1", "2", "3"):
        user = new_user().open()
        assert user.ask("INCR n") == expected
        user.leave()
        home.wait_until(home.is_asleep)

    assert home.starts == 3


def test_a_user_that_comes_while_the_server_stops_gets_a_new_one(home: Home, new_user: NewUser) -> None:
    old, new = new_user(), new_user()
    for number in range(1, 9, 2):
        old.open()
        assert old.ask("INCR n") == str(number)
        assert old.ask("close") == "closed"
        # No waiting: somewhere between the last user's end and the server's.
        new.open()
        assert new.ask("INCR n") == str(number + 1)
        assert new.ask("close") == "closed"


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_everybody_leaves_the_server_to_a_user_that_lives(
    home: Home, new_user: NewUser, signum: signal.Signals
) -> None:
    user = new_user().open()
    server, supervisor = home.server, home.supervisor
    assert user.ask("deaf") == "deaf"

    os.killpg(user.process.pid, signum)
    os.kill(supervisor, signum)
    if signum is not signal.SIGINT:  # how a server is stopped; it is in a session of its own
        os.kill(server, signum)

    assert user.ask("INCR n") == "1"
    assert (home.server, home.supervisor) == (server, supervisor)
    assert home.starts == 1


def test_the_server_is_in_no_session_of_its_users(home: Home, new_user: NewUser) -> None:
    user = new_user().open()

    assert os.getsid(home.server) not in {os.getsid(0), user.process.pid}
    assert os.getsid(home.supervisor) not in {os.getsid(0), user.process.pid}


def test_a_killed_server_comes_back_with_its_data(home: Home, new_user: NewUser) -> None:
    user = new_user().open()
    for number in range(1, 4):
        assert user.ask("INCR n") == str(number)
        server = home.server

        os.kill(server, signal.SIGKILL)

        home.wait_until(lambda: user.ask("PING") == "PONG")
        assert home.server != server


def test_a_killed_supervisor_is_replaced_by_the_next_connection(home: Home, new_user: NewUser) -> None:
    user = new_user().open()
    assert user.ask("INCR n") == "1"
    supervisor = home.supervisor

    os.kill(supervisor, signal.SIGKILL)

    home.wait_until(lambda: user.ask("PING") == "PONG" and home.supervisor not in {supervisor, 1})
    assert user.ask("INCR n") == "2"
    user.leave()
    home.wait_until(home.is_asleep, within_s=5)


def test_what_a_crash_of_everything_left_is_no_obstacle(home: Home, new_user: NewUser) -> None:
    user = new_user().open()
    assert user.ask("INCR n") == "1"
    server, supervisor = home.server, home.supervisor

    # The supervisor first stands still, or it would put things in order.
    os.kill(supervisor, signal.SIGSTOP)
    os.kill(server, signal.SIGKILL)
    user.leave()
    os.kill(supervisor, signal.SIGKILL)
    home.wait_until(home.is_asleep)
    assert (home.path / "server.sock").exists()

    assert new_user().open().ask("INCR n") == "2"


def test_a_server_left_alone_by_its_supervisor_is_not_joined_but_replaced(home: Home, new_user: NewUser) -> None:
    first = new_user().open()
    assert first.ask("INCR n") == "1"
    server, supervisor = home.server, home.supervisor
    os.kill(server, signal.SIGSTOP)  # it cannot follow its supervisor

    os.kill(supervisor, signal.SIGKILL)
    first.leave()
    home.wait_until(lambda: home.is_free("supervisor.lock"))
    assert not home.is_free("server.lock")

    second = new_user()
    second.say("open")
    os.kill(server, signal.SIGCONT)
    assert second.hear() == "opened"
    assert second.ask("INCR n") == "2"
    assert home.server != server


def test_a_child_after_fork_neither_keeps_the_server_nor_takes_it_away(home: Home, new_user: NewUser) -> None:
    user = new_user().open()
    child = int(user.ask("fork"))
    try:
        assert user.ask("INCR n") == "1"
        assert user.ask("close") == "closed"

        home.wait_until(home.is_asleep, within_s=5)
    finally:
        os.kill(child, signal.SIGKILL)


def test_the_server_holds_no_pipe_of_the_program_that_started_it(home: Home, new_user: NewUser) -> None:
    late = new_user()
    starter = subprocess.Popen(
        [sys.executable, home.program, home.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert starter.stdin is not None
    assert starter.stdout is not None
    with starter:
        starter.stdin.write("open\n")
        starter.stdin.flush()
        assert [starter.stdout.readline() for _ in range(2)] == ["loaded\n", "opened\n"]
        late.open()
        starter.kill()

        # Ends only when nobody holds the other end: `make run | cat` would hang here.
        assert starter.stdout.read() == ""
    assert late.ask("PING") == "PONG"


def test_the_program_that_started_the_server_has_no_child_to_bury(home: Home, new_user: NewUser) -> None:
    user = new_user().open()
    supervisor = home.supervisor
    os.kill(home.server, signal.SIGKILL)
    home.wait_until(lambda: user.ask("PING") == "PONG")

    assert children(user.process.pid) == []
    assert [line.split()[0][0] for line in children(supervisor)] in (["S"], ["R"])
    assert user.ask("close") == "closed"
    home.wait_until(home.is_asleep)
    assert children(user.process.pid) == []


def children(pid: int) -> list[str]:
    answer = subprocess.run(
        ["ps", "-o", "stat=,args=", "--ppid", str(pid)], capture_output=True, text=True, check=False
    )
    return answer.stdout.splitlines()


def test_the_secrets_of_the_program_are_not_in_the_servers_environment(
    home: Home, new_user: NewUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_PASSWORD", "hunter2")
    new_user().open()

    for pid in (home.server, home.supervisor):
        assert b"hunter2" not in Path(f"/proc/{pid}/environ").read_bytes()


def test_nobody_else_reaches_the_server(home: Home, new_user: NewUser) -> None:
    user = new_user().open()

    assert home.path.stat().st_mode & 0o077 == 0
    assert (home.path / "server.sock").stat().st_mode & 0o077 == 0
    assert user.ask("CONFIG GET port") == str([b"port", b"0"])
    assert user.ask("CONFIG GET maxmemory-policy") == str([b"maxmemory-policy", b"noeviction"])


def test_a_rewrite_that_outlives_its_server_does_not_hold_up_the_next(home: Home, new_user: NewUser) -> None:
    user = new_user().open()
    for number in range(200):
        assert user.ask(f"SET key{number} {number}") == "OK"
    assert user.ask("CONFIG SET rdb-key-save-delay 100000") == "OK"
    assert "started" in user.ask("BGREWRITEAOF")
    server = home.server

    os.kill(server, signal.SIGKILL)

    home.wait_until(lambda: user.ask("GET key199") == "199", within_s=5)
    assert home.server != server
    home.wait_until(lambda: not list(home.path.glob("temp-*")))


def test_a_rewrite_keeps_the_data_and_the_lock(home: Home, new_user: NewUser) -> None:
    user = new_user().open()
    assert user.ask("INCR n") == "1"
    assert "started" in user.ask("BGREWRITEAOF")
    home.wait_until(lambda: "aof_rewrite_in_progress:0" in user.ask("INFO persistence"))
    assert user.ask("INCR n") == "2"
    assert not home.is_free("server.lock")

    os.kill(home.server, signal.SIGKILL)

    home.wait_until(lambda: user.ask("GET n") == "2")


def test_a_daemon_without_standard_streams_can_start_the_server(home: Home) -> None:
    program = (
        "import os, pathlib, sys; os.closerange(0, 3);"
        "from singleton_service.background.config import Settings;"
        "from singleton_service.background.engine import open_engine;"
        "open_engine(Settings(redis_url=None, data_dir=pathlib.Path(sys.argv[1]))); os._exit(7)"
    )

    assert subprocess.run([sys.executable, "-c", program, home.path], check=False).returncode == 7
    assert home.starts == 1
