"""Markdown to HTML, outside the event loop."""

from functools import cache
from html import escape
from typing import TYPE_CHECKING

from anyio import CapacityLimiter, to_thread

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

_threads = CapacityLimiter(2)
"""Few threads: they share one interpreter lock, so more would only take turns more often."""


async def page(title: str, body: str) -> str:
    """Return an HTML document.

    Rendering a body of the largest size keeps a processor busy for a good part of a second. On the event loop, no other
    request would be served meanwhile; in a thread, the interpreter lets the loop have its turn every few milliseconds.
    Work of many seconds belongs in another process altogether.
    """
    return await to_thread.run_sync(_render, title, body, limiter=_threads)


@cache
def _markdown() -> "MarkdownIt":
    """Load what renders on the first use, which a process that starts need not wait for."""
    from markdown_it import MarkdownIt

    # Raw HTML in a note is escaped, not rendered; links to `javascript:` and the like are not made (both by the preset).
    return MarkdownIt("js-default")


def _render(title: str, body: str) -> str:
    heading = escape(title)
    return (
        '<!doctype html><html><head><meta charset="utf-8">'
        f"<title>{heading}</title></head><body><h1>{heading}</h1>{_markdown().render(body)}</body></html>"
    )
