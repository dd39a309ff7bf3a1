"""`ecosentry doctor`: is the box right? Looks and changes nothing; red first, each with its repair."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TextIO

from config.errors import ConfigError
from config.reading_site import SiteFile
from gateway.building import journal_folder, load_site
from gateway.control import ask, socket_path
from gateway.doctor import box
from gateway.doctor.finding import Finding, in_order, shown
from gateway.doctor.lines import lines
from gateway.doctor.servers import servers

_FOUND = 1


def run_doctor(path: Path, *, every: bool, as_json: bool, out: TextIO) -> int:
    """`ecosentry doctor`; gives the exit code: 0 nothing is red, 1 something is."""
    found = list(_examined(path))
    if as_json:
        rows = [{"state": one.state, "name": one.name, "words": one.words, "repair": one.repair} for one in in_order(found)]
        told = {"format": 1, "site": str(path), "ok": all(one.state != "red" for one in found), "findings": rows}
        print(json.dumps(told, ensure_ascii=False), file=out)
    else:
        print("\n".join(shown(found, every=every)), file=out)
    return _FOUND if any(one.state == "red" for one in found) else 0


def _examined(path: Path) -> Iterator[Finding]:
    yield from box.python()
    try:
        file = load_site(path)
    except ConfigError as error:
        yield Finding("red", "site file", error.problems[0].what, f"ecosentry check {path}")
        yield box.clock(None)
        return
    yield Finding("ok", "site file", f"{path} can be read")
    yield from _of_site(file)


def _of_site(file: SiteFile) -> Iterator[Finding]:
    folder = journal_folder(file.site)
    yield box.clock(file.site)
    yield from box.disk(folder, file.site.journal.max_size)
    yield from box.journal(folder)
    yield from box.secrets(file.site)
    status, running = _daemon(file, folder)
    yield running
    yield from lines(file, status)
    yield from servers(file)


def _daemon(file: SiteFile, folder: Path) -> tuple[Mapping[str, object] | None, Finding]:
    """What the running daemon says of itself, and whether there is one."""
    socket = socket_path(folder)
    try:
        status = ask(socket, "status")
    except PermissionError:
        return None, Finding("red", "daemon", f"no permission for its control socket {socket}", "sudo usermod -aG ecosentry $USER, then log in again")
    except (OSError, RuntimeError, ValueError) as error:
        return None, Finding("red", "daemon", f"its control socket {socket} does not answer: {error}", "journalctl -u ecosentry -e")
    if not isinstance(status, dict):
        return None, Finding("yellow", "daemon", "is not running", f"sudo systemctl enable --now ecosentry, or  ecosentry run {file.site.file}")
    return status, Finding("ok", "daemon", f"runs since {status.get('since')}, answers at {socket}")
