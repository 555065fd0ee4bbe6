"""The log of an answer: its parts, merged in any order, yield the same stream."""

import itertools
import json

import pytest

from keel.llm.answers.following import LONGEST_PACE, PACE, pace
from keel.llm.answers.log import AnswerLog, Position

ENTRIES = ("ab", None, "", "c\U0001f6a2", None, None, "d")
"""Texts and, where there is None, events of tools."""

POSITIONS = [Position(*place) for place in itertools.product(range(7), range(5))]


@pytest.fixture
def log() -> AnswerLog:
    """Return a log of these."""
    made = AnswerLog()
    for number, entry in enumerate(ENTRIES):
        if entry is None:
            made.add_tool({"id": str(number), "state": "done"})
        else:
            made.add_text(entry)
    return made


def told(log: AnswerLog, start: Position, end: Position | None = None) -> list[str]:
    """Return characters and tool events between two positions, one by one."""
    found: list[str] = []
    for event, reached in log.since(start):
        data = json.loads(event.raw_data or "")
        found += list(data["text"]) if event.event == "token" else [f"tool {data['id']}"]
        if reached == end:
            break
    return found


def test_a_stream_has_everything_in_order(log: AnswerLog) -> None:
    """Text and tool calls are in order."""
    assert told(log, Position()) == ["a", "b", "tool 1", "c", "\U0001f6a2", "tool 4", "tool 5", "d"]


def test_resuming_after_any_event(log: AnswerLog) -> None:
    """After any event, a client gets the rest, and nothing twice."""
    ids = [str(reached) for _, reached in log.since(Position())]
    assert ids == [event.id for event, _ in log.since(Position())] == ["2-0", "2-1", "4-1", "4-2", "4-3", "5-3"]
    for id_ in ids:
        position = Position.parse(id_)
        assert told(log, Position(), position) + told(log, position) == told(log, Position())


def test_positions_without_an_event(log: AnswerLog) -> None:
    """They are no error: the stream ends where the log does, and contains nothing else."""
    everything = told(log, Position())
    for position in POSITIONS:
        assert not set(told(log, position)) - set(everything)


def test_merging_parts(log: AnswerLog) -> None:
    """Parts may overlap, repeat or leave gaps: nothing is duplicated or misplaced, and the whole completes the log."""
    for starts in itertools.permutations(POSITIONS, 2):
        copy = AnswerLog()
        for start in starts:
            copy.merge(start, log.text[start.characters :], log.tools[start.tools :])
            assert log.text.startswith(copy.text)
            assert log.tools[: len(copy.tools)] == copy.tools
            # An event of a tool whose text is not there yet waits for it.
            assert told(copy, Position()) == told(log, Position())[: len(told(copy, Position()))]
        copy.merge(Position(), log.text, log.tools)
        assert told(copy, Position()) == told(log, Position())


def test_events_are_fewer_with_more_answers() -> None:
    """Each event costs as much as two tokens; a reader still gets five a second."""
    assert PACE == pace(0) < pace(50) < pace(500) == pace(10_000) == LONGEST_PACE
