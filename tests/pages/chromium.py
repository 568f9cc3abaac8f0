"""A headless Chromium, driven as its developer tools drive it: the DevTools protocol over a WebSocket.

aiohttp, which is here anyway, speaks WebSockets. Selenium (and a driver of the browser's very version) or
Playwright (and browsers of its own) would bring far more than is needed: to open a page, click, type, and hear what
it fetched and complained about. (https://chromedevtools.github.io/devtools-protocol/)
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import os
import re
import shutil
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp

NAMES = (
    *("chromium-headless-shell", "chromium", "chromium-browser"),
    *("google-chrome", "google-chrome-stable", "chrome-headless-shell"),
)
HANGS = 60.0
"""Seconds after which something is taken to hang: many times what it needs on a busy machine."""
_FLAGS = (
    *("--headless", "--remote-debugging-port=0", "--remote-debugging-address=127.0.0.1", "--disable-gpu"),
    *("--no-first-run", "--no-default-browser-check", "--disable-background-networking", "--disable-sync"),
    *("--disable-component-update", "--disable-default-apps", "--disable-extensions", "--disable-dev-shm-usage"),
    *("--hide-scrollbars", "--mute-audio", "--no-proxy-server", "about:blank"),
)


def installed() -> str | None:
    """The browser's program, if there is one."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextlib.asynccontextmanager
