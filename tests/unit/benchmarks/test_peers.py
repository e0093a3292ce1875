"""The comparison with other task queues: its statistics, its tables, and that everybody's settings are told."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from benchmarks.peers import page
from benchmarks.peers.__main__ import EVERYTHING, REPEATS, is_full
from benchmarks.peers.contestants import CONTESTANTS, HERE, PEERS, Contestant, UnknownPeerError, chosen
from benchmarks.peers.figures import BARE, TABLES, Measure, cell, medians, percentile, ratio
from benchmarks.peers.killing import Aftermath
from benchmarks.peers.measures import TINY, Sizes
from benchmarks.peers.picture import Panel, draw
from benchmarks.peers.run import Outcome
from benchmarks.peers.table import aftermaths, bare_table, depth_table, table, tables

if TYPE_CHECKING:
    from pathlib import Path

ADAPTERS = HERE / "adapters"
RATE = Measure("rate", "rate", is_rate=True)
COST = Measure("cost", "cost", digits=1)
LOST = Aftermath(under_way=8, again=0, first_s=None, last_s=None, waiting=8, waiting_ran=3, watched_s=120.0)
FOUND = Aftermath(under_way=8, again=8, first_s=5.0, last_s=6.25, waiting=8, waiting_ran=8, watched_s=120.0)


def assigned(source: str, name: str) -> str:
    """Return the text that a module assigns to a name."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == [name]:
            value = ast.literal_eval(node.value)
            assert isinstance(value, str)
            return value
    return ""


@pytest.mark.parametrize("peer", ["ours", *PEERS])
def test_every_adapter_tells_its_settings(peer: str) -> None:
    if peer == "bullmq":
        settings = re.search(r"const SETTINGS =(.+?);\n", (ADAPTERS / "bullmq.cjs").read_text(), re.DOTALL)
        assert settings
        assert len(settings[1]) > 50
    else:
        assert len(assigned((ADAPTERS / f"{peer}.py").read_text(), "SETTINGS")) > 50


@pytest.mark.parametrize("path", sorted((HERE / "requirements").glob("*.txt")), ids=lambda path: path.stem)
def test_what_is_compared_with_is_pinned(path: Path) -> None:
    for line in path.read_text().splitlines():
        assert re.fullmatch(r"[\w-]+(\[\w+\])?==[\d.]+", line), line


def test_who_takes_part_can_be_installed() -> None:
    installable = {path.stem for path in (HERE / "requirements").iterdir()}

    assert {*PEERS} <= installable


def test_we_take_part_whoever_is_named() -> None:
    peers = [one.peer for one in chosen(["huey", "celery"])]

    assert peers == ["ours", "ours", "ours", "ours", "celery", "celery", "huey"]
    assert chosen([]) == [*CONTESTANTS]


def test_a_peer_that_does_not_take_part_is_told_with_those_that_do() -> None:
    with pytest.raises(UnknownPeerError, match=r"no peer hugo; there are: .*huey"):
        chosen(["hugo"])


def test_a_percentile_is_a_value_that_was_measured() -> None:
    assert percentile([float(at) for at in range(1, 101)], 99) == 99
    assert percentile([3.0, 1.0, 2.0], 50) == 2
    assert percentile([7.0], 99) == 7


def test_medians_are_of_the_repeats_that_have_a_figure() -> None:
    assert medians([{"a": 1.0, "b": 4.0}, {"a": 9.0}, {"a": 2.0, "b": 6.0}]) == {"a": 2.0, "b": 5.0}


def test_a_ratio_says_how_many_times_better_ours_is() -> None:
    assert ratio(RATE, ours=1000, theirs=250) == 4
    assert ratio(COST, ours=2, theirs=8) == 4
    assert ratio(COST, ours=8, theirs=2) == 0.25
    assert ratio(COST, ours=0, theirs=2) is None


def test_a_cell_shows_the_figure_and_the_ratio_and_a_dash_for_what_is_not_there() -> None:
    assert cell(RATE, 1234.6, None) == "1,235"
    assert cell(RATE, 1000, 25_000) == "1,000 (25x)"
    assert cell(RATE, 1000, 2500) == "1,000 (2.5x)"
    assert cell(COST, 4, 8) == "4.0 (0.50x)"
    assert cell(RATE, None, 1000) == "-"


def test_a_table_is_aligned() -> None:
    assert table(["", "a"], [["one", "1,000"], ["two", "-"]]).splitlines() == [
        "|     |     a |",
        "| --- | ----: |",
        "| one | 1,000 |",
        "| two |     - |",
    ]


def cells(line: str) -> list[str]:
    return [part.strip() for part in line.split("|")[1:-1]]


def test_peers_are_compared_with_our_first_way_and_what_nobody_measured_has_no_table() -> None:
    figures = {
        "ours, threads": {"drain_one": 30_000.0, "worker_cpu": 30.0},
        "ours, coroutines": {"drain_one": 20_000.0},
        "theirs": {"drain_one": 1000.0, "worker_cpu": 900.0},
    }

    ((title, text),) = tables(figures)

    assert title.startswith("Drain")
    first, second, theirs = text.splitlines()[2:]
    assert cells(first) == ["ours, threads", "30,000", "-", "-", "30", "-"]
    assert cells(second) == ["ours, coroutines", "20,000", "-", "-", "-", "-"]
    assert cells(theirs) == ["theirs", "1,000 (30x)", "-", "-", "900 (30x)", "-"]


