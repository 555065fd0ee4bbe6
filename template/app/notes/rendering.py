"""Markdown to HTML, away from the event loop."""

from html import escape

from anyio import CapacityLimiter, to_thread
from markdown_it import MarkdownIt

# Raw HTML in a note is shown, not obeyed; links to `javascript:` and the like are not made (both by the preset).
_markdown = MarkdownIt("js-default")

_threads = CapacityLimiter(2)
"""Few threads: they share one interpreter lock, so more would only take turns more often."""


async def page(title: str, body: str) -> str:
    """Return an HTML document.

    Rendering a body of the largest size keeps a processor busy for a good part of a second. On the event loop, nobody
    else would be served meanwhile; in a thread, the interpreter lets the loop have its turn every few milliseconds.
    Work of many seconds belongs into another process altogether.
    """
    return await to_thread.run_sync(_render, title, body, limiter=_threads)


def _render(title: str, body: str) -> str:
    heading = escape(title)
    return (
        '<!doctype html><html><head><meta charset="utf-8">'
        f"<title>{heading}</title></head><body><h1>{heading}</h1>{_markdown.render(body)}</body></html>"
    )
