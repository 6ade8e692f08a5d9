"""A report of a sweep, and a page in headless Chromium, driven over a pipe by its own protocol."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time

import pytest
from reading import few, report_of

import heatcap as hc

from synthetic import observables, sweep

SHOWN = ("heat_capacity", "landscape_heat_capacity", "unweighted_heat_capacity")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-dev-shm-usage", "--hide-scrollbars", "--remote-debugging-pipe"),
)
# The protocol's pipe has the numbers 3 and 4.
START = """
import fcntl, os, sys
ends = [fcntl.fcntl(int(end), fcntl.F_DUPFD, 10) for end in sys.argv[1:3]]
for number, end in zip((3, 4), ends):
    os.dup2(end, number)
os.execv(sys.argv[3], sys.argv[3:])
"""
PATIENCE = 300.0  # seconds: only how long a browser that hangs is waited for


class Page:
    """One tab.  `requests`, `errors` and `logged` are filled as events arrive."""

    def __init__(self, program, profile):
        self.requests, self.errors, self._count, self._buffer = [], [], 0, b""
        self._loaded = False
        (their_in, self._out), (self._in, their_out) = os.pipe(), os.pipe()

        browser = [program, *FLAGS, f"--user-data-dir={profile}", "about:blank"]
        self._process = subprocess.Popen(
            [sys.executable, "-c", START, str(their_in), str(their_out), *browser],
            pass_fds=(their_in, their_out),
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(their_in)
        os.close(their_out)
        self._session = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)[
            "sessionId"
        ]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method, **parameters):
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == message["id"]:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]

    def _next(self):
        """The next answer; what happens on the page meanwhile is noted."""
        deadline = time.monotonic() + PATIENCE
        while b"\0" not in self._buffer:
            if not select.select([self._in], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise TimeoutError("Chromium does not answer")
            self._buffer += os.read(self._in, 1 << 20) or b'{"id": -1}\0'
            if self._process.poll() is not None:
                raise RuntimeError(f"Chromium has ended with status {self._process.returncode}")
        text, self._buffer = self._buffer.split(b"\0", 1)
        event = json.loads(text)
        method, told = event.get("method"), event.get("params", {})
        if method == "Network.requestWillBeSent":
            self.requests.append(told["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.errors.append(told["exceptionDetails"]["text"])
        elif method == "Runtime.consoleAPICalled":
            self.errors.append(f"{told['type']}: {told['args']}")
        elif method == "Log.entryAdded":
            self.errors.append(told["entry"]["text"])
        elif method == "Page.loadEventFired":
            self._loaded = True
        return event

    def open(self, path, width=1280, height=900):
        self.size(width, height)
        self._loaded = False
        self.call("Page.navigate", url=path.as_uri())
        while not self._loaded:
            self._next()

    def size(self, width, height=900):
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def media(self, **features):
        pairs = [{"name": k.replace("_", "-"), "value": v} for k, v in features.items()]
        self.call("Emulation.setEmulatedMedia", features=pairs)

    def eval(self, expression):
        found = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in found:
            raise RuntimeError(found["exceptionDetails"]["exception"]["description"])
        return found["result"].get("value")

    def press(self, key, code=0, text=""):
        for kind in ("keyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                windowsVirtualKeyCode=code,
                **({"text": text} if text and kind == "keyDown" else {}),
            )

    def mouse(self, kind, x, y, **more):
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def click(self, query):
        x, y = self.eval(
            f"(() => {{const e = document.querySelector({json.dumps(query)});"
            "e.scrollIntoView({block: 'center', behavior: 'instant'});"
            "const r = e.getBoundingClientRect();"
            "return [r.x + r.width / 2, r.y + r.height / 2]})()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.mouse(kind, x, y, button="left", clickCount=1)

    def pdf(self):
        return base64.b64decode(self.call("Page.printToPDF", preferCSSPageSize=True)["data"])

    def shot(self, path, whole=False):
        found = self.call("Page.captureScreenshot", captureBeyondViewport=whole)["data"]
        path.write_bytes(base64.b64decode(found))

    def close(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        os.close(self._in)
        os.close(self._out)


@pytest.fixture(scope="session")
def sweep_report():
    """Four sizes of three runs, and controls at two of them."""
    return hc.build_report(observables(sweep(primes=(19, 31, 53, 89), controls=(19, 89))), *SHOWN)


@pytest.fixture(scope="session")
def sweep_page(sweep_report):
    return sweep_report.html()


@pytest.fixture(scope="session")
def pair_report():
    """Two sizes of two runs: too few for a verdict."""
    return report_of(observables(few()))


@pytest.fixture(scope="session")
def single_report():
    return report_of(observables(few((43,), 1)))


@pytest.fixture(scope="session")
def chromium(tmp_path_factory):
    """A tab; tests are skipped where there is no Chromium."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        pytest.skip("no Chromium: apt-get install chromium")
    page = Page(program, tmp_path_factory.mktemp("profile"))
    yield page
    page.close()
