"""The loader: a script's header is the truth about what it takes, and the script keeps to it."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import pytest

from singleton_service.background.scheduler.scripts import ScheduleKeys, ScheduleScripts, load_schedule_scripts
from singleton_service.background.task_queue.keys import QueueKeys
from singleton_service.background.task_queue.scripts import Script, Scripts, load_scripts, read_script

if TYPE_CHECKING:
    from pathlib import Path

LUA = files("singleton_service.background.task_queue").joinpath("lua")
OF_SCHEDULES = files("singleton_service.background.scheduler").joinpath("lua")
QUEUE_SCRIPTS: list[Script] = [getattr(load_scripts(), field.name) for field in dataclasses.fields(Scripts)]
SCHEDULE_SCRIPTS: list[Script] = [
    getattr(load_schedule_scripts(), field.name) for field in dataclasses.fields(ScheduleScripts)
]
SCRIPTS = QUEUE_SCRIPTS + SCHEDULE_SCRIPTS
KEYS = QueueKeys("ns", "q", "w")
each_script = pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)


def text_of(script: Script) -> str:
    return script.text.decode()


def code_of(script: Script) -> str:
    """Return the text without comments."""
    return "\n".join(line.partition("--")[0] for line in text_of(script).splitlines())


@pytest.mark.parametrize(("folder", "scripts"), [(LUA, QUEUE_SCRIPTS), (OF_SCHEDULES, SCHEDULE_SCRIPTS)])
def test_every_file_is_a_script_and_every_script_a_file(folder: Any, scripts: list[Script]) -> None:
    assert {script.name for script in scripts} == {
        entry.name.removesuffix(".lua") for entry in folder.iterdir() if entry.name.endswith(".lua")
    }


def test_every_include_is_included() -> None:
    sources = [
        entry.read_text()
        for folder in (LUA, OF_SCHEDULES, LUA.joinpath("include"))
        for entry in folder.iterdir()
        if entry.is_file()
    ]
    included = set(" ".join(re.findall(r"^ *-- include: (.*)$", "\n".join(sources), re.MULTILINE)).split())
    there = [entry.name for folder in (LUA, OF_SCHEDULES) for entry in folder.joinpath("include").iterdir()]
    assert included == {name.removesuffix(".lua") for name in there}
    assert len(there) == len(set(there)), "no name means two things"


@each_script
def test_what_a_header_declares_the_script_uses(script: Script) -> None:
    code = code_of(script)
    for number, name in enumerate(script.keys, 1):
        # One of the ready lists is found by its number from the place before them.
        group = number - int(name[-1]) - 1 if name.startswith("ready:") else None
        assert f"KEYS[{number}]" in code or f"KEYS[{group} + " in code, name
    for number, name in enumerate(script.args, 1):
        assert f"ARGV[{number}]" in code, name


@each_script
def test_what_a_script_uses_its_header_declares(script: Script) -> None:
    # A name without a `local` is a global, which the server refuses when it comes to that line, perhaps years later.
    known = {"KEYS", "ARGV", "redis", "string", "table", "math", "tonumber", "ipairs", "unpack", "local", "function"}
    known |= {"pairs", "cjson"}
    known |= {"if", "then", "else", "elseif", "end", "for", "in", "do", "while", "not", "and", "or"}
    known |= {"return", "nil", "true", "false", "break", "repeat", "until"}
    code = re.sub(r'\[\[.*?\]\]|"[^"\n]*"', '""', code_of(script))
    for names in re.findall(r"local (?!function)([\w, ]+)", code):
        known |= set(re.findall(r"\w+", names))
    for name, parameters in re.findall(r"local function (\w+)\(([^)]*)\)", code):
        known |= {name, *re.findall(r"\w+", parameters)}
    for names in re.findall(r"for ([\w, ]+) (?:=|in)", code):
        known |= set(re.findall(r"\w+", names))
    fields = set(re.findall(r"[.](\w+)", code))
    used = set(re.findall(r"\b[A-Za-z_]\w*", code))
    assert used - known - fields == set()


def test_a_name_that_the_header_does_not_declare_is_refused_by_name(tmp_path: Path) -> None:
    tmp_path.joinpath("peek.lua").write_text("-- keys: body\nreturn redis.call('HGET', KEYS.boddy, ARGV[FIRST_ITEM])\n")
    with pytest.raises(ValueError, match=r"peek.lua uses KEYS.boddy, which its header does not declare"):
        read_script(tmp_path, "peek")


def test_an_include_comes_where_its_line_stands(tmp_path: Path) -> None:
    tmp_path.joinpath("include").mkdir()
    tmp_path.joinpath("include/cold.lua").write_text("local cold = KEYS.body\n")
    source = "-- keys: body\n-- args: id\nif ARGV.id then\n    -- include: cold\n    return ARGV[FIRST_ITEM]\nend\n"
    tmp_path.joinpath("peek.lua").write_text(source)
    expected = "-- keys: body\n-- args: id\nif ARGV[1] then\nlocal cold = KEYS[1]\n    return ARGV[2]\nend\n"
    assert read_script(tmp_path, "peek").text.decode() == expected


@each_script
def test_a_script_names_no_key_but_those_it_is_given(script: Script) -> None:
    # A cluster would refuse it, and a test of the slots would not see it.
    for called in re.findall(r"redis\.call\(([^)]*)", code_of(script)):
        assert not re.match(r'"\w+", *"', called), called


@each_script
def test_a_script_never_looks_for_keys_or_reads_without_bound(script: Script) -> None:
    assert not re.search(r'"(KEYS|SCAN|LREM|SMEMBERS|FLUSH\w*)"', text_of(script))


@each_script
def test_a_script_says_what_comes_back(script: Script) -> None:
    folder = OF_SCHEDULES if script in SCHEDULE_SCRIPTS else LUA
    source = folder.joinpath(f"{script.name}.lua").read_text()
    assert source.startswith("-- ")
    assert "\n-- keys:" in source
    assert "\n-- returns:" in source


@each_script
def test_arguments_go_by_name_and_a_wrong_one_is_refused(script: Script) -> None:
    given: dict[str, Any] = {name: number for number, name in enumerate(script.args)}
    command = script.command(KEYS, ["item"], **given)
    count = len(script.keys)
    assert command == (b"EVALSHA", script.sha, count, *map(KEYS.key, script.keys), *range(len(script.args)), "item")
    with pytest.raises(TypeError, match=f"{script.name}.lua takes"):
        script.command(KEYS, **given, surprise=1)
    if script.args:
        with pytest.raises(TypeError, match=f"{script.name}.lua takes"):
            script.command(KEYS)
        wrong = dict(given)
        wrong["surprise"] = wrong.pop(script.args[0])
        with pytest.raises(TypeError, match=f"{script.name}.lua takes"):
            script.command(KEYS, **wrong)


@each_script
def test_a_script_is_found_by_the_name_the_server_has_for_it(script: Script) -> None:
    assert script.sha == hashlib.sha1(script.text).hexdigest().encode()
    assert load_scripts().text_of(script.sha) == script.text


def test_no_two_scripts_are_one() -> None:
    assert len({script.sha for script in SCRIPTS}) == len(SCRIPTS)
    with pytest.raises(KeyError):
        load_scripts().text_of(b"0" * 40)


def test_only_a_test_has_a_clock_of_its_own() -> None:
    assert all("TEST_OFFSET_MS = 0" in text_of(s) for s in SCRIPTS if "TEST_OFFSET_MS" in text_of(s))
    assert "TEST_OFFSET_MS = 5000" in text_of(load_schedule_scripts(5000).advance)
    moved = load_scripts(5000)
    assert "TEST_OFFSET_MS = 5000" in text_of(moved.fetch)
    assert moved.fetch.sha != load_scripts().fetch.sha
    assert load_scripts() is load_scripts()


def test_ready_is_a_list_of_keys_lowest_priority_first() -> None:
    fetch = load_scripts().fetch
    assert fetch.keys[2:6] == ("ready:0", "ready:1", "ready:2", "ready:3")
    assert "redis.call(command, KEYS[2 + priority + 1], uid)" in text_of(fetch)
    assert 'redis.call("EXISTS", KEYS[7], KEYS[2 + 1], KEYS[2 + 2], KEYS[2 + 3], KEYS[2 + 4])' in text_of(fetch)


def test_keys_are_spelled_with_the_queue_in_braces() -> None:
    assert KEYS.key("body") == b"ns:{q}:body"
    assert KEYS.key("owned") == b"ns:{q}:owned:w"
    assert KEYS.wake == b"ns:{q}:wake"
    assert KEYS.ended_channel == b"ns:{q}:ended"


def test_no_key_of_schedules_is_one_of_a_queue_of_that_name() -> None:
    of_queue = QueueKeys("ns", "schedules", "w")
    theirs = {of_queue.key(name) for script in QUEUE_SCRIPTS for name in script.keys} | {of_queue.ended_channel}
    keys = ScheduleKeys("ns")
    assert keys.key("states") == b"ns:{schedules}:states"
    assert not theirs & {*(key for script in SCHEDULE_SCRIPTS for key in keys.named(script.keys)), keys.changed_channel}


def test_a_script_is_read_when_it_is_first_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def reading(folder: Path, name: str, clock_offset_ms: int | str = 0) -> Script:
        read.append(name)
        return read_script(folder, name, clock_offset_ms)

    monkeypatch.setattr("singleton_service.background.task_queue.scripts.read_script", reading)
    loaded = load_scripts(123)
    assert read == []

    assert loaded.await_ends is loaded.await_ends
    assert loaded.fetch.name == "fetch"
    assert read == ["await", "fetch"]
    with pytest.raises(AttributeError, match="no_such_verb"):
        _ = loaded.no_such_verb  # type: ignore[attr-defined]
