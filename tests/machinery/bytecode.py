"""Compile each distinct Python file of a run once: most files are the same in most projects."""

from __future__ import annotations

import hashlib
import os
import py_compile
import threading
from importlib.util import cache_from_source
from pathlib import Path


def share_bytecode(project: Path, store: Path, known: dict[Path, int] | None = None) -> None:
    """Add bytecode to a project's files, from a store that the workers share.

    Files that can't be compiled are skipped; they fail later, where their error is reported. With `known`, files
    that have not changed since the last call are skipped too.
    """
    store.mkdir(parents=True, exist_ok=True)
    known = {} if known is None else known
    for path in project.rglob("*.py"):
        changed = path.stat().st_mtime_ns
        if known.get(path) == changed:
            continue
        known[path] = changed
        compiled = store / hashlib.sha256(path.read_bytes()).hexdigest()
        if not compiled.exists():
            draft = f"{compiled}.{os.getpid()}.{threading.get_ident()}"
            mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
            if py_compile.compile(str(path), draft, invalidation_mode=mode, quiet=2) is None:
                continue
            Path(draft).replace(compiled)
        target = Path(cache_from_source(str(path)))
        target.parent.mkdir(exist_ok=True)
        target.unlink(missing_ok=True)
        # A copy, not a link: workers write to the shared store concurrently.
        target.write_bytes(compiled.read_bytes())
