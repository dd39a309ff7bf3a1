"""How much line time a cycle takes for every shipped Modbus profile: ours against one request a quantity and against merging of
neighbours only; status words count for all three. Computed from the frames, the baud rate, the turnaround and the silence; nothing is measured.

    python benchmarks/planning.py
"""

import json
from importlib.resources import files
from pathlib import Path

from config.find import Found
from config.reading_profile import read_profile
from drivers.blocks import Block, Cost, Want, cost
from drivers.codecs.modbus import MOST
from drivers.driver import Device
from drivers.lines.serial import Options
from drivers.protocols import modbus
from gateway.plugins import KINDS

MANY = 5
"""Quantities from which on a sensor counts as a multi-parameter probe."""
FEW = 8
"""An instrument that does not take requests for so many registers leaves nothing to plan: counted apart."""


def profiles() -> dict:
    """The shipped profiles of protocol modbus by name."""
    folder = Path(str(files("config"))) / "devices"
    read = {path.stem: read_profile(Found(path.stem, str(path), True, path.read_bytes()), KINDS) for path in sorted(folder.glob("*.toml"))}
    return {name: profile for name, profile in read.items() if profile.file.protocol == "modbus"}


def planned(profile) -> tuple[float, list[Want], Cost]:
    """All registers in one cycle: the seconds of the line that ours takes; what is wanted; what requests cost."""
    line = Options(port="none").filled([profile.file.default])
    rows = {name: row.model_copy(update={"interval": None, "priority": None}) for name, row in profile.rows.items()}
    whole = profile.model_copy(update={"rows": rows})
    driver = modbus.Driver(Device("st", "probe", whole, modbus.Options(), line, 1.0))
    words = dict.fromkeys(modbus.want(status) for status in profile.status.values())  # several bits of one register: read once
    wants = [*driver._wants.values(), *words]  # noqa: SLF001 - the benchmark looks inside
    return sum(group.line_time_s for group in driver.groups()), wants, cost(line, profile.timing.turnaround)


def times(profile) -> tuple[float, float, float]:
    """Seconds of the line a cycle: ours, one request a quantity, neighbours merged."""
    spent, wants, price = planned(profile)
    singly = [Block(want.function, want.first, want.count, ()) for want in wants]
    merged = [block for function in sorted({want.function for want in wants})
              for block in neighbours([want for want in wants if want.function == function], min(MOST[function], profile.timing.max_registers))]
    return spent, *(sum(price.of(block.function, block.count) for block in blocks) for blocks in (singly, merged))


def neighbours(wants: list, most: int) -> list[Block]:
    """What most masters do: registers that follow one another are read together, nothing is read over a hole."""
    found: list[Block] = []
    for want in sorted(wants, key=lambda want: (want.first, want.count)):
        last = found[-1] if found else None
        if last is not None and want.first <= last.first + last.count and want.first + want.count - last.first <= most:
            found[-1] = Block(want.function, last.first, max(last.count, want.first + want.count - last.first), ())
        else:
            found.append(Block(want.function, want.first, want.count, ()))
    return found


def main() -> dict:
    """Ratios by profile; those of probes with many quantities together."""
    found = {}
    for name, profile in profiles().items():
        ours, singly, merged = times(profile)
        found[name] = {"quantities": len(profile.rows), "ms": round(1000 * ours, 1), "times_one_each": round(singly / ours, 2),
                       "times_neighbours": round(merged / ours, 2)}
    few = sorted(name for name, profile in profiles().items() if len(profile.rows) >= MANY and profile.timing.max_registers < FEW)
    many = [row for name, row in found.items() if row["quantities"] >= MANY and name not in few]
    return {"profiles": found, "probes_asked_for_few_registers": few, "least_times_one_each": min(row["times_one_each"] for row in found.values()),
            "least_times_neighbours": min(row["times_neighbours"] for row in found.values()),
            "probes_least_times_one_each": min(row["times_one_each"] for row in many),
            "probes_mean_times_one_each": round(sum(row["times_one_each"] for row in many) / len(many), 2)}


if __name__ == "__main__":
    print(json.dumps(main(), indent=1))
