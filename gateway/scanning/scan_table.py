"""What a scan found, as tables for people; the next command on the last line."""

from collections.abc import Sequence
from typing import TextIO, cast

from drivers.ports import Port
from gateway.scanning.fitting import values_text
from gateway.scanning.listening import Listened
from gateway.scanning.scan_line import Report
from gateway.scanning.site_text import profile_of


def print_ports(heard: Sequence[Listened], written: str, out: TextIO) -> None:
    """Every port, and what speaks on it. `written`: the site file that is written of it, if any."""
    if not heard:
        print("No serial port found. → is the adapter plugged in? another cable: many have no data wires; then  dmesg -w  while plugging", file=out)
        return
    width = max(len(one.port.name) for one in heard)
    for one in heard:
        words = one.words or ("quiet" if one.state == "quiet" else "")
        if one.stream is not None:
            words = f"{one.setting}, {one.stream.times} readings   → {' or '.join(one.stream.profiles)}"
        print(f"{one.port.name:<{width}}  {one.port.adapter:<8}  {words}".rstrip(), file=out)
        if one.stream is not None:
            print(f"    {values_text(one.stream.values)}", file=out)
    shared = [one.port for one in heard if one.port.shares_id]
    if shared:
        print(_shared_words(shared), file=out)
    quiet = next((one.port.name for one in heard if one.state == "quiet"), "")
    follow = ["ecosentry scan --write site.toml"] if any(one.stream for one in heard) and not written else []
    follow += [f"ecosentry scan {quiet}"] if quiet else []
    if follow:
        print(f"Next:  {'    or  '.join(follow)}", file=out)


def _shared_words(shared: Sequence[Port]) -> str:
    kind = shared[0].adapter if len({port.adapter for port in shared}) == 1 else "USB"
    many = f"{len(shared)} {kind} adapters have" if len(shared) > 1 else f"One {kind} adapter has"
    told = "they are told apart" if len(shared) > 1 else "it is named"
    return f"{many} no serial number of their own, so {told} by socket (by-path). Label the sockets now."


def print_report(name: str, report: Report, out: TextIO) -> None:
    """Who answered, for people; the next command on the last line."""
    through = "(asked the daemon, polling goes on)" if report.through == "daemon" else ""
    if report.master:
        print(f"{report.master}. Two masters spoil each other's readings.", file=out)
    elif report.stream is not None:
        profiles = " or ".join(cast("list[str]", report.stream["profiles"]))
        print(f"a sensor speaks by itself here, at {report.stream['setting']}   → {profiles}; nothing was sent", file=out)
        print(f"    {values_text(cast('dict[str, float]', report.stream['values']))}", file=out)
    elif report.foreign:
        print(f"{report.foreign}. Nothing was sent. → another setting?  ecosentry scan {name} --anyway  asks all the same", file=out)
    elif report.found:
        _print_found(name, report, out)
    elif not report.whole:
        print("no answer so far", file=out)
    else:
        print(_nothing(name, report), file=out)
    if report.refused:
        print(f"this port cannot be set to {', '.join(report.refused)}: not asked there", file=out)
    if report.known:
        print("not asked, in the site file: " + ", ".join(f"{device} ({address})" for device, address in report.known.items()), file=out)
    if through:
        print(through, file=out)
    if not report.whole:
        print("This is not whole: it was broken off.", file=out)


def _print_found(name: str, report: Report, out: TextIO) -> None:
    rows = [["address", "setting", "looks like", "first values"]]
    for entry in report.found:
        fits = cast("list[dict[str, object]]", entry.get("looks_like") or [])
        address = str(entry["address"] or entry["protocol"])
        if fits:
            best = fits[0]
            looks = f"{best['profile']} ({best['fits']} of {best['of']} plausible)" + (", recognised" if best["recognised"] else ", a guess")
            values = values_text({k: v for k, v in cast("dict[str, float | None]", best["values"]).items() if v is not None})
        else:
            unknown = f"nothing known; {entry['answers']}" if report.whole else f"{entry['answers']}, not compared yet"
            looks = str(entry.get("who") or profile_of(entry) or unknown)
            values = f"→ ecosentry probe {name} {address}" if entry["protocol"] == "modbus" else ""
        rows.append([address, str(entry["setting"]), looks, values])
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    for row in rows:
        print("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip(), file=out)


def _nothing(name: str, report: Report) -> str:
    asked = f"at {', '.join(one for one in report.settings if one)}" if any(report.settings) else ""
    if report.spoilt:
        return (f"Bytes came at {report.spoilt_at or 'this setting'}, none with a right checksum: another baud rate or parity, "
                f"or two devices with one address. → {_more(name, report)}")
    return (f"No answer {asked}. → 1 power of the instruments  2 A and B exchanged: change them over, nothing breaks  "
            f"3 other settings: {_more(name, report)}").replace("  →", " →")


def _more(name: str, report: Report) -> str:
    return f"ecosentry scan {name} --all" + (", with the daemon stopped" if report.through == "daemon" else "")
