"""The operator's command line: `python -m app --help`.

The second composition root: a command that needs the application enters the same lifespans as the server does,
without HTTP.
"""

import sys

from app.core import cli
from app.core.settings import SettingsError

if __name__ == "__main__":
    try:
        from app.main import PACKAGES, create_app
    except SettingsError as error:
        sys.exit(str(error))
    cli.build(create_app, PACKAGES)(prog_name="python -m app")
