"""`ecosentry journal backup`, `refused`, `requeue` and `verify`: what a keeper does with the journal as a whole."""

import json
import math
import sys
import time
from pathlib import Path

from config.site import Site
from gateway.alerts import iso
from gateway.alone import AlreadyRunning, alone
from gateway.control import NoAnswer, ask, socket_path
from gateway.exit_codes import Exit
from gateway.journal.copying import copy_journal
from gateway.journal.progress import Requeue
from gateway.journal.reading import reading
from gateway.journal.records import RefusedRow
from gateway.journal.shelf import FOLDER
from gateway.journal.verifying import Finding
from gateway.journal.verifying import verify as verify_journal
from gateway.journal.writer import Writer


def backup(folder: Path, target: Path, site_path: str) -> int:
    """Copy the journal into a folder and check the copy; says how to restore. Gives the exit code."""
    if not target.is_dir():
        print(f"{target} is no folder; make it, or put the stick in", file=sys.stderr)
        return Exit.USAGE
    file = target / f"ecosentry-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.db"
    if file.exists():
        print(f"{file} is there already", file=sys.stderr)
        return Exit.USAGE
    copy = copy_journal(folder, file)
    if not all(finding.good for finding in copy.found):
        print("\n".join(_lines(copy.found)))
        print("The copy did not pass its check and was not kept; is the journal itself whole?  ecosentry journal verify", file=sys.stderr)
        return Exit.DISK
    print(f"{file}   {file.stat().st_size / 1e6:.1f} MB, checked: {copy.found[2].words}")
    days = f"            cp -r {copy.archives} {folder / FOLDER};\n" if copy.all else ""
    if days:
        print(f"{copy.archives}   {copy.all} sealed files, {copy.new} of them new; the backup needs both")
    print(f"To restore: stop the service; move {folder} away, make it anew (owner and mode as before);\n{days}"
          f"            cp {file} {folder / 'live.db'}; start it again.  Site file and secrets are not in the copy: {site_path}")
    return 0


def refused(folder: Path, sink: str, *, as_json: bool) -> int:
    """List what was refused; 0 = nothing, 1 = something."""
    with reading(folder) as reader:
        if sink and sink not in reader.sinks():
            return _no_such_sink(sink, list(reader.sinks()))
        found = reader.refused(sink)
        rows = reader.rows_of([one.n for one in found])
    about = {n: (str(rows.series[w]), iso(at), value) for n, w, at, value in zip(
        rows.n.tolist(), rows.which.tolist(), rows.at.tolist(), rows.value.tolist(), strict=True)}
    if as_json:
        print(json.dumps({"format": 1, "refused": [_plain(one, about.get(one.n)) for one in found]}, ensure_ascii=False))
    else:
        for one in found:
            series, at, value = about.get(one.n, ("(no longer in the journal)", "", math.nan))
            print(f"{one.sink}  row {one.n}  {series}  {at}  {value:g}  {'will be sent again' if one.words is None else one.words}")
        if not found:
            print("nothing was refused")
    if not as_json and any(one.words is not None for one in found):
        print(f"When the cause is gone:  ecosentry journal requeue {sink or found[-1].sink}", file=sys.stderr)
    return Exit.AMISS if found else 0


def _plain(one: RefusedRow, about: tuple[str, str, float] | None) -> dict[str, object]:
    return {"sink": one.sink, "n": one.n, "series": about and about[0], "at": about and about[1], "refused_at": iso(one.at), "words": one.words,
            "owed": one.words is None}


def requeue(folder: Path, site: Site, sink: str, *, dry_run: bool) -> int:
    """Have it sent again: by the running daemon, else noted for its next start. Gives the exit code."""
    with reading(folder) as reader:
        record = reader.sinks().get(sink)
        known = list(reader.sinks())
    if record is None:
        return _no_such_sink(sink, known)
    if sink not in site.sinks:
        print(f"{sink} is no longer in {site.file}: nothing would send them", file=sys.stderr)
        return Exit.AMISS
    many = f"{record.refused} row{'s' if record.refused != 1 else ''}"
    if dry_run or not record.refused:
        print(f"{many} that {sink} refused would be sent again" if record.refused else f"{sink} has refused nothing")
        return 0
    try:
        answer = ask(socket_path(folder), "requeue", sink=sink)
    except NoAnswer as silent:
        print(silent, file=sys.stderr)
        return Exit.UNAVAILABLE
    if answer is None:
        try:
            with alone(folder) as journal:
                writer = Writer(journal.folder)
                try:
                    with writer.transaction():
                        Requeue(sink).write(writer)
                finally:
                    writer.close()
        except AlreadyRunning as error:
            print(f"{error}; it does not answer", file=sys.stderr)
            return Exit.UNAVAILABLE
    elif not answer:
        print(f"the daemon runs with a site file without {sink}; restart it", file=sys.stderr)
        return Exit.AMISS
    how = "asked the daemon, it goes on" if answer else "no daemon runs: at its next start"
    print(f"{many} that {sink} refused will be sent again ({how}). What it refuses again is set aside again:  ecosentry journal refused {sink}")
    return 0


def verify(folder: Path, *, as_json: bool) -> int:
    """Check the journal; 0 = whole, 1 = not."""
    found = verify_journal(folder)
    good = all(finding.good for finding in found)
    if as_json:
        print(json.dumps({"format": 1, "ok": good, "checks": [{"name": f.name, "ok": f.good, "words": f.words} for f in found]}, ensure_ascii=False))
    else:
        print("\n".join(_lines(found)))
        print("The journal is whole." if good else "The journal is NOT whole. A copy first:  ecosentry journal backup DIR;  then docs/journal.md")
    return 0 if good else Exit.AMISS


def _lines(found: list[Finding]) -> list[str]:
    width = max(len(finding.name) for finding in found)
    return [f"{'ok ' if finding.good else 'BAD'}  {finding.name:<{width}}  {finding.words}" for finding in found]


def _no_such_sink(sink: str, known: list[str]) -> int:
    print(f"the journal knows no sink {sink}; there " + (f"are {', '.join(known)}" if known else "is none"), file=sys.stderr)
    return Exit.USAGE
