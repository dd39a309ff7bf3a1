"""A console of its own for a test, and one Chromium for all of them."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from canned_view import CannedView
from serving import Served

CHROMIUM = shutil.which("chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]


@pytest.fixture
def serve() -> Iterator[Callable[..., Served]]:
    with ExitStack() as stack:

        def start(view: CannedView, listen: str = "127.0.0.1:0") -> Served:
            served = Served(view, listen)
            stack.callback(served.stop)
            served.start()
            return served

        yield start


@pytest.fixture(scope="session")
def chromium() -> Iterator[object]:
    if CHROMIUM is None:
        pytest.skip("chromium is not installed (Debian: apt install chromium)")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


class Looked:
    """What a page did while it was looked at."""

    def __init__(self, page: object) -> None:
        self.errors: list[str] = []
        self.asked: list[str] = []
        page.on("console", lambda message: self.errors.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda request: self.asked.append(request.url))


@pytest.fixture
def look(chromium) -> Iterator[Callable[..., object]]:
    """Opens a page; `page.looked` tells what it did."""
    with ExitStack() as stack:

        def open_page(address: str, width: int = 1280, scheme: str = "light", locale: str = "en-GB", height: int = 800, **more):
            context = chromium.new_context(
                viewport={"width": width, "height": height}, color_scheme=scheme, locale=locale, timezone_id="Asia/Shanghai", **more
            )
            stack.callback(context.close)
            page = context.new_page()
            page.looked = Looked(page)
            page.goto(address)
            return page

        yield open_page


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything that asks for the browser is marked so."""
    for item in items:
        if Path(__file__).parent in item.path.parents and "chromium" in getattr(item, "fixturenames", ()):
            item.add_marker("browser")
