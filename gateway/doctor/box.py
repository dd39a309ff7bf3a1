"""Is the box itself right: Python and what it loads, the clock, the disk under the journal, the journal on it."""

import importlib.util
import os
import platform
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from config.find import ETC
from config.site import Site
from gateway.checking.forecast import secret_names
from gateway.clock import RELEASED_NS, synchronised
from gateway.doctor.finding import Finding
from gateway.journal.reading import NoJournal, NoRight, look
from gateway.journal.verifying import quick
from gateway.journal.writer import JournalError
from gateway.secrets import Secrets

OURS = ("analytics", "config", "drivers", "gateway")
_NEEDED_BYTES = 300_000_000
_IN_MEMORY = {"tmpfs", "ramfs", "devtmpfs"}
_SHARES = {"nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "ceph", "glusterfs"}
_SPACE = chr(92) + "040"
"""A blank in a path, as mountinfo writes it."""
_SIMPLE = {"vfat", "exfat", "msdos", "ntfs", "ntfs3", "fuseblk"}


def python() -> Iterator[Finding]:
    """Version, kernels, and that our packages are ours."""
    from analytics.kernels._kernel import ENGINE

    yield Finding("ok", "python", f"{platform.python_version()} on {platform.machine()}")
    if ENGINE == "numba":
        yield Finding("ok", "numba", "kernels are compiled")
    else:
        yield Finding("yellow", "numba", "kernels run as plain Python: right, and some ten times slower", "sudo make install, on x86_64 or aarch64")
    yield from shadows(OURS, Path(__file__).resolve().parents[2])


def shadows(names: Sequence[str], home: Path) -> Iterator[Finding]:
    """Are these packages the ones that lie in `home`? Their names are common words."""
    others = []
    for name in names:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None or Path(spec.origin).resolve().parents[1] != home:
            others.append(f"{name} is {spec.origin if spec else 'not there'}")
    if others:
        yield Finding("red", "packages", f"{'; '.join(others)}, and not the one in {home}",
                      "start the command elsewhere, without PYTHONPATH; or take the other package away")
    else:
        yield Finding("ok", "packages", f"{', '.join(names)} are ours, in {home}")


def clock(site: Site | None, *, is_synchronised: bool | None = None, rtc: Path = Path("/dev/rtc0")) -> Finding:
    """Can the box's time be believed?"""
    repair = "sudo timedatectl set-ntp true; without network, a GPS or an RTC"
    if time.time_ns() < RELEASED_NS:
        return Finding("red", "clock", "shows a time before this software was made: readings are held until it is right", repair)
    if synchronised() if is_synchronised is None else is_synchronised:
        return Finding("ok", "clock", "synchronised")
    if site is not None and site.clock.trust == "synchronised":
        return Finding("red", "clock", "not synchronised, and the site file trusts no other: readings are held until it is", repair)
    battery = "" if rtc.exists() else ", and there is no battery clock (RTC): after a power cut it goes wrong"
    return Finding("yellow", "clock", f"not synchronised{battery}", repair)


# ── the journal's disk ──
def disk(folder: Path, most: int, mounts: str | None = None) -> Iterator[Finding]:
    """The file system under the journal, and its room. `mounts` is /proc/self/mountinfo."""
    place = next(path for path in (folder, *folder.parents) if path.exists())
    kind, options = file_system(place, Path("/proc/self/mountinfo").read_text("utf-8") if mounts is None else mounts)
    elsewhere = 'a folder on a disk of this box:  [journal] path = "…"'
    if "ro" in options:
        yield Finding("red", "disk", f"{place} is mounted read-only: nothing can be kept", "sudo mount -o remount,rw; dmesg tells why it became so")
    elif kind in _IN_MEMORY:
        yield Finding("red", "disk", f"{place} lies in memory ({kind}): a power cut takes all of it", elsewhere)
    elif kind in _SHARES:
        yield Finding("red", "disk", f"{place} is a network share ({kind}), on which what was acknowledged may be lost", elsewhere)
    elif kind in _SIMPLE:
        yield Finding("yellow", "disk", f"{place} is {kind}, which a power cut can damage as a whole", "ext4")
    elif kind == "overlay":
        yield Finding("yellow", "disk", f"{place} is an overlay: in a container, or where the system is read-only, it may forget", elsewhere)
    else:
        yield Finding("ok", "disk", f"{place} is {kind}")
    yield _room(place, folder, most)


def file_system(place: Path, mounts: str) -> tuple[str, frozenset[str]]:
    """Kind and options of what is mounted where a path lies.

    >>> file_system(Path("/srv/journal"), "1 0 8:1 / / rw,noatime - ext4 /dev/sda1 rw")[0]
    'ext4'
    """
    best, found = "", ("unknown", frozenset[str]())
    for line in mounts.splitlines():
        left, _, right = line.partition(" - ")
        before, after = left.split(), right.split()
        if len(before) < 6 or len(after) < 3:
            continue
        where = before[4].replace(_SPACE, " ")
        if len(where) >= len(best) and (place.resolve() == Path(where) or Path(where) in place.resolve().parents):
            best, found = where, (after[0], frozenset(before[5].split(",")) | frozenset(after[2].split(",")))
    return found


def _room(place: Path, folder: Path, most: int) -> Finding:
    free = shutil.disk_usage(place).free
    used = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) if folder.is_dir() and os.access(folder, os.R_OK | os.X_OK) else 0
    said = f"{free / 1e9:.1f} GB free, the journal has {used / 1e9:.1f} of at most {most / 1e9:g} GB"
    if free < _NEEDED_BYTES:
        return Finding("red", "room", said, "make room: sudo apt clean; sudo journalctl --vacuum-size=200M; old files")
    if used + free < most:
        return Finding("yellow", "room", f"{said}: the disk is full before the journal is", "a smaller max_size in [journal], or a larger disk")
    return Finding("ok", "room", said)


def journal(folder: Path) -> Iterator[Finding]:
    """Is it there, may we look, is it whole?"""
    try:
        look(folder)
        for one in quick(folder):
            name = f"journal {one.name}"
            yield Finding("ok", name, one.words) if one.good else Finding("red", name, one.words, "ecosentry journal verify; docs/journal.md")
    except NoJournal:
        yield Finding("ok", "journal", f"none yet in {folder}; the daemon makes it")
    except NoRight as error:
        yield Finding("yellow", "journal", str(error), "sudo ecosentry doctor")
    except JournalError as error:
        yield Finding("red", "journal", str(error), "ecosentry journal verify; docs/journal.md")


# ── secrets ──
def may_see_secrets() -> bool:
    """Only root may look into the service's folder of secrets."""
    folder = ETC / "secrets"
    try:
        return not folder.exists() or os.access(folder, os.R_OK | os.X_OK)
    except PermissionError:
        return False


def secrets(site: Site) -> Iterator[Finding]:
    """Every secret that the site file names is there, and for its owner only."""
    tables = [part.options for section in (site.lines, site.channels, site.sinks) for part in section.values()]
    names = list(dict.fromkeys(name for table in tables for name in secret_names(table)))
    if not names:
        return
    if not may_see_secrets():
        yield Finding("yellow", "secrets", f"only root may look into {ETC / 'secrets'}", "sudo ecosentry doctor")
        return
    from config.errors import Halted

    found = Secrets(site.file)
    for name in names:
        try:
            found(name)
        except Halted as error:
            words, _, repair = str(error).partition(". → ")
            yield Finding("red", f"secret {name}", words, repair or f"sudo install -m 600 /dev/stdin {ETC / 'secrets' / name}")
        else:
            yield Finding("ok", f"secret {name}", "is there, for its owner only")
