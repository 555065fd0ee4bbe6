"""The command: `uv run python -m tests.proof --help`."""

from __future__ import annotations

import argparse
import asyncio
import re
import signal
import sys
import tempfile
import time
from pathlib import Path

import asyncpg

from tests.machinery.environment import shared_environment
from tests.machinery.questions import Questions
from tests.machinery.rendering import ROOT, render, snapshot
from tests.proof import assistant, chat, events, faults, grpc_client, notes, report, verdict
from tests.proof.front import Front
from tests.proof.notes import Account
from tests.proof.report import say
from tests.proof.servers import START_SECONDS, Group, RabbitMQ
from tests.proof.system import ACCOUNTS, PASSWORD, System

ROOMS, CHAT_CLIENTS, WRITERS = 2, 4, 2
"""Rooms, people in each, and writers for each account over HTTP; over gRPC it is one."""

SETTLE_SECONDS = 150
"""A task whose message was lost is published again after 30 seconds, then 60 later."""


def arguments() -> argparse.Namespace:
    """Return what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.proof", description=__doc__)
    parser.add_argument("--minutes", type=float, default=3.0, help="how long faults go on (default: 3)")
    parser.add_argument("--pause", type=float, default=4.0, help="seconds between two faults (default: 4)")
    parser.add_argument("--short", action="store_true", help="some of the faults, once each")
    parser.add_argument(
        "--broker",
        choices=["rabbitmq", "redis"],
        default="rabbitmq" if RabbitMQ.program() else "redis",
        help="what carries tasks (default: RabbitMQ where it is installed)",
    )
    return parser.parse_args()


async def sign_in(front: Front, name: str) -> Account:
    """Log in, with a token that is valid for as long as this takes."""
    answer = await front.send("POST", "/api/v1/auth/token", data={"username": name, "password": PASSWORD})
    answer.raise_for_status()
    return Account(name.partition("@")[0], {"Authorization": f"Bearer {answer.json()['access_token']}"})


async def watch(system: System, found: verdict.Memory) -> None:
    """Write down what each role has in memory, once a second."""
    while True:
        for role, size in (await asyncio.to_thread(system.memory)).items():
            if size:
                found.setdefault(role, []).append(size)
        await asyncio.sleep(1)


async def wait_until_settled(
    chat_clients: list[chat.ChatClient], accounts: list[Account], database: asyncpg.Connection
) -> None:
    """Wait until every message is delivered, every task, answer and event finished, within a limit."""
    end = time.monotonic() + SETTLE_SECONDS
    while time.monotonic() < end:
        newest = {
            str(row["id"]): row["last_message_id"]
            for row in await database.fetch("SELECT id, last_message_id FROM chat_rooms")
        }
        waiting = await database.fetchval(
            "SELECT count(*) FROM celery_tasks WHERE state IN ('pending', 'running')"
        )
        delivered = all(not one.unsent and one.ids[-1:] == [newest[one.room]] for one in chat_clients)
        answered = not await assistant.unfinished(database) and not await events.unfinished(database)
        if not waiting and delivered and answered and not verdict.events(accounts):
            return
        await asyncio.sleep(0.2)


async def prove(system: System, options: argparse.Namespace) -> list[str]:
    """Use the system, do things to it, and return what was not as promised."""
    await system.start()
    front = Front(system.apis)
    accounts = [await sign_in(front, name) for name in ACCOUNTS]
    rooms = []
    for number in range(ROOMS):
        answer = await front.send(
            "POST", chat.ROOMS, json={"name": f"Room {number}"}, headers=accounts[0].headers
        )
        rooms.append(str(answer.json()["id"]))
    chat_clients = [
        chat.ChatClient(
            front,
            f"{room}-{place}",
            where,
            accounts[place % 3].headers["Authorization"].removeprefix("Bearer "),
        )
        for room, where in enumerate(rooms)
        for place in range(CHAT_CLIENTS)
    ]
    over, memory = asyncio.Event(), verdict.Memory()
    begun = time.monotonic()
    listening = [asyncio.create_task(notes.listen(front, account, over)) for account in accounts]
    chatting = [asyncio.create_task(chat_client.run()) for chat_client in chat_clients]
    servers = grpc_client.Servers(front, system.project, [server.port for server in system.grpc_servers])
    begins = [asyncio.Event() for _ in accounts]
    listening += [
        asyncio.create_task(grpc_client.watch(servers, account, begin))
        for account, begin in zip(accounts, begins, strict=True)
    ]
    watching = asyncio.create_task(watch(system, memory))
    await asyncio.sleep(1)
    async with asyncio.timeout(START_SECONDS):
        for begin in begins:
            await begin.wait()
    askers = [assistant.Asker(front, account) for account in accounts]
    working = [asyncio.create_task(asker.run(over)) for asker in askers]
    working += [
        asyncio.create_task(work)
        for account in accounts
        for work in (
            notes.export(front, account, over),
            grpc_client.Writer(servers, account, f"{account.name}-grpc").run(over),
            *(notes.write(front, account, f"{account.name}-{number}", over) for number in range(WRITERS)),
        )
    ]
    chosen = tuple(each for each in faults.FAULTS if not options.short or each.name in faults.SHORT)
    windows = await faults.inflict(
        system, chosen, 0 if options.short else options.minutes * 60, options.pause, say
    )
    for chat_client in chat_clients:
        chat_client.active = False
    over.set()
    await asyncio.gather(*working)
    used = time.monotonic() - begun
    database = await asyncpg.connect(system.postgresql.url)
    await wait_until_settled(chat_clients, accounts, database)
    for task in (*listening, *chatting, watching):
        task.cancel()
    ended = await asyncio.gather(*listening, *chatting, watching, return_exceptions=True)
    wrong = [f"a client failed: {each!r}" for each in ended if isinstance(each, Exception)]
    seen, explained = verdict.troubles(front, windows)
    grown, sizes = verdict.memory(memory)
    wrong += seen + grown
    wrong += await verdict.notes(database, accounts) + verdict.events(accounts)
    wrong += await verdict.chat(database, chat_clients) + await verdict.tasks(database, front, accounts)
    wrong += await assistant.reckon(database, askers)
    wrong += await events.reckon(database, system)
    titles = assistant.title_attempts(system.worker.log.read_text(encoding="utf-8", errors="replace"))
    await database.close()
    await servers.channel.close()
    for task in re.findall(r"task ([0-9a-f-]{36})", " ".join(wrong))[:5]:
        for role in system.roles:
            for line in role.log.read_text(encoding="utf-8", errors="replace").splitlines():
                if task in line and '"GET"' not in line:
                    say(f"{role.name}: {line[:300]}")
    say(f"{used:.0f} s, {len(windows)} faults, broker {options.broker}")
    report.clients(front, servers, accounts, chat_clients)
    say(assistant.summary(askers, titles))
    report.faults(windows, explained)
    for line in sizes:
        say(line)
    return wrong


def run(options: argparse.Namespace, template: Path, python: Path, place: Path) -> list[str]:
    """Render everything, and prove it; return what was not as promised."""
    answers = {"preset": "everything", "database": "postgresql"}
    place.chmod(0o755)
    project = render(template, place / "project", answers)
    with Group() as group:
        return asyncio.run(prove(System(project, python, group, options.broker), options))


def main() -> None:
    """Make what is needed, run, and fail if something was not as promised."""
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # everything that was started is ended then, too
    with tempfile.TemporaryDirectory(prefix="keel-proof-") as folder:
        place = Path(folder)
        (place / "template").mkdir()
        template = snapshot(place / "template")
        python = shared_environment(Questions.load(ROOT / "copier.yml"), template, place / "declarations")
        wrong = run(options, template, python, place)
        for text in wrong[:40]:
            say(f"WRONG: {text}")
        say(f"{len(wrong)} things were not as promised")
        sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
