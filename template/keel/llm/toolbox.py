"""Tools that the model may call. A package offers them in a module `tools`, as `tools(services)`.

A tool has the rights of the caller who asked, and none of the model's: it is given the caller, and its arguments are
validated like those of a request. What it returns is data that the model may quote.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from pydantic import BaseModel, ValidationError

from keel.caller import Caller
from keel.hooks import PackageError
from keel.llm.telemetry import tool_call
from keel.services import Services
from keel.web.errors import AppError

TIMEOUT = 10.0
"""Seconds that a tool may take."""

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ToolContext:
    """For whom a tool is called."""

    caller: Caller
    services: Services


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool."""

    name: str
    """Lower case with underscores: what the model calls it by."""
    description: str
    """For the model: what it returns, and when to call it."""
    arguments: type[BaseModel]
    """What the model has to give; describe the fields. Others are refused if it says `extra="forbid"`."""
    run: Callable[[Any, ToolContext], Awaitable[str]]
    """Given the arguments and the caller, returns text."""
    scope: str | None = None
    """What the caller must be allowed to do; others are not offered the tool."""

    @property
    def document(self) -> dict[str, Any]:
        """Describe it in OpenAI's form, which LangChain knows."""
        parameters = self.arguments.model_json_schema()
        function = {"name": self.name, "description": self.description, "parameters": parameters}
        return {"type": "function", "function": function}


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What has come of a call."""

    text: str
    failed: bool = False


class Toolbox:
    """The tools of all packages."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._tools: dict[str, Tool] = {}
        self._documents: dict[str, dict[str, Any]] = {}
        """Made once: an answer would spend a twentieth of its fixed cost on each."""

    def add(self, package: str, tools: Sequence[Tool]) -> None:
        """Add the tools of a package.

        Raises:
            PackageError: a name is taken or not valid.
        """
        for tool in tools:
            if not _NAME.fullmatch(tool.name) or tool.name in self._tools:
                raise PackageError(f"{package}.tools: the name {tool.name!r} is taken, or not like search_books.")
            self._tools[tool.name] = tool
            self._documents[tool.name] = tool.document

    def of(self, caller: Caller) -> list[dict[str, Any]]:
        """Return the documents of the tools that a caller may use."""
        may = (name for name, tool in self._tools.items() if tool.scope is None or caller.may(tool.scope))
        return [self._documents[name] for name in may]

    async def call(self, name: str, arguments: Mapping[str, Any], caller: Caller) -> ToolResult:
        """Call a tool for a caller. What goes wrong is told to the model, which may do better."""
        tool = self._tools.get(name)
        if tool is None or not (tool.scope is None or caller.may(tool.scope)):
            return ToolResult("There is no such tool.", failed=True)
        try:
            given = tool.arguments.model_validate(dict(arguments))
        except ValidationError as error:
            faults = error.errors(include_url=False, include_input=False, include_context=False)
            said = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in faults[:5])
            return ToolResult(f"The arguments are not valid: {said}", failed=True)
        try:
            with tool_call(name):
                async with asyncio.timeout(TIMEOUT):
                    return ToolResult(await tool.run(given, ToolContext(caller, self._services)))
        except AppError as error:
            return ToolResult(error.detail, failed=True)
        except Exception:  # noqa: BLE001 - the model is told that there was an error, and nothing more
            await log.aexception("tool_failed", tool=name)
            return ToolResult("The tool failed.", failed=True)
