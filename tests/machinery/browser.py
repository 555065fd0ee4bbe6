"""A headless Chromium controlled by tests."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

#: Long enough for a busy machine: only a failure takes this long.
SECONDS = 60
#: The browser's messages about a server that stops, depending on the moment, and about a missing icon.
EXPECTED_ERRORS = (
    "ERR_CONNECTION_",
    "ERR_EMPTY_RESPONSE",
    "ERR_INCOMPLETE_CHUNKED_ENCODING",
    " 503",
    "favicon",
)
PHONE = (390, 780)
#: Screens that are narrower are those of phones.
TABLET = 600


class Browser:
    """A browser with two tabs on one page; `tab` selects one of them."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        """Take a browser that has just been started."""
        self.driver = driver

    def open(self, address: str) -> None:
        """Open the page in two tabs."""
        self.driver.get(address)
        self.driver.switch_to.new_window("tab")
        self.driver.get(address)

    def tab(self, number: int) -> None:
        """Switch to a tab."""
        self.driver.switch_to.window(self.driver.window_handles[number])

    def size(self, width: int, height: int) -> None:
        """Emulate a screen of this size; a window can't be as small as a phone."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < TABLET}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def text(self, selector: str) -> str:
        """Return the text of an element; empty if it does not exist."""
        return str(self.script("return document.querySelector(arguments[0])?.innerText ?? ''", selector))

    def script(self, code: str, *arguments: Any) -> Any:  # noqa: ANN401 - whatever the script returns
        """Run a script in the page; return its result."""
        return self.driver.execute_script(code, *arguments)

    def write(self, selector: str, *words: str) -> None:
        """Type into a field, and press Enter."""
        field = self.driver.find_element(By.CSS_SELECTOR, selector)
        field.send_keys(*words, Keys.ENTER)

    def press(self, *keys: str) -> None:
        """Press keys in the focused element."""
        webdriver.ActionChains(self.driver).send_keys(*keys).perform()

    def focused(self) -> str:
        """Return the id or the text of the focused element."""
        return str(self.script("return document.activeElement.id || document.activeElement.innerText"))

    def sees(self, selector: str, text: str) -> None:
        """Wait until an element contains a text."""
        self.until(lambda: text in self.text(selector), f"{selector} never said {text!r}")

    def until(self, holds: Callable[[], object], otherwise: str = "") -> None:
        """Wait until a condition is true."""
        WebDriverWait(self.driver, SECONDS, 0.05).until(lambda _: holds(), otherwise)

    def complaints(self) -> list[str]:
        """Return the browser's log, such as violations of the page's policy, except about a server that stopped."""
        found = [entry["message"] for entry in self.driver.get_log("browser")]
        return [text for text in found if not any(word in text for word in EXPECTED_ERRORS)]

    def fits(self, selector: str) -> bool:
        """Whether an element is completely visible, and nothing is wider than the screen."""
        return bool(
            self.script(
                """
                const { left, right, top, bottom } = document.querySelector(arguments[0]).getBoundingClientRect();
                return left >= 0 && top >= 0 && right <= innerWidth && bottom <= innerHeight
                    && document.documentElement.scrollWidth <= innerWidth;
                """,
                selector,
            )
        )


@contextmanager
def browsing(place: Path) -> Generator[Browser]:
    """Start a headless Chromium; without one, or its driver, the test is skipped."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    steering = shutil.which("chromedriver")
    if not (program and steering):
        pytest.skip("Chromium and chromedriver are not installed (apt-get install chromium chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    quiet = ("disable-background-networking", "disable-component-update", "disable-sync", "no-first-run")
    for word in (
        "headless=new",
        "no-sandbox",
        "disable-dev-shm-usage",
        f"user-data-dir={place}/profile",
        *quiet,
    ):
        options.add_argument(f"--{word}")
    driver = webdriver.Chrome(options, webdriver.ChromeService(steering))
    try:
        yield Browser(driver)
    finally:
        driver.quit()
