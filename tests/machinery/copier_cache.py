"""Cache what Copier does for each copy or file with the same result, for tests only.

- Copier compiles every part of every path again for each copy. Code objects depend only on the syntax of the Jinja
  environment, which is the same throughout a template. Caching them halves the time of a copy.
- It parses copier.yml for each copy.
- It renders names without Jinja with all answers, although the result is the same name.
- It clones a template that is a git repository for each copy, three times per update: a second each, with the removal.
- For each file it starts git to ask whether the target repository ignores file modes. Only if it does, as on Windows,
  is there anything else to do.
"""

from __future__ import annotations

import atexit
import shutil
import subprocess
import tempfile
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

from copier import _template
from copier._main import Worker
from jinja2 import Environment

_compile = Environment.compile
_compiled: dict[tuple[Any, ...], Any] = {}
_sync = Worker._sync_git_index_executable_bit  # noqa: SLF001 - called for each file
_render_string = Worker._render_string  # noqa: SLF001 - called for each part of each path
_find_answers: Any = vars(Worker)["answers_relpath"]
_load = _template.load_template_config
_loaded: dict[bytes, dict[str, Any]] = {}
_clone = _template.clone
_clones: dict[tuple[str, ...], str] = {}


def memoise_copying() -> None:
    """Replace these methods in this process with caching ones."""
    setattr(Environment, "compile", _compile_once)  # noqa: B010 - a method is replaced on purpose
    setattr(Worker, "_sync_git_index_executable_bit", _sync_if_needed)  # noqa: B010 - as above
    setattr(Worker, "_render_string", _render_if_needed)  # noqa: B010 - as above
    setattr(Worker, "answers_relpath", property(_answers))  # noqa: B010 - as above
    setattr(_template, "load_template_config", _load_once)  # noqa: B010 - as above
    setattr(_template, "clone", _clone_once)  # noqa: B010 - as above


def _compile_once(
    self: Environment,
    source: Any,  # noqa: ANN401 - Jinja takes text or a syntax tree
    name: str | None = None,
    filename: str | None = None,
    raw: bool = False,  # noqa: FBT001, FBT002 - Jinja's signature
    defer_init: bool = False,  # noqa: FBT001, FBT002 - Jinja's signature
) -> Any:  # noqa: ANN401 - text when `raw`, else code
    if raw or defer_init or not isinstance(source, str):
        return _compile(self, source, name, filename, raw, defer_init)
    syntax = (self.block_start_string, self.trim_blocks, self.lstrip_blocks, self.keep_trailing_newline)
    key = (source, name, filename, *syntax, *self.extensions)
    if key not in _compiled:
        _compiled[key] = _compile(self, source, name, filename)
    return _compiled[key]


def _render_if_needed(self: Worker, string: str, extra_context: dict[str, Any] | None = None) -> str:
    return string if _is_plain(string) else _render_string(self, string, extra_context)


def _answers(self: Worker) -> Path:
    path = self.answers_file or self.template.answers_relpath
    if _is_plain(str(path)):
        return Path(path)
    found = _find_answers.fget(self)
    assert isinstance(found, Path)
    return found


def _load_once(path: Path, quiet: bool = False) -> dict[str, Any]:  # noqa: FBT001, FBT002 - Copier's signature
    text = path.read_bytes()
    if b"!include" in text:
        return _load(path, quiet)
    if text not in _loaded:
        _loaded[text] = _load(path, quiet)
    return deepcopy(_loaded[text])


def _is_plain(string: object) -> bool:
    return isinstance(string, str) and "{" not in string and "\n" not in string


def _clone_once(url: str, ref: str = "HEAD", location: str | None = None) -> str:
    """Clone this commit, with these tags, once in this process; Copier removes only the `location` that it gives."""
    commit = _git(url, "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}") if Path(url).is_dir() else ""
    if not commit or _git(url, "status", "--porcelain"):
        return _clone(url, ref, location)
    key = (url, commit, _git(url, "show-ref"))
    if key not in _clones:
        place = tempfile.mkdtemp(prefix="keel-clone-")
        atexit.register(shutil.rmtree, place, ignore_errors=True)
        _clones[key] = _clone(url, ref, place)
    return _clones[key]


def _git(repository: str, *arguments: str) -> str:
    """Return what git says; nothing if it fails."""
    command = ["git", "-C", repository, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def _sync_if_needed(self: Worker, dst_relpath: Path, src_mode: int) -> None:
    root = self.subproject.local_abspath
    if _modes_are_left_alone(root, is_repository=(root / ".git").exists()):
        _sync(self, dst_relpath, src_mode)


@cache
def _modes_are_left_alone(directory: Path, *, is_repository: bool) -> bool:  # noqa: ARG001 - a part of the key
    command = ["git", "-C", str(directory), "config", "--type=bool", "--get", "core.fileMode"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() == "false"
