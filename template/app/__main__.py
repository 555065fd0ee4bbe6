"""The operator's command line: `python -m app --help`.

The second composition root: a command that needs the application enters the same lifespans as the server does,
without HTTP.
"""

from app.core import cli
from app.features import FEATURES
from app.main import create_app

if __name__ == "__main__":
    cli.build(create_app, FEATURES)(prog_name="python -m app")
