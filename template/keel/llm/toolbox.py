"""Tools that the model may call. A package provides them in a module `tools`, as `tools(services)`.

A tool has the permissions of the caller who asked: it receives the caller, and its arguments are validated like those
of a request. Its result is data that the model may quote.
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
"""Timeout of a tool call, in seconds."""

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ToolContext:
    """The caller that a tool is called for, and the services."""

    caller: Caller
    services: Services


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool."""

    name: str
    """The name for the model, in lower case with underscores."""
    description: str
    """For the model: what it returns, and when to call it."""
    arguments: type[BaseModel]
    """The model of the arguments; describe the fields. With `extra="forbid"`, other arguments are refused."""
    run: Callable[[Any, ToolContext], Awaitable[str]]
    """Called with the arguments and the context; returns text."""
    scope: str | None = None
    """Scopes that the caller needs; other callers are not offered the tool."""

    @property
    def document(self) -> dict[str, Any]:
        """Describe the tool in OpenAI's format, which LangChain understands."""
        parameters = self.arguments.model_json_schema()
        function = {"name": self.name, "description": self.description, "parameters": parameters}
        return {"type": "function", "function": function}


@dataclass(frozen=True, slots=True)
class ToolResult:
    """The result of a call."""

    text: str
    failed: bool = False


class Toolbox:
    """The tools of all packages."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._tools: dict[str, Tool] = {}
        self._documents: dict[str, dict[str, Any]] = {}
        """Built once: each would take a twentieth of the fixed cost of an answer."""

    def add(self, package: str, tools: Sequence[Tool]) -> None:
        """Add the tools of a package.

        Raises:
            PackageError: a name is taken or not valid.
        """
        for tool in tools:
            if not _NAME.fullmatch(tool.name) or tool.name in self._tools:
                raise PackageError(f"{package}.tools: the name {tool.name!r} is taken, or not of the form find_books.")
            self._tools[tool.name] = tool
            self._documents[tool.name] = tool.document

    def of(self, caller: Caller) -> list[dict[str, Any]]:
        """Return the documents of the tools that a caller may use."""
        may = (name for name, tool in self._tools.items() if tool.scope is None or caller.may(tool.scope))
        return [self._documents[name] for name in may]

    async def call(self, name: str, arguments: Mapping[str, Any], caller: Caller) -> ToolResult:
        """Call a tool for a caller. Errors are reported to the model, which may correct itself."""
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
        except Exception:  # noqa: BLE001 - the model only learns that there was an error
            await log.aexception("tool_failed", tool=name)
            return ToolResult("The tool failed.", failed=True)
