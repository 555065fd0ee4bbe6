"""Workers of a reload wait for each other."""

import os

from keel.ops.gunicorn.worker import Scoreboard


def test_without_a_reload() -> None:
    """No worker waits."""
    board = Scoreboard()
    board.mark_ready(1)

    assert not board.awaits_successors(1)


def test_old_workers_wait_for_all_successors() -> None:
    """New workers do not wait, nor does one that replaces a successor that died."""
    board = Scoreboard()
    board.start_reload(2, 2)
    assert [board.awaits_successors(age) for age in (1, 2, 3, 4, 5)] == [True, True, False, False, False]
    board.mark_ready(3)
    assert board.awaits_successors(1)
    board.mark_ready(4)

    assert not board.awaits_successors(1)


def test_slots_are_reused() -> None:
    """A slot with the age of an earlier worker does not count as ready."""
    board = Scoreboard(slots=2)
    for age in (1, 2):
        board.mark_ready(age)
    board.start_reload(2, 2)
    assert board.awaits_successors(2)
    for age in (3, 4):
        board.mark_ready(age)

    assert not board.awaits_successors(2)


def test_processes_share_a_scoreboard() -> None:
    """The parent sees what a forked child has written."""
    board = Scoreboard()
    board.start_reload(1, 1)
    assert board.awaits_successors(1)
    child = os.fork()
    if not child:
        board.mark_ready(2)
        os._exit(0)
    os.waitpid(child, 0)

    assert not board.awaits_successors(1)
