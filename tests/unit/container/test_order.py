"""The graph functions, on plain letters."""

from __future__ import annotations

import pytest

from singleton_service._order import CycleFound, find_path, start_order, with_dependents

DIAMOND = {"top": ["left", "right"], "left": ["base"], "right": ["base"], "base": []}


def test_everything_comes_after_what_it_needs() -> None:
    assert start_order(["top"], DIAMOND.__getitem__) == ["base", "left", "right", "top"]


def test_several_roots_share_one_order() -> None:
    assert start_order(["right", "top"], DIAMOND.__getitem__) == ["base", "right", "left", "top"]


def test_what_is_done_is_left_out_with_what_only_it_needs() -> None:
    assert start_order(["top"], DIAMOND.__getitem__, is_done={"left", "right"}.__contains__) == ["top"]


def test_a_ring_is_told_in_order() -> None:
    ring = {"a": ["b"], "b": ["c"], "c": ["d", "b"], "d": []}
    with pytest.raises(CycleFound) as caught:
        start_order(["a"], ring.__getitem__)
    assert caught.value.path == ("b", "c", "b")


def test_a_node_that_needs_itself_is_a_ring_of_one() -> None:
    with pytest.raises(CycleFound) as caught:
        start_order(["a"], {"a": ["a"]}.__getitem__)
    assert caught.value.path == ("a", "a")


def test_the_shortest_path_is_found() -> None:
    graph = {"a": ["b", "d"], "b": ["c"], "c": ["d"], "d": ["e"], "e": []}
    assert find_path("a", "e", graph.__getitem__) == ("a", "d", "e")
    assert find_path("a", "a", graph.__getitem__) == ("a",)
    assert find_path("e", "a", graph.__getitem__) is None


def test_dependents_are_found_down_the_line() -> None:
    order = ["base", "other", "left", "top"]
    edges = {"base": [], "other": [], "left": ["base"], "top": ["left"]}
    assert with_dependents(["base"], order, edges.__getitem__) == ["base", "left", "top"]
    assert with_dependents(["other"], order, edges.__getitem__) == ["other"]


def test_ten_thousand_in_a_chain_need_no_recursion() -> None:
    def edges(node: int) -> list[int]:
        return [node - 1] if node else []

    assert start_order([9_999], edges) == list(range(10_000))
    path = find_path(9_999, 0, edges)
    assert path is not None
    assert len(path) == 10_000
