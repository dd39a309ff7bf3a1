"""Takes a picture of the console with invented but realistic data, such as docs/console.png.

take_screenshot.py FILE [WIDTHxHEIGHT] [light|dark] [en|zh] [full]
"""

import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from canned_view import realistic
from playwright.sync_api import sync_playwright

from gateway.console.server import ConsoleServer


def take(file: str, size: str = "1280x800", scheme: str = "light", language: str = "en", full: str = "") -> None:
    width, height = map(int, size.split("x"))
    stop = threading.Event()
    server = ConsoleServer(realistic(), "127.0.0.1:0", "0.1.0")
    thread = threading.Thread(target=server.run, args=(stop,))
    thread.start()
    server.bound.wait(10)
    try:
        with sync_playwright() as playwright:
            flags = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
            browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=flags)
            seen = {"viewport": {"width": width, "height": height}, "color_scheme": scheme, "timezone_id": "Asia/Shanghai"}
            page = browser.new_context(**seen).new_page()
            page.on("console", lambda message: print(message.type, message.text))
            page.on("pageerror", lambda error: print("error", error))
            page.goto(f"{server.address}/?lang={language}")
            page.wait_for_selector(".curve")
            page.wait_for_timeout(1500)
            page.screenshot(path=file, full_page=bool(full))
            browser.close()
    finally:
        stop.set()
        thread.join()


if __name__ == "__main__":
    take(*sys.argv[1:])
