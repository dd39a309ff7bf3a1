"""`ecosentry status DEVICE`: one device, what is likely wrong with it, and when it is tried again."""

import difflib
import json
from pathlib import Path
from typing import TextIO

from gateway.exit_codes import Exit
from gateway.status import CALM, Plain, asked_of

_STATES = {
    "waiting": "nothing was asked or heard yet", "good": "answers", "failing": "the last try failed",
    "silent": "given up: tried now and then, the others keep their timetable", "unreachable": "its line is lost",
    "maintenance": "gives nothing, and nobody misses it",
}
_UNSPOKEN = "it speaks by itself and has not: it is waited for"


def run_status_device(site_path: Path, device: str, *, as_json: bool, out: TextIO) -> int:
    """Print one device; 0 = well, 1 = not, 2 = there is none of that name, 69 = nothing to ask, 78 = the site file is wrong."""
    answer = asked_of(site_path, "status", out)
    if isinstance(answer, int):
        return answer
    status: Plain = answer[0]  # type: ignore[assignment]
    if not answer[1]:
        print(f"no daemon runs: what {device} does just now is not known.  Start it:  ecosentry run {site_path}", file=out)
        return Exit.UNAVAILABLE
    names = [one["name"] for one in status["devices"]]
    found = next((one for one in status["devices"] if device in (one["name"], f"{one['station']}/{one['name']}")), None)
    if found is None:
        near = difflib.get_close_matches(device, names, 1)
        print(f"no device {device} in the site file that runs; {f'did you mean {near[0]}?' if near else 'there is ' + ', '.join(names)}", file=out)
        return Exit.USAGE
    line = next(one for one in status["lines"] if one["name"] == found["line"])
    print(json.dumps({"format": 1, "device": found, "line": line}, ensure_ascii=False) if as_json else "\n".join(_lines(found, line)), file=out)
    return 0 if found["state"] in CALM else Exit.AMISS


def _lines(found: Plain, line: Plain) -> list[str]:
    means = _UNSPOKEN if found["state"] == "silent" and found["retry_s"] is None else _STATES[found["state"]]
    retry = "" if found["retry_s"] is None else f", next in {found['retry_s']:.0f} s"
    causes = ", ".join(f"{cause} {times}" for cause, times in found["causes"].items())
    age = "no value yet" if found["age_s"] is None else f"last value {found['age_s']:.0f} s ago"
    where = f", {line['where']}" if line["where"] else ""
    lines = [f"{found['station']}/{found['name']}  {found['state']}: {means}{retry}; {age}"]
    lines += [f"  {found['words']}"] if found["words"] else []
    counted = f"  asked or heard {found['polls']} times, {found['late']} left out late, {found['errors']} errors"
    return [*lines, counted + (f": {causes}" if causes else ""),
            f"  line {line['name']} ({line['kind']}{where}): {line['state']}" + (f": {line['words']}" if line["words"] else "")]
