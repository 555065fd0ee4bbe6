"""What `python -m benchmarks` compares: rendered projects, floors and peers."""

from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks import peers, settings, sink, stores
from benchmarks.preparation import with_database
from benchmarks.project import FLOORS, Project, install_floors, render
from benchmarks.routes import Routes
from benchmarks.servers import Contender
from benchmarks.stores import FLOOR_NOTES

PRESETS = ("minimal", "api", "everything")
TEXTBOOK, ACCOUNTS, RAW = "textbook", "textbook_accounts", "raw"
NOT_EXPORTING, SAMPLED, EXPORTING = "no telemetry", "one in ten sampled", "all exported"


@contextmanager
def running(
    folder: Path,
    database: str,
    presets: Sequence[str],
    floors: Sequence[str],
    pool: dict[str, str],
    compared: Sequence[str] = (),
    python: str = "",
) -> Generator[list[Contender]]:
    """Render, install and prepare the contenders.

    `pool` has the settings of the textbook's pool; `compared` are peers, which get their own interpreter.
    """
    if "everything" in presets:
        settings.require_redis()
    with ExitStack() as stack:
        make = stack.enter_context(getattr(stores, database)(folder))
        collector = stack.enter_context(sink.running())
        found, log = [], folder / "preparation.log"
        projects = {preset: render(folder / preset, database, preset=preset) for preset in presets}
        for preset, project in projects.items():
            found += [
                stack.enter_context(with_database(contender, make, log, project))
                for contender in _renderings(preset, project, collector)
            ]
        floors_python = install_floors(folder / "floors", next(iter(projects.values())))
        for floor in floors:
            env = settings.FLOOR | (pool if floor != RAW else {})
            routes = Routes(table=FLOOR_NOTES)
            contender = Contender(
                floor,
                floors_python,
                FLOORS,
                f"{floor}:app",
                env,
                signs_in=True,
                routes=routes,
                scales=floor == TEXTBOOK,
            )
            found.append(stack.enter_context(with_database(contender, make, log, None)))
        for name in compared:
            peer = peers.install(peers.PEERS[name], folder, python)
            found.append(stack.enter_context(with_database(peer.contender, peer.translated(make), log, peer)))
        yield found


def _renderings(preset: str, project: Project, collector: str) -> list[Contender]:
    """Return a project as a contender, or as one per telemetry setting if it has the feature."""
    ways = {"": {}}
    if preset == "everything":
        ways = {
            NOT_EXPORTING: settings.exporting(""),
            SAMPLED: settings.exporting(collector),
            EXPORTING: settings.exporting(collector) | settings.EVERY_TRACE,
        }
    return [
        Contender(
            f"{preset}, {way}" if way else preset,
            project.python,
            project.path,
            "app.main:app",
            settings.every_feature(f"{preset}-{way}".replace(" ", "-")) | telemetry,
            signs_in=preset != "minimal",
            scales=way in {"", SAMPLED},
        )
        for way, telemetry in ways.items()
    ]
