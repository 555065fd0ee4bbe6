"""How the public API is read from the project's own page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.machinery.reachability.published import published

if TYPE_CHECKING:
    from pathlib import Path

PAGE = """\
| Import | What it is |
|---|---|
| `keel.db.models.Base`, `.Timestamps` | base of `Models`; `keel.not.this` |
| `keel.web.rate_limit.limit("5/minute")` | a limit |
| `keel.web.pagination.Page[Schema]`, `.PageQuery` | a page |

```python
from keel.clock import now, UtcDatetime
```
"""


def test_the_table_and_the_imports_are_read(tmp_path: Path) -> None:
    """Names after the first belong to the same module; other cells are not published."""
    (tmp_path / "keel").mkdir()
    (tmp_path / "keel" / "README.md").write_text(PAGE, encoding="utf-8")
    assert published(tmp_path) == [
        "keel.clock.UtcDatetime",
        "keel.clock.now",
        "keel.db.models.Base",
        "keel.db.models.Timestamps",
        "keel.web.pagination.Page",
        "keel.web.pagination.PageQuery",
        "keel.web.rate_limit.limit",
    ]
