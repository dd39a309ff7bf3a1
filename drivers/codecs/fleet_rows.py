"""What one EcoSentry tells another: rows of its journal in columns, as JSON. Shared by the sink of the leaf and the driver of the hub."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from config.errors import Undecodable

TOPIC = "ecosentry/fleet/{station}"
"""Where the rows of a station go, unless said otherwise."""
_MOST_ROWS = 5000
_WHOLE = 2**63 - 1
Text = Annotated[str, Field(max_length=256)]
Octet = Annotated[int, Field(ge=0, le=255)]
Whole = Annotated[int, Field(ge=0, le=_WHOLE)]


class FleetRows(BaseModel):
    """One message: all columns have length n. A key that is not known is left alone, so that a newer leaf is understood."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True, allow_inf_nan=False)

    fleet: Literal[1] = 1
    journal: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    station: Text
    after: Whole | None
    """Number of the row of this station that was sent before these; null = not known since the leaf was started."""
    owed: bool = False
    """These are sent again out of their order, because they were refused the first time."""
    series: Annotated[list[tuple[Text, Text, Text]], Field(max_length=_MOST_ROWS, strict=False)]
    """Device, quantity, channel."""
    n: Annotated[list[Whole], Field(min_length=1, max_length=_MOST_ROWS)]
    """Arrival numbers in the leaf's journal, rising."""
    which: list[Whole]
    """Place in `series`."""
    at: list[Annotated[int, Field(ge=-_WHOLE, le=_WHOLE)]]
    """UTC ns, end of the interval."""
    span: list[Whole]
    value: list[float | None]
    """Calibrated, in the quantity's unit; null = missing."""
    flag: list[Octet]
    reason: list[Octet]
    origin: list[Octet]

    @model_validator(mode="after")
    def _is_table(self) -> Self:
        lengths = {len(column) for column in (self.n, self.which, self.at, self.span, self.value, self.flag, self.reason, self.origin)}
        if len(lengths) != 1:
            raise ValueError("its columns are not of one length")
        if max(self.which) >= len(self.series):
            raise ValueError("which leads beyond series")
        if any(later <= earlier for earlier, later in zip(self.n, self.n[1:], strict=False)):
            raise ValueError("n does not rise")
        return self


def read(payload: bytes) -> FleetRows:
    """The rows of a message. Raises Undecodable in words."""
    try:
        return FleetRows.model_validate_json(payload)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise Undecodable(f"not rows of another EcoSentry: {where + ': ' if where else ''}{first['msg']}") from None
