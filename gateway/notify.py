"""Tells systemd how we are (sd_notify): READY=1, WATCHDOG=1, STOPPING=1, STATUS=…; silent where nobody listens."""

import os
import socket


def notify(*words: str) -> None:
    """Send one message; a name that begins with @ is in the abstract namespace."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
        try:
            out.connect(address)
            out.send("\n".join(words).encode())
        except OSError:
            return  # systemd will notice a missing message by itself; there is nobody else to tell


def listened() -> bool:
    """Systemd listens: we are a service."""
    return bool(os.environ.get("NOTIFY_SOCKET"))


def watchdog_s() -> float | None:
    """How often systemd wants to hear from us; None = it does not."""
    usec = os.environ.get("WATCHDOG_USEC", "")
    return int(usec) / 1e6 if usec.isdigit() and os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid()) else None
