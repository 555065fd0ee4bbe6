"""The feature's page: its tool works as printed."""

import re
from types import ModuleType

from fastapi import FastAPI

from keel.about import ROOT
from keel.caller import Caller
from keel.hooks import checked
from keel.llm.toolbox import Toolbox
from keel.services import services_of


async def test_the_tool_of_the_page(app: FastAPI) -> None:
    """It is a valid module `tools`, and runs for its caller."""
    page = (ROOT / "keel" / "docs" / "features" / "llm.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^```python\n(.+?)^```$", page, re.MULTILINE | re.DOTALL)
    module = ModuleType("app.ships.tools")
    exec(compile(code, module.__name__, "exec"), vars(module))  # noqa: S102 - the project's own page
    services = services_of(app)
    toolbox = Toolbox(services)
    toolbox.add("app.ships", checked("tools", module).tools(services))
    ada = Caller("ada", frozenset({"ships:read"}))

    assert (await toolbox.call("find_ships", {"name": "A"}, ada)).text == "Ships of ada like A: Argo"
    assert (await toolbox.call("find_ships", {"name": "A"}, Caller("eve"))).failed
