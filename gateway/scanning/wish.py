"""What the user wants of a scan, and which of it cannot be where."""

from dataclasses import dataclass

from gateway.scanning.scan_job import LISTEN_S


@dataclass(frozen=True, slots=True)
class Wish:
    """What the user wants of a scan."""

    everything: bool = False
    """All settings, all addresses."""
    baudrate: int | None = None
    format: str = ""
    addresses: str = ""
    first: bool = False
    """Stop at the first that answers."""
    anyway: bool = False
    """Ask although bytes are heard that cannot be understood."""
    answer_s: float = 0.0
    """0 = as long as is usual."""
    listen_s: float = LISTEN_S

    def of_the_port(self) -> list[str]:
        """The options that were given and mean a port which the command has to itself."""
        return _given({"--all": self.everything, "--baudrate": self.baudrate is not None, "--format": bool(self.format), "--anyway": self.anyway})

    def of_the_questions(self) -> list[str]:
        """The options that were given and mean what is asked."""
        return _given({"--addresses": bool(self.addresses), "--first": self.first, "--answer": bool(self.answer_s)})


def _given(options: dict[str, bool]) -> list[str]:
    return [name for name, is_given in options.items() if is_given]


def refuse_at_daemon(options: list[str], line: str, setting: str) -> None:
    """Raises ValueError for options that choose what the daemon does not change: it asks on at the line's own setting."""
    if options:
        at = f", {setting}" if setting else ""
        raise ValueError(f"{', '.join(options)}: not while the daemon polls line {line}, for it asks at the line's own setting{at}, and only where "
                         f"nobody else does. Leave {'it' if len(options) == 1 else 'them'} out, or stop the daemon first")


def refuse_without_port(options: list[str], line: str, kind: str) -> None:
    """Raises ValueError for options of a serial port where there is none."""
    if options:
        raise ValueError(f"{', '.join(options)}: line {line} is of kind {kind} and has no baud rate and no format. "
                         f"Leave {'it' if len(options) == 1 else 'them'} out")


def refuse_without_name(options: list[str]) -> None:
    """Raises ValueError for options of a scan of one port where all are only listened to."""
    if options:
        raise ValueError(f"{', '.join(options)}: without a port nothing is asked. Name one:  ecosentry scan LINE|PORT {options[0]}")
