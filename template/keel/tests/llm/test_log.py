"""The log of an answer: any part of it, merged in any order, makes the same stream."""

import json

from hypothesis import given
from hypothesis import strategies as st

from keel.llm.answers.log import AnswerLog, Position

ENTRIES = st.lists(st.one_of(st.sampled_from(["", "a", "be", "\U0001f6a2"]), st.just(None)), max_size=12)


def written(entries: list[str | None]) -> AnswerLog:
    """Return a log of texts and, where there is None, an event of a tool."""
    log = AnswerLog()
    for number, entry in enumerate(entries):
        if entry is None:
            log.add_tool({"id": str(number), "state": "done"})
        else:
            log.add_text(entry)
    return log


def told(log: AnswerLog, position: Position) -> list[str]:
    """Return characters and events of tools after a position, one by one."""
    found: list[str] = []
    for event, _ in log.since(position):
        data = json.loads(event.raw_data or "")
        found += list(data["text"]) if event.event == "token" else [f"tool {data['id']}"]
    return found


@given(ENTRIES, st.integers(0, 60), st.integers(0, 12))
def test_what_was_told_and_what_follows_is_all(entries: list[str | None], characters: int, tools: int) -> None:
    """Wherever a client was when it left, it gets the rest, and nothing twice."""
    log = written(entries)
    everything = told(log, Position())
    for event, position in log.since(Position()):
        assert event.id == str(position)
        assert Position.parse(event.id) == position
        before = told_until(log, position)
        assert before + told(log, position) == everything
    # A position that none of its events has is no error.
    assert set(told(log, Position(characters, tools))) <= set(everything)


def told_until(log: AnswerLog, position: Position) -> list[str]:
    """Return what is told up to a position."""
    found: list[str] = []
    for event, reached in log.since(Position()):
        data = json.loads(event.raw_data or "")
        found += list(data["text"]) if event.event == "token" else [f"tool {data['id']}"]
        if reached == position:
            break
    return found


@given(ENTRIES, st.lists(st.tuples(st.integers(0, 30), st.integers(0, 12)), max_size=6))
def test_parts_of_a_log_make_it(entries: list[str | None], starts: list[tuple[int, int]]) -> None:
    """Parts may overlap, come twice or leave gaps: nothing is added twice or out of place, and the whole completes it."""
    log, copy = written(entries), AnswerLog()
    for characters, tools in starts:
        copy.merge(Position(characters, tools), log.text[characters:], log.tools[tools:])
        assert log.text.startswith(copy.text)
        assert log.tools[: len(copy.tools)] == copy.tools
        told(copy, Position())  # an event of a tool whose text is not there yet waits for it
    copy.merge(Position(), log.text, log.tools)

    assert told(copy, Position()) == told(log, Position())
