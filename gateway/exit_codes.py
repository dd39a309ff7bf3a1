"""What the command ends with. The numbers above 63 are those of BSD's sysexits.h; docs/cli.md lists them for people."""

from enum import IntEnum


class Exit(IntEnum):
    """An exit code that is not 0."""

    AMISS = 1
    """It ran, and something is not as it should be: a device silent, an alert that fires, a scan that nobody answers."""
    USAGE = 2
    """The command line asks for what there is not."""
    UNAVAILABLE = 69
    """The daemon, a device or a server does not answer."""
    BROKEN = 70
    """The core failed, or could not be stopped in time."""
    DISK = 74
    """The journal or the disk failed."""
    POWER = 75
    """The supply is critical; everything is committed."""
    DENIED = 77
    """No permission."""
    CONFIG = 78
    """A file is wrong; starting again would not help."""
    INTERRUPTED = 130
    """Ctrl-C."""
