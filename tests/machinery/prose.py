"""The sentences of a page: its Markdown without code, headings, front matter and Jinja."""

from __future__ import annotations

import re
from itertools import count

_FRONT = re.compile(r"\A---\n.*?^---\n", re.MULTILINE | re.DOTALL)
_FENCE = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
_LEFT_OUT = re.compile(
    r"<[^>\n]+>|\{[%#{].*?[%#}]\}|^#+ .*$|^ {4}(?! *[-*\d]).*$|^\|[-| :]+\|$", re.MULTILINE
)
_CODE = re.compile(r"`[^`]+`")
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")


def sentences(text: str) -> str:
    """Return the prose on its original lines, with each piece of code replaced by a unique name."""
    for pattern in (_FRONT, _FENCE):
        text = pattern.sub(lambda found: "\n" * found[0].count("\n"), text)
    names = count()
    text = _CODE.sub(lambda found: f"N{next(names)}x" + "\n" * found[0].count("\n"), text)
    return _LEFT_OUT.sub("", _LINK.sub(r"\1", text)).replace("|", ". ")
