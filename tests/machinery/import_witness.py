"""What an import reaches of a project: the modules that it loads, and whether it looks at anything besides.

A module's import depends on the files that it loads, and on nothing else of the project, unless while it runs it asks
for a module that is not loaded in the end, lists a folder, or reads another file. Run in the warm process: standard
library only.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

_IMPORT_SYSTEM = ("<frozen importlib._bootstrap>", "<frozen importlib._bootstrap_external>")
_LISTS = {"os.listdir", "os.scandir", "glob.glob", "pathlib.Path.glob", "pathlib.Path.rglob"}


class Witness:
    """Watches this process from now on; made once in a process, since an audit hook stays."""

    def __init__(self, directory: str, packages: Collection[str]) -> None:
        """Watch imports of these packages, and every look into this directory."""
        self._root = os.path.realpath(directory)
        self._packages = packages
        self._asked: set[str] = set()
        self._read: set[str] = set()
        self._listed = False
        stat = os.stat
        # What `Path.exists` and its like call; no audit event tells of it.
        os.stat = self._seeing(stat)  # ty: ignore[invalid-assignment]
        sys.addaudithook(self._hear)
        sys.meta_path.insert(0, self)

    def find_spec(self, name: str, *_: object) -> None:
        """Hear of a module that is asked for; others find it."""
        if name.partition(".")[0] in self._packages:
            self._asked.add(name)

    def loaded(self) -> list[str]:
        """The project's files that were loaded or read, relative to it."""
        modules = [module for name, module in sys.modules.items() if name.partition(".")[0] in self._packages]
        files = {getattr(module, "__file__", None) for module in modules} | self._read
        return sorted(os.path.relpath(file, self._root) for file in files if isinstance(file, str))

    def beyond(self) -> bool:
        """Whether it looked at more than what it loaded or read: then it depends on the whole project."""
        return self._listed or any(name not in sys.modules for name in self._asked)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in _LISTS:
            # The import system lists folders to find modules that it is asked for.
            if sys._getframe(1).f_code.co_filename not in _IMPORT_SYSTEM:  # noqa: SLF001 - the only way to know
                self._listed = self._listed or self._within(arguments[0]) is not None
        elif event == "open" and sys._getframe(1).f_code.co_filename not in _IMPORT_SYSTEM:  # noqa: SLF001
            self._look(arguments[0])
        elif event in {"subprocess.Popen", "os.posix_spawn", "os.fork", "os.exec"}:
            self._listed = True  # out of sight

    def _look(self, path: object) -> None:
        """A file of the project was looked at."""
        if (found := self._within(path)) is not None:
            self._read.add(found)

    def _within(self, path: object) -> str | None:
        if not isinstance(path, str | bytes | os.PathLike):
            return self._root if path is None else None
        full = os.path.abspath(os.fsdecode(path))  # noqa: PTH100 - without a look at the disk
        # Bytecode stands for the file that it was made from.
        return full if Path(full).is_relative_to(self._root) and "__pycache__" not in full else None

    def _seeing(self, stat: Callable[..., os.stat_result]) -> Callable[..., os.stat_result]:
        def seen(path: Any, *arguments: Any, **options: Any) -> os.stat_result:  # noqa: ANN401 - as `os.stat`
            self._look(path)
            return stat(path, *arguments, **options)

        return seen
