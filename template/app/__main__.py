"""The operator's command line: `python -m app --help`.

The second composition root: a command that needs the application enters the same lifespans as the server does,
without HTTP.
"""

import signal
import sys

from keel.hooks import PackageError
from keel.ops import cli, settings_check
from keel.settings import SettingsError

if __name__ == "__main__":
    # A container's first process receives only signals that it handles. Long-running roles install their own handlers.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        from app.main import create_app

        commands = cli.build(create_app, "app")
    except SettingsError as error:
        sys.exit(settings_check.explain(error))
    except PackageError as error:
        sys.exit(str(error))
    commands(prog_name="python -m app")
