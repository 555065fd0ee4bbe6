"""The account that requests are made with."""

import json
from urllib.parse import urlencode
from urllib.request import urlopen

from benchmarks.project import Project
from benchmarks.settings import SECRET

EMAIL = "benchmark@example.com"


def create(project: Project, env: dict[str, str]) -> None:
    """Create the account by the project's command line."""
    project.run("app", "auth", "create-admin", EMAIL, f"--password={SECRET}", env=env)


def sign_in(port: int) -> str:
    """Return a new access token."""
    form = urlencode({"grant_type": "password", "username": EMAIL, "password": SECRET}).encode()
    with urlopen(f"http://127.0.0.1:{port}/api/v1/auth/token", form) as answer:
        return json.load(answer)["access_token"]
