"""How a profile adds up: which part of a task's way a stack belongs to, and what the tables and the picture say."""

from __future__ import annotations

import pytest

from benchmarks.profiling.__main__ import KERNEL, Profile, panel, show
from benchmarks.profiling.phases import CALLER, HANDLER, REST, is_counted, phase_of, place_of, samples

QUEUE = "/x/singleton_service/background/task_queue"
WORKLOAD = "/x/benchmarks/profiling/workload.py"
MAIN = f"<module> ({WORKLOAD}:99);main ({WORKLOAD}:80);measured ({WORKLOAD}:70);enqueue ({WORKLOAD}:30)"
THREAD = "Thread._bootstrap (/usr/lib/python3.11/threading.py:1002)"
FOUND = Profile(
    cpu_us=20.0,
    server_us=12.0,
    phases={"decoding": 3.0, "the rest": 0.01, KERNEL: 5.0},
    places={"codec.decode_body": 2.5},
    commands={"evalsha": (0.01, 8.0), "hset": (0.02, 1.5), "info": (0.0, 0.5)},
    scripts={"fetch": 0.75, "complete": 0.25},
)


@pytest.mark.parametrize(
    ("stack", "place"),
    [
        (f"{MAIN};Wire.receive ({QUEUE}/wire.py:72);recv (/usr/lib/python3.11/socket.py:1)", "wire.receive"),
        (f"{MAIN};to_json ({QUEUE}/codec.py:46);iterencode (/usr/lib/python3.11/json/encoder.py:200)", "codec.to_json"),
        (f"{THREAD};Pool._work (/x/singleton_service/background/worker/pool.py:9);send_email ({WORKLOAD}:9)", HANDLER),
        (f"{MAIN};<listcomp> ({WORKLOAD}:31)", CALLER),
        (THREAD, REST),
    ],
)
def test_a_stack_belongs_to_the_innermost_frame_of_ours(stack: str, place: str) -> None:
    assert place_of(stack) == place


@pytest.mark.parametrize(
    ("place", "phase"),
    [
        ("wire.receive", "reading answers"),
        ("link._reply", "reading answers"),
        ("wire.send", "packing and sending"),
        ("codec.to_json", "encoding"),
        ("codec.decode_body", "decoding"),
        ("pool._work", "running"),
        ("a_module_of_tomorrow.run", REST),
        (HANDLER, HANDLER),
    ],
)
def test_a_place_belongs_to_one_part_of_the_way(place: str, phase: str) -> None:
    assert phase_of(place) == phase


def test_what_the_main_thread_does_before_and_after_does_not_count() -> None:
    assert is_counted(MAIN)
    assert is_counted(THREAD)
    assert not is_counted(f"<module> ({WORKLOAD}:99);main ({WORKLOAD}:75);enqueue_bulk ({WORKLOAD}:35)")


def test_samples_add_up_by_part_and_by_place() -> None:
    body = f"{THREAD};decode_body ({QUEUE}/codec.py:110)"
    lease = f"{THREAD};decode_task ({QUEUE}/codec.py:143)"

    phases, places = samples([f"{body} 4", f"{lease} 3", f"{body};loads (/usr/lib/json.py:1) 2", "elsewhere 9"])

    assert phases == {"decoding": 9}
    assert places == {"codec.decode_body": 6, "codec.decode_task": 3}


def test_the_server_s_time_is_that_of_commands_of_scripts_and_around_them() -> None:
    assert FOUND.server_parts == {
        "commands in scripts": 1.5,
        "Lua around them": 6.5,
        "reading, answering, kernel": 4.0,
    }


def test_the_picture_shows_both_sides_and_nothing_that_takes_no_time() -> None:
    bars = panel("One task done", FOUND)

    assert bars.title == "One task done: 20.0 µs of its process, 12.0 µs of the server"
    assert list(bars.values) == [
        "decoding",
        KERNEL,
        "server: commands in scripts",
        "server: Lua around them",
        "server: reading, answering, kernel",
    ]


def test_the_tables_tell_scripts_and_commands(capsys: pytest.CaptureFixture[str]) -> None:
    show("One task done", FOUND)

    rows = [[part.strip() for part in line.split("|")[1:-1]] for line in capsys.readouterr().out.splitlines()]
    for row in (["decoding", "3.0"], ["fetch.lua", "", "6.00"], ["hset", "0.020", "1.50"]):
        assert row in rows