async def chromium(folder: Path) -> AsyncIterator[Browser]:
    """Started with a profile of its own in `folder`, ended afterwards."""
    program = installed()
    assert program is not None
    # Chromium's own sandbox wants a user who is not root. The pages are ours.
    as_root = ("--no-sandbox",) if os.geteuid() == 0 else ()
    process = await asyncio.create_subprocess_exec(
        *(program, *as_root, f"--user-data-dir={folder}", *_FLAGS),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert process.stderr is not None
        async with asyncio.timeout(HANGS):
            address = await _address(process.stderr)
        silenced = asyncio.create_task(_read_on(process.stderr))
        async with aiohttp.ClientSession() as session, session.ws_connect(address, max_msg_size=0) as socket:
            browser = Browser(socket)
            heard = asyncio.create_task(browser.hear())
            try:
                yield browser
            finally:
                for task in (heard, silenced):
                    task.cancel()
                await asyncio.gather(heard, silenced, return_exceptions=True)
    finally:
        # All of its processes: what is left of them would keep its standard error open.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        async with asyncio.timeout(HANGS):
            await process.wait()


async def _address(said: asyncio.StreamReader) -> str:
    lines = []
    async for line in said:
        lines.append(line.decode(errors="replace"))
        _, listening, address = lines[-1].partition("DevTools listening on ")
        if listening:
            return address.strip()
    raise AssertionError(f"the browser ended: {''.join(lines[-20:])}")


async def _read_on(said: asyncio.StreamReader) -> None:
    """So that it never waits for its complaints to be read."""
    async for _ in said:
        pass


class Browser:
    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._pages: dict[str, Callable[[str, Any], None]] = {}

    async def hear(self) -> None:
        async for message in self._socket:
            said = json.loads(message.data)
            if "id" not in said:
                if said.get("sessionId") in self._pages:
                    self._pages[said["sessionId"]](said["method"], said["params"])
            elif not (asked := self._asked.pop(said["id"])).done():
                if "error" in said:
                    asked.set_exception(AssertionError(f"the browser refused: {said['error']}"))
                else:
                    asked.set_result(said["result"])

    async def ask(self, method: str, session: str = "", **params: Any) -> Any:
        number = next(self._numbers)
        self._asked[number] = answer = asyncio.get_running_loop().create_future()
        told = {"id": number, "method": method, "params": params}
        await self._socket.send_str(json.dumps({**told, **({"sessionId": session} if session else {})}))
        async with asyncio.timeout(HANGS):
            return await answer

    @contextlib.asynccontextmanager
    async def page(self, width: int = 1280, height: int = 900) -> AsyncIterator[Page]:
        """A window of its own, without cookies or a cache of another's."""
        context = (await self.ask("Target.createBrowserContext"))["browserContextId"]
        target = await self.ask("Target.createTarget", url="about:blank", browserContextId=context)
        attached = await self.ask("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        page = Page(self, attached["sessionId"])
        self._pages[attached["sessionId"]] = page.hear
        for domain in ("Page", "Network", "Runtime", "Log", "Audits", "Accessibility", "DOM"):
            await page.ask(f"{domain}.enable")
        await page.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        yield page
        await self.ask("Target.disposeBrowserContext", browserContextId=context)


@dataclass
class Page:
    browser: Browser
    session: str
    fetched: list[str] = field(default_factory=list)
    """Every address that was asked for."""
    complaints: list[str] = field(default_factory=list)
    """Errors and warnings on the console, what could not be fetched, and what breaks the page's own policy."""
    _loaded: asyncio.Event = field(default_factory=asyncio.Event)

    def hear(self, method: str, params: Any) -> None:
        match method:
            case "Page.loadEventFired":
                self._loaded.set()
            case "Network.requestWillBeSent":
                self.fetched.append(params["request"]["url"])
            case "Network.loadingFailed" if not params.get("canceled"):
                self.complaints.append(f"not fetched: {params['errorText']}")
            case "Runtime.exceptionThrown":
                self.complaints.append(str(params["exceptionDetails"]))
            case "Runtime.consoleAPICalled" if params["type"] in ("error", "warning"):
                self.complaints.append(str(params["args"]))
            case "Log.entryAdded" if params["entry"]["level"] in ("error", "warning"):
                self.complaints.append(f"{params['entry']['text']} ({params['entry'].get('url', '')})")
            case "Audits.issueAdded":
                self.complaints.append(str(params["issue"]))

    async def ask(self, method: str, **params: Any) -> Any:
        return await self.browser.ask(method, self.session, **params)

    @contextlib.asynccontextmanager
    async def loading(self) -> AsyncIterator[None]:
        """Around what leads to another page: ends when that is there."""
        self._loaded.clear()
        yield
        async with asyncio.timeout(HANGS):
            await self._loaded.wait()

    async def open(self, url: str) -> None:
        async with self.loading():
            went = await self.ask("Page.navigate", url=url)
            assert "errorText" not in went, f"{url}: {went['errorText']}"

    async def reload(self) -> None:
        async with self.loading():
            await self.ask("Page.reload")

    async def value(self, expression: str) -> Any:
        """Of JavaScript in the page."""
        done = await self.ask("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    async def until(self, expression: str) -> None:
        """Asked again and again, until it is so."""
        async with asyncio.timeout(HANGS):
            while not await self.value(expression):
                pass

    async def text(self, selector: str = "body") -> str:
        """As one sees it, without empty lines."""
        found = await self.value(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''")
        return re.sub(r"\n+", "\n", found)

    async def click(self, selector: str) -> None:
        """With the mouse, in the middle of it."""
        at = await self.value(
            f"(() => {{ const it = document.querySelector({json.dumps(selector)});"
            " it.scrollIntoView({block: 'center'}); const box = it.getBoundingClientRect();"
            " return [box.x + box.width / 2, box.y + box.height / 2] })()"
        )
        where = {"x": at[0], "y": at[1], "button": "left", "clickCount": 1}
        for what in ("mousePressed", "mouseReleased"):
            await self.ask("Input.dispatchMouseEvent", type=what, **where)

    async def press(self, key: str, text: str = "") -> None:
        codes = {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32, "End": 35, "Home": 36}
        codes |= {"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}
        told = {
            "key": key,
            "code": "Space" if key == " " else key,
            "windowsVirtualKeyCode": codes[key],
            "text": text,
        }
        for what in ("keyDown", "keyUp"):
            await self.ask("Input.dispatchKeyEvent", type=what, **told)

    async def type(self, text: str) -> None:
        """Where the cursor is."""
        await self.ask("Input.insertText", text=text)

    async def wider_than_its_window(self) -> bool:
        """Whether one could scroll to the side."""
        root = "document.documentElement"
        return bool(await self.value(f"{root}.scrollWidth > {root}.clientWidth"))

    async def names(self, role: str) -> list[str]:
        """What somebody hears who does not see the page: the names of its buttons, images and the like."""
        tree = await self.ask("Accessibility.getFullAXTree")
        return [
            node.get("name", {}).get("value", "")
            for node in tree["nodes"]
            if not node.get("ignored") and node.get("role", {}).get("value") == role
        ]

    async def faint_text(self) -> list[str]:
        """Text whose contrast to what is behind it is less than WCAG 2's level AA asks for: 4.5, or 3 where it is
        large. Before the lightest and the darkest colour of a gradient."""
        await self.ask("CSS.enable")
        root = (await self.ask("DOM.getDocument", depth=0))["root"]["nodeId"]
        await self.value(
            "for (const it of document.querySelectorAll('body *'))"
            " it.toggleAttribute('data-seen', it.checkVisibility())"
        )
        nodes = (await self.ask("DOM.querySelectorAll", nodeId=root, selector="[data-seen]"))["nodeIds"]
        faint = []
        for node in nodes:
            behind = await self.ask("CSS.getBackgroundColors", nodeId=node)
            if not behind.get("backgroundColors"):
                continue
            style = (await self.ask("CSS.getComputedStyleForNode", nodeId=node))["computedStyle"]
            look = {one["name"]: one["value"] for one in style}
            size, weight = float(look["font-size"].removesuffix("px")), int(look["font-weight"])
            least = 3.0 if size >= 24 or (size >= 18.66 and weight >= 700) else 4.5
            found = min(contrast(look["color"], colour) for colour in behind["backgroundColors"])
            if found < least:
                html = (await self.ask("DOM.getOuterHTML", nodeId=node))["outerHTML"]
                faint.append(f"{found:.1f} < {least}: {html[:120]}")
        return faint

    async def picture(self) -> bytes:
        """Of the whole page, as PNG."""
        shot = await self.ask("Page.captureScreenshot", captureBeyondViewport=True)
        return base64.b64decode(shot["data"])

    @property
    def hosts(self) -> set[str]:
        """Where it fetched something over the network."""
        return {host for url in self.fetched if (host := urlsplit(url).netloc)}


def contrast(one: str, other: str) -> float:
    """Of two colours, as WCAG 2 defines it."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    """Of rgb(1, 2, 3), as WCAG 2 defines it."""
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
