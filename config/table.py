"""The base of every table that people write: unknown keys are errors, values are frozen."""

from pydantic import BaseModel, ConfigDict


class Table(BaseModel):
    """A table of a site file, a profile or a standard. A plug-in's `Options` is one."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True, arbitrary_types_allowed=False)
