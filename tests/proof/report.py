"""What a run has done and counted, in lines."""

from __future__ import annotations

import sys
from statistics import quantiles
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.proof.chat import ChatClient
    from tests.proof.faults import Window
    from tests.proof.front import Front
    from tests.proof.grpc_client import Servers
    from tests.proof.notes import Account


def say(text: str) -> None:
    """Write a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def clients(
    front: Front, servers: Servers, accounts: Sequence[Account], chat_clients: Sequence[ChatClient]
) -> None:
    """Say what clients did, and how long answers took."""
    answers = {kind: front.counts[kind] for kind in ("2xx", "3xx", "4xx", "5xx")}
    say(f"answers {answers}")
    for name, seconds in (("HTTP", front.seconds), ("gRPC", servers.seconds)):
        centiles = quantiles(seconds, n=100)
        say(
            f"{name}: {len(seconds)} answers, p50 {centiles[49] * 1e3:.0f} ms, p99 {centiles[98] * 1e3:.0f} ms, "
            f"longest {max(seconds):.1f} s"
        )
    say(f"clients {dict(front.counts)}")
    sums = {
        "notes acknowledged": sum(len(each.created) for each in accounts),
        "without an answer": sum(len(each.maybe) for each in accounts),
        "messages sent": sum(len(each.sent) for each in chat_clients),
        "messages received": sum(len(each.ids) for each in chat_clients),
        "exports": sum(len(each.exports) for each in accounts),
    }
    for name in accounts[0].listeners:
        listeners = [each.listeners[name] for each in accounts]
        sums[f"heard of by {name}"] = sum(len(each.created) for each in listeners)
        sums[f"resets of {name}"] = sum(len(each.resets) for each in listeners)
    say(", ".join(f"{name}: {count}" for name, count in sums.items()))


def faults(windows: Sequence[Window], explained: dict[str, int]) -> None:
    """Say what was done, and what clients saw of it."""
    for name in dict.fromkeys(window.fault.name for window in windows):
        lasted = [each.ended - each.begun for each in windows if each.fault.name == name]
        (fault, *_) = (each.fault for each in windows if each.fault.name == name)
        trouble = {kind: explained.get(f"{name}: {kind}", 0) for kind in sorted(fault.allowed)}
        say(f"{name}: {len(lasted)} times, {max(lasted):.1f} s until all worked again, {trouble}")
