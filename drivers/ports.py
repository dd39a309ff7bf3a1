"""The serial ports of this box by the names that stay: by-id where the adapter has a serial number, else by-path.

udev names an adapter in /dev/serial/by-id by maker, model and serial number. Two CH340 have no serial number and would share
that name, which then leads to either of them; the socket that they are plugged into (by-path) tells them apart.
"""

from dataclasses import dataclass
from pathlib import Path

_PATTERNS = ("ttyUSB*", "ttyACM*", "ttyS*", "ttyAMA*", "ttyO*", "ttymxc*", "ttySC*", "ttyTHS*", "ttyLP*", "ttyFIQ*")
_CHIPS = {("1a86", "7523"): "CH340", ("1a86", "55d4"): "CH9102", ("1a86", "55d3"): "CH343", ("10c4", "ea60"): "CP210x", ("067b", "2303"): "PL2303",
          ("067b", "23a3"): "PL2303", ("0403", "6001"): "FT232", ("0403", "6015"): "FT231X", ("0403", "6010"): "FT2232", ("0403", "6011"): "FT4232"}
"""Vendor and product numbers of common adapters, as the Linux kernel's drivers list them."""


@dataclass(frozen=True, slots=True)
class Port:
    """One serial port."""

    name: str
    """The name to write into a site file."""
    device: str
    """What it leads to now: /dev/ttyUSB0."""
    adapter: str
    """Chip, or maker and model; empty if not known."""
    shares_id: bool = False
    """Its by-id name is not its own: it is named by the socket that it is plugged into."""
    is_console: bool = False
    """The kernel's or the login's console."""


def ports(root: Path = Path("/")) -> list[Port]:
    """Every port that has hardware behind it, sorted by device. `root` is another file system for tests."""
    by_id, by_path = _links(root / "dev/serial/by-id"), _links(root / "dev/serial/by-path")
    devices = sorted({path.name for pattern in _PATTERNS for path in (root / "dev").glob(pattern)}, key=_natural)
    described = {device: _adapter(root, device) for device in devices if _is_real(root, device)}
    numbers = [number for _, number in described.values()]
    consoles = _consoles(root)
    found = []
    for device, (adapter, number) in described.items():
        is_usb = number is not None
        shares = is_usb and (not number[2] or numbers.count(number) > 1) if number is not None else False
        name = (None if shares else by_id.get(device)) or by_path.get(device) or by_id.get(device) or f"/dev/{device}"
        found.append(Port(name, f"/dev/{device}", adapter, shares, device in consoles))
    return found


def _links(folder: Path) -> dict[str, str]:
    """Device → its name in a folder of links."""
    if not folder.is_dir():
        return {}
    return {link.resolve().name: f"/dev/serial/{folder.name}/{link.name}" for link in sorted(folder.iterdir(), reverse=True) if link.is_symlink()}


def _is_real(root: Path, device: str) -> bool:
    """Kernels list ports that a chip could have; those of type 0 have none."""
    kind = _text(root / "sys/class/tty" / device / "type")
    return kind != "0"


def _adapter(root: Path, device: str) -> tuple[str, tuple[str, str, str] | None]:
    """(what it is, for people; vendor, product and serial number of a USB adapter, with its interface)."""
    start = root / "sys/class/tty" / device / "device"
    if not start.exists():
        return "", None
    place = start.resolve()
    interface = ""
    for folder in (place, *list(place.parents)[:4]):
        interface = interface or _text(folder / "bInterfaceNumber")
        vendor, product = _text(folder / "idVendor"), _text(folder / "idProduct")
        if vendor and product:
            written = " ".join(filter(None, (_text(folder / "manufacturer"), _text(folder / "product"))))
            named, serial = _CHIPS.get((vendor, product)) or written or "USB adapter", _text(folder / "serial")
            return named[:60], (vendor, product, f"{serial}:{interface}" if serial else "")
    return "on board", None


def _consoles(root: Path) -> frozenset[str]:
    words = _text(root / "proc/cmdline").split()
    return frozenset(word.removeprefix("console=").partition(",")[0] for word in words if word.startswith("console=tty"))


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", errors="replace").strip()
    except OSError:
        return ""


def _natural(name: str) -> tuple[str, int]:
    digits = name[len(name.rstrip("0123456789")):]
    return name[: len(name) - len(digits)], int(digits or 0)
