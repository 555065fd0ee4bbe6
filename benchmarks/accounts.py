"""The account used for requests."""

import json
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from benchmarks.routes import Routes
from benchmarks.settings import EMAIL, SECRET


def register(port: int, routes: Routes) -> None:
    """Register the account over HTTP."""
    account = json.dumps({"email": EMAIL, "password": SECRET}).encode()
    headers = {"Content-Type": "application/json"}
    with urlopen(Request(f"http://127.0.0.1:{port}{routes.register}", account, headers)):
        pass


def sign_in(port: int, routes: Routes) -> str:
    """Sign in; return an access token."""
    form = urlencode({"grant_type": "password", "username": EMAIL, "password": SECRET}).encode()
    with urlopen(f"http://127.0.0.1:{port}{routes.sign_in}", form) as answer:
        return json.load(answer)["access_token"]
