"""The e-mails that auth sends, as text and HTML."""

from functools import cache
from html import escape
from pathlib import Path
from string import Template
from urllib.parse import quote

from keel import about
from keel.messaging.mail import Mail

_TEMPLATES = Path(__file__).parent / "templates"

SUBJECTS = {
    "verify": "Confirm your address",
    "known": "You have an account already",
    "reset": "Choose a new password",
    "changed": "Your password was changed",
    "token": "A personal access token was created",
    "linked": "Another way to sign in to your account",
}


def compose(kind: str, to: str, *, public_url: str, page: str = "", token: str = "") -> Mail:
    """Return an e-mail of a kind, with a link to a page; the token is in the link's fragment."""
    # In the fragment, so that the token reaches neither a server's log nor another site's `Referer`.
    link = f"{public_url.rstrip('/')}/{page}#token={quote(token)}" if token else public_url
    values = {"name": about.NAME, "link": link}
    return Mail(
        to=to,
        subject=f"{about.NAME}: {SUBJECTS[kind]}",
        text=_template(f"{kind}.txt").substitute(values),
        html=_template(f"{kind}.html").substitute({key: escape(value) for key, value in values.items()}),
    )


@cache
def _template(name: str) -> Template:
    return Template((_TEMPLATES / name).read_text(encoding="utf-8"))
