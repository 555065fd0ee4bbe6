"""The check that every function, class, method and field of a project's `keel/` is reached in that project.

`facts` and `scope` read each file once per content: its definitions, and their references. `types` infers the type of
an expression from annotations. `liveness` follows references from the entry points. `published` reads the names that
an owner may import.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.machinery.reachability.liveness import Project
from tests.machinery.reachability.published import excused, published

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def unreached(project: Path) -> Iterator[str]:
    """Yield unreached definitions of a project's `keel/` and of its examples."""
    yield from map(str, Project(project, published(project), excused()).unreached())
