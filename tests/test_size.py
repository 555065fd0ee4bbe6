"""How large the smallest project's platform is. Nothing is there that was not chosen, and that is little."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.machinery.combinations import extremes
from tests.machinery.rendering import render

if TYPE_CHECKING:
    from pathlib import Path

    from tests.machinery.questions import Questions

#: What there is, and what it is to become. Lower the first when something goes.
SERVING, SERVING_GOAL = 4726, 2800
OPERATING, OPERATING_GOAL = 2365, 1600
MODULES, MODULES_GOAL = 67, 45
