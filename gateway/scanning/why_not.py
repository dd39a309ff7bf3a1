"""Why a scan or a probe could not be done: said, and as an exit code."""

from pathlib import Path
from typing import TextIO

from config.errors import ConfigError, LineError
from gateway.checking.check import print_problems
from gateway.exit_codes import Exit
from gateway.scanning.target import NoTargetError
from gateway.scanning.through_daemon import NoVisitError

NotDone = ConfigError | NoTargetError | NoVisitError | LineError | ValueError
NOT_DONE = (ConfigError, NoTargetError, NoVisitError, LineError, ValueError)


def say_why(error: NotDone, err: TextIO) -> int:
    """Print it; gives the exit code."""
    if isinstance(error, ConfigError):
        print_problems(error, err)
        return Exit.CONFIG
    print(f"the daemon: {error}" if isinstance(error, NoVisitError) else error, file=err)
    if isinstance(error, NoVisitError):
        return Exit.UNAVAILABLE
    if isinstance(error, LineError):
        return Exit.DENIED if "may not be opened" in str(error) else Exit.UNAVAILABLE
    return Exit.USAGE


def refuse_to_overwrite(path: str) -> None:
    """Raises ValueError if there is something already where a file is to be written."""
    if path and Path(path).exists():
        raise ValueError(f"{path} is there already: nothing was done. Give another name, or move it away")
