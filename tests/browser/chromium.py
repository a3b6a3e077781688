"""A real Chromium, driven through chromedriver's own HTTP protocol (W3C WebDriver)."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--no-first-run"),
    *("--no-proxy-server", "--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the key by which the protocol marks an element
_PATIENCE = 20.0


class NoSuchElement(AssertionError):
    """The page shows no such element."""


class Chromium:
    """One browser window with a profile of its own; close it by leaving the `with` block."""

    def __init__(self, profile: Path, *flags: str, size: tuple[int, int] = (1200, 900), phone: bool = False) -> None:
        self._driver = subprocess.Popen(
            ["chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self._driver.stdout
        port = next(found[1] for line in self._driver.stdout if (found := re.search(r"on port (\d+)\.", line)))
        self._session = f"http://127.0.0.1:{port}/session"
        arguments = [*FLAGS, f"--user-data-dir={profile}", f"--window-size={size[0]},{size[1]}", *flags]
        options: dict[str, Any] = {"args": arguments}
        if phone:  # windows have a least width, the screens of phones do not
            options["mobileEmulation"] = {"deviceMetrics": {"width": size[0], "height": size[1], "pixelRatio": 1}}
        wanted = {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}}
        try:
            self._session += "/" + self._ask("POST", "", wanted)["sessionId"]
        except BaseException:
            self._driver.kill()
            raise

    def __enter__(self) -> Chromium:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._ask("DELETE", "")
        finally:
            self._driver.terminate()
            self._driver.wait(10)

    def open(self, address: str) -> None:
        self._ask("POST", "/url", {"url": address})

    @property
    def address(self) -> str:
        return str(self._ask("GET", "/url"))

    def text(self, css: str = "body") -> str:
        """What a person reads in the element: hidden text does not count."""
        return str(self._ask("GET", f"/element/{self._find('css selector', css)}/text"))

    def type(self, css: str, text: str) -> None:
        self._ask("POST", f"/element/{self._find('css selector', css)}/value", {"text": text})

    def press(self, label: str) -> None:
        """Press the button or follow the link that bears this text."""
        quoted = json.dumps(label)
        path = f"//*[self::a or self::button][not(@hidden)][normalize-space()={quoted}] | //input[@value={quoted}]"
        self._ask("POST", f"/element/{self._find('xpath', path)}/click", {})

    def script(self, body: str) -> Any:
        return self._ask("POST", "/execute/sync", {"script": body, "args": []})

    def picture(self) -> bytes:
        return base64.b64decode(self._ask("GET", "/screenshot"))

    def _find(self, using: str, value: str) -> str:
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                return str(self._ask("POST", "/element", {"using": using, "value": value})[_ELEMENT])
            except NoSuchElement:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self._session + path, data, {"Content-Type": "application/json"}, method=method
        )
        # The driver is on this machine: no proxy is asked.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=60) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            problem = json.load(error)["value"]
            if problem["error"] == "no such element":
                raise NoSuchElement(problem["message"]) from error
            raise AssertionError(f"{problem['error']}: {problem['message']}") from error
