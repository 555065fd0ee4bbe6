"""Markdown to HTML, outside the event loop."""

from html import escape

from anyio import CapacityLimiter, to_thread
from comrak import RenderOptions, render_markdown

_threads = CapacityLimiter(2)
"""Few threads: rendering holds the interpreter's lock, so more would only take turns more often."""

_OPTIONS = RenderOptions()
# Raw HTML in a note is escaped; links to `javascript:` and the like are disabled (by default).
_OPTIONS.escape = True


async def page(title: str, body: str) -> str:
    """Return an HTML document.

    This renderer takes time proportional to the body, whatever its content: some 50 ms for the largest. Most renderers
    written in Python need seconds for a body of nothing but brackets, and all other pages would wait. If yours does, or
    is slow for other reasons, render in another process, which can be killed.
    """
    return await to_thread.run_sync(_render, title, body, limiter=_threads)


def _render(title: str, body: str) -> str:
    heading = escape(title)
    return (
        '<!doctype html><html><head><meta charset="utf-8">'
        f"<title>{heading}</title></head><body><h1>{heading}</h1>{render_markdown(body, render_options=_OPTIONS)}</body></html>"
    )
