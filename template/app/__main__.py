"""The operator's command line: `python -m app --help`.

The second composition root: a command that needs the application enters the same lifespans as the server does,
without HTTP.
"""

import signal
import sys

from app.core import cli, drift
from app.core.settings import SettingsError

if __name__ == "__main__":
    # The first process of a container hears no signal that it has no handler for. Roles that run for long bring their own.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        from app.main import PACKAGES, create_app
    except SettingsError as error:
        sys.exit(drift.explain(error))
    cli.build(create_app, PACKAGES)(prog_name="python -m app")
