"""The key `missing` of rows of profiles: numbers by which a device says that it has no value."""

from typing import Annotated

from pydantic import BeforeValidator


def _several(missing: object) -> object:
    return (missing,) if isinstance(missing, int | float) else missing


Missing = Annotated[tuple[int | float, ...], BeforeValidator(_several)]
"""Numbers that mean "no value": one or a list."""
