"""`ecosentry journal`: its words, their options, and what every one of them needs first. Each imports only what it uses."""

import argparse
from collections.abc import Callable
from pathlib import Path

from gateway.command_words import json_option, site_option

Run = Callable[[argparse.Namespace], int]


def add_journal_words(journal: argparse.ArgumentParser, site_path: Callable[[argparse.Namespace], str]) -> None:
    """Hang the words under `ecosentry journal`; `site_path` says which site file is meant."""
    words = journal.add_subparsers(dest="journal_word", metavar="WORD", required=True)

    def word(name: str, line: str, example: str) -> argparse.ArgumentParser:
        one = words.add_parser(name, help=line, description=line, epilog=f"for example:  {example}",
                               formatter_class=argparse.RawDescriptionHelpFormatter)
        site_option(one)
        one.set_defaults(run=lambda args: _run(args, site_path(args)), site=None)
        return one

    show = word("show", "The newest rows of a series", "ecosentry journal show qinghe/probe/ph --last 20")
    show.add_argument("series", nargs="*", metavar="SERIES", help="station/device/quantity from the left, or a device; left out = all")
    show.add_argument("--last", type=int, default=10, metavar="N", help="so many rows (default 10)")
    json_option(show)
    export = word("export", "Rows as CSV or Parquet on stdout", "ecosentry journal export --from 2026-10-01 --to 2026-11-01 > october.csv")
    export.add_argument("series", nargs="*", metavar="SERIES", help="station/device/quantity from the left, or a device; left out = all")
    export.add_argument("--from", dest="since", metavar="TIME", help="date or time at the station, or ISO with offset; rows that begin then or later")
    export.add_argument("--to", dest="until", metavar="TIME", help="rows that begin before")
    export.add_argument("--since", dest="ago", metavar="DURATION", help="instead of --from: the last 7d, 12h …")
    export.add_argument("--bom", action="store_true", help="begin with a byte order mark, so that Excel sees that it is UTF-8")
    export.add_argument("--format", choices=("csv", "parquet"), default="csv", help="parquet needs the extra package pyarrow")
    for parser in (show, export):
        parser.add_argument("--what", choices=("raw", "1h", "day", "24h", "all"), default="raw",
                            help="as measured (default), hourly, daily (day or 24h), or all")
    backup = word("backup", "A checked copy of the journal; the daemon goes on", "ecosentry journal backup /media/usb")
    backup.add_argument("folder", metavar="FOLDER", help="where the copy goes")
    refused = word("refused", "Rows that a sink will never take, with its words", "ecosentry journal refused influx")
    refused.add_argument("sink", nargs="?", default="", metavar="SINK", help="only of this sink")
    json_option(refused)
    requeue = word("requeue", "Send again what a sink refused", "ecosentry journal requeue influx")
    requeue.add_argument("sink", metavar="SINK", help="the sink whose rows are to be sent again")
    requeue.add_argument("--dry-run", action="store_true", help="only say what would be done")
    json_option(word("verify", "Is the journal whole: pages, events, rows, the alert log's chain, every sum", "ecosentry journal verify"))


def _run(args: argparse.Namespace, path: str) -> int:
    """Find the journal of the site and do the word; gives the exit code."""
    from gateway.building import journal_folder, load_site
    from gateway.journal.reading import look
    from gateway.journal_words.why_not import NO_LOOK, say_why

    try:
        site = load_site(Path(path)).site
        folder = journal_folder(site)
        look(folder)
        if args.journal_word in ("show", "export"):
            from gateway.journal_words import export

            return export.export(args, site, folder) if args.journal_word == "export" else export.show(args, site, folder)
        from gateway.journal_words import care

        if args.journal_word == "backup":
            return care.backup(folder, Path(args.folder), path)
        if args.journal_word == "refused":
            return care.refused(folder, args.sink, as_json=args.json)
        if args.journal_word == "requeue":
            return care.requeue(folder, site, args.sink, dry_run=args.dry_run)
        return care.verify(folder, as_json=args.json)
    except NO_LOOK as error:
        return say_why(error)
