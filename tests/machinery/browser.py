"""A headless Chromium, where it is installed with its driver."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from selenium import webdriver

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path


@contextmanager
def chromium(profile: Path) -> Generator[webdriver.Chrome]:
    """Run a browser with an empty profile; without one, or its driver, the test is skipped."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    steering = shutil.which("chromedriver")
    if not (program and steering):
        pytest.skip("Chromium and chromedriver are not installed (apt-get install chromium chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    quiet = ("disable-background-networking", "disable-component-update", "disable-sync", "no-first-run")
    for word in ("headless=new", "no-sandbox", "disable-dev-shm-usage", f"user-data-dir={profile}", *quiet):
        options.add_argument(f"--{word}")
    driver = webdriver.Chrome(options, webdriver.ChromeService(steering))
    try:
        yield driver
    finally:
        driver.quit()