def test_where_our_first_way_has_no_figure_the_next_is_compared() -> None:
    figures = {
        "ours, threads": {"enqueue_threads": 12_000.0},
        "ours, coroutines": {"enqueue_coroutines": 30_000.0},
        "theirs": {"enqueue_coroutines": 10_000.0},
    }

    ((_, text),) = tables(figures)

    assert cells(text.splitlines()[4])[3:5] == ["-", "10,000 (3.0x)"]


def test_what_a_killed_worker_left_is_told_with_how_long_it_took() -> None:
    _, _, lost, found = aftermaths({"a": LOST, "b": FOUND}).splitlines()

    assert cells(lost) == ["a", "0 of 8", "-", "3 of 8"]
    assert cells(found) == ["b", "8 of 8", "5.0 to 6.2", "8 of 8"]


def test_what_the_machine_allows_is_told_for_each_moment_and_as_the_median() -> None:
    text = bare_table({"before": {"evalsha": 9000.0}, "amid": {"evalsha": 9300.0}, "after": {"evalsha": 4000.0}})

    head, _, *rows = text.splitlines()
    assert cells(head)[1:] == ["before", "amid", "after", "median"]
    assert [cells(row)[1:] for row in rows if "EVALSHA/s" in row] == [["9,000", "9,300", "4,000", "9,000"]]


def test_what_a_task_costs_is_told_by_how_many_are_queued() -> None:
    text = depth_table({"10": {"fetch": 3.0}, "1000000": {"fetch": 3.3}})

    head, _, row = text.splitlines()
    assert cells(head)[1:] == ["10 queued", "1,000,000 queued", "most over least"]
    assert cells(row) == ["fetch", "3.00", "3.30", "1.10x"]


def test_a_way_takes_part_in_one_group_in_all_but_one_or_in_all() -> None:
    assert [Contestant("a", "a", only="start").takes_part(group) for group in ("start", "drain")] == [True, False]
    assert [Contestant("a", "a", leaves_out="start").takes_part(group) for group in ("start", "drain")] == [False, True]
    assert Contestant("a", "a").takes_part("start")


def test_every_measure_has_a_key_of_its_own() -> None:
    keys = [measure.key for measures in (*TABLES.values(), BARE) for measure in measures]

    assert len(keys) == len(set(keys))


def test_bars_have_one_scale_and_ours_another_colour() -> None:
    picture = ET.fromstring(draw([Panel("speed & more", {"we <3": 200.0, "they": 100.0})], "we"))

    bars = [element for element in picture.iter() if element.tag.endswith("rect")]
    assert [bar.get("class") for bar in bars] == ["ours", "theirs"]
    wide, narrow = (float(bar.get("width", 0)) for bar in bars)
    assert wide == pytest.approx(2 * narrow)
    assert "we <3" in [element.text for element in picture.iter()]


def test_a_picture_is_legible_on_a_dark_page() -> None:
    assert "prefers-color-scheme: dark" in draw([Panel("p", {"a": 1.0})], "a")


def test_only_a_run_that_leaves_nothing_out_writes_the_page() -> None:
    assert is_full([], EVERYTHING, Sizes(), REPEATS)
    assert is_full([], EVERYTHING, Sizes(), 2)
    assert not is_full(["huey"], EVERYTHING, Sizes(), REPEATS)
    assert not is_full([], EVERYTHING[1:], Sizes(), REPEATS)
    assert not is_full([], EVERYTHING, TINY, REPEATS)
    assert not is_full([], EVERYTHING, Sizes(is_durable=True), REPEATS)
    assert not is_full([], EVERYTHING, Sizes(), 1)


def test_the_page_tells_figures_settings_and_failures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "PAGE", tmp_path / "page.md")
    monkeypatch.setattr(page, "PICTURE", tmp_path / "page.svg")
    outcome = Outcome(
        circumstances=["on a machine"],
        figures={"singleton-service, threads": {"drain_one": 2000.0}, "Huey": {"drain_one": 1000.0}},
        killed={"Huey": LOST},
        settings={("Eight threads.", "huey 3"): ["Huey"]},
        bare={"before": {"bare_drain": 1600.0}},
        depth={"10": {"fetch": 3.25}, "1000": {"fetch": 4.25}},
        failures=["drain: RQ: no"],
    )

    page.write(outcome)

    text = (tmp_path / "page.md").read_text()
    for part in (
        "on a machine",
        "1,000 (2.0x)",
        "0 of 8",
        "**Huey**: Eight threads. huey 3.",
        "1,600",
        "4.25",
        "RQ: no",
    ):
        assert part in text
    rows = [cells(line) for line in text.splitlines() if line.startswith("| drain, 8 threads")]
    assert ["drain, 8 threads, over the best Python peer", "at least 25x", "2.0x", "**missed**: 0.08x of it"] in rows
    assert ["drain, 8 threads, over the bare loop", "at least 0.70x", "1.2x", "met"] in rows
    assert "2,000" in (tmp_path / "page.svg").read_text()
