"""The supply of the box, watched through one of its own series: `[power]` of the site file, and the rule that tells people."""

from config.device import Profile
from config.inputs import wired
from config.quantity import vocabulary
from config.site import Power, Rule, Site
from config.site_links import Known
from config.units import Limit

RULE = "power"
"""The name of the rule that comes with the table; a rule of that name in the file goes before it."""


def is_contact(power: Power) -> bool:
    """Is it a contact that says "failed" (1), not a voltage that sinks?"""
    return vocabulary()[power.quantity].behaves == "state"


def rule_of(power: Power) -> Rule:
    """The rule that tells people: yellow as soon as the mains are gone or the battery is low, red before everything stops."""
    of = {"device": power.device, "quantity": power.quantity, "advice": "The gateway sheds what can wait, then stops in good order."}
    if is_contact(power):
        return Rule.model_validate({**of, "above": {"orange": "0.5"}})
    assert power.low is not None and power.critical is not None and power.back is not None  # noqa: PT018 - checked before
    gap = Limit(power.back.figure - power.low.figure, power.low.unit)
    return Rule.model_validate({**of, "below": {"orange": str(power.low), "red": str(power.critical)}, "dead_band": str(gap)})


def check(known: Known, site: Site, profiles: dict[str, Profile]) -> None:
    """Does the series exist, and do its limits make sense? What is wrong is said at its place."""
    power = site.power
    if not power.device:
        if power != Power():
            known.document.complain(("power",), "power has no device", 'add  device = "…": the one that measures the supply')
        return
    if not known.name(("power", "device"), power.device, "devices", site.devices) or power.device not in site.devices:
        return
    device = site.devices[power.device]
    rows = wired(profiles[device.common.profile], device.common.inputs).rows
    name = f"{power.quantity}:{power.channel}" if power.channel else power.quantity
    if name not in rows:
        known.document.complain(("power", "quantity"), f"power: {power.device} does not measure {name}", f"it measures {', '.join(rows)}")
        return
    limits = (("low", power.low), ("critical", power.critical), ("back", power.back))
    if is_contact(power):
        for key, limit in limits:
            if limit is not None:
                known.document.complain(("power", key), f"power.{key}: {power.quantity} is a contact and has no limit", "leave it out")
        return
    for key, limit in limits:
        if limit is None:
            known.document.complain(("power",), f"power has no {key}", f'add  {key} = "…"')
            return
        if limit.unit != vocabulary()[power.quantity].unit:
            known.document.complain(("power", key), f"power.{key} = {limit}: {power.quantity} is measured in {vocabulary()[power.quantity].unit}",
                                    "write that unit", on="value")
            return
    assert power.low is not None and power.critical is not None and power.back is not None  # noqa: PT018 - the loop has seen to it
    if not power.critical.figure < power.low.figure < power.back.figure:
        known.document.complain(("power",), f"power: critical ({power.critical}) < low ({power.low}) < back ({power.back}) does not hold",
                                "it stops at critical and begins again at back")
