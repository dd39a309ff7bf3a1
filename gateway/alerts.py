"""The life of an alert as people see it: raised, climbed, fell, ended. Written with the readings that caused it."""

import hashlib
import math
from collections.abc import Callable
from datetime import datetime
from zoneinfo import ZoneInfo

from analytics.kernels.rules import CLIMBED, ENDED, FELL, RAISED
from analytics.rules import Transition
from analytics.state import State
from analytics.station_indices import mean_judged
from analytics.station_inputs import law_at
from analytics.station_standing import limit_for, report_of, standing, verified
from config.quantity import vocabulary
from config.series import Series
from config.site import Severity, Site
from config.standard import Standard
from config.units import Limit
from gateway.alert_figures import class_name, compared, duration, limit_of, mean_judged_s, shown, source_of
from gateway.contracts import Notice
from gateway.journal import alert_tables
from gateway.journal.progress import FULL, MOVED, THINNED, JournalSays, SinkSays, refusals
from gateway.journal.writer import Writer
from gateway.spelling import in_one_line
from gateway.subscriptions import Concern, recipients
from gateway.wiring import Plan, Watch

KINDS = {RAISED: "alert.raised", CLIMBED: "alert.climbed", FELL: "alert.fell", ENDED: "alert.ended"}
_SINKS_BEGIN = -(1 << 40)
"""Alerts of sinks count downwards from here: those of the step count upwards from 1."""
_OF_SINKS = ("sink_halted", "sink_away", "sink_spent")
REFUSED = "sink_refused"
_REFUSED_CALM_NS = 86_400 * 10**9
JOURNAL = "journal"
_OF_JOURNAL = {THINNED: Severity.YELLOW, FULL: Severity.RED, MOVED: Severity.RED}
SILENT = "device_silent"
"""The rule that is always on: a device gives nothing for three of its periods."""


_ADVICE = {"sink_halted": "Login, name, right or certificate: the words say which. Nothing is lost; the rows wait in the journal.",
           "sink_away": "Network, server? Nothing is lost; the rows wait in the journal.",
           THINNED: "Make room on the disk, or raise max_size. Hourly and daily values, gaps and alerts stay.",
           FULL: "Make room: nothing is acknowledged until then, senders keep theirs, of polled readings the newest are kept in memory.",
           MOVED: "Stop the daemon before you touch its journal; docs/journal.md tells what to do now.",
           REFUSED: "Put right what the words say, then: ecosentry journal requeue. The rows stay in the journal.",
           "sink_spent": "Raise bytes_per_day or send_every, or wait: nothing is lost, the rows wait in the journal."}


def iso(ns: int, zone: str = "UTC") -> str:
    """A time for people and programs: ISO 8601 with milliseconds and offset."""
    return datetime.fromtimestamp(ns / 1e9, ZoneInfo(zone)).isoformat(timespec="milliseconds")


class Alerts:
    """Turns transitions of the step into alerts, log entries and messages."""

    def __init__(self, site: Site, journal_id: str, words_of: Callable[[str], str] = lambda device: "") -> None:
        """`words_of`: why a device gives nothing, as its line sees it just now."""
        self._site = site
        self._words_of = words_of
        self._journal_id = journal_id[:8]

    def write(self, writer: Writer, event: int, plan: Plan, watches: list[Watch], transitions: list[Transition], state: State) -> list[str]:
        """Journal what happened; gives one line a transition for the log. `state` is that after it."""
        return [self._one(writer, event, plan, watches, t, state) for t in transitions]

    def _one(self, writer: Writer, event: int, plan: Plan, watches: list[Watch], t: Transition, state: State) -> str:
        if t.watch >= 0:
            watch = watches[t.watch]
            series, rule = writer.series[watch.series], watch.name
            raised_at = None if t.kind in (RAISED, CLIMBED) else alert_tables.raised_at(writer, t.alert, t.before)
            if watch.by_law:
                mean = mean_judged(plan.indices, state, watch.series, watch.by_law, t.at)
                facts = self._facts_of_limit(series, watch, t, mean, raised_at)
                series = series._replace(quantity=watch.by_law, channel="")
            else:
                facts = self._facts(series, watch, t, mean_judged_s(plan, watch, t), raised_at)
            if t.late and t.kind in (RAISED, CLIMBED):
                facts["what"] = f"{facts['what']}, found late: of {iso(t.at, self._zone(series))[:16]}"
        else:
            station, _, device = plan.layout.keys["device"][t.device].partition("/")
            series, rule = Series(station, device, ""), SILENT
            where = self._where(device)
            what = f"{station}/{device} " + ("gives values again" if t.kind == ENDED else "gives no value") + (f" ({where})" if where else "")
            why = "" if t.kind == ENDED else self._words_of(device)
            facts = {"what": f"{what}: {in_one_line(why)}" if why else what, "advice": "" if t.kind == ENDED or why else "Power? Cable? Address?"}
        return self.tell(writer, event, series, watches[t.watch].series if t.watch >= 0 else -1, rule, t, facts)

    def _where(self, device: str) -> str:
        known = self._site.devices.get(device)
        line = self._site.lines.get(known.common.line) if known else None
        return line.common.where if line else ""

    def _facts(self, series: Series, watch: Watch, t: Transition, mean_s: float, raised_at: float | None) -> dict[str, object]:
        known, rule = vocabulary()[series.quantity], watch.rule
        rises = t.kind in (RAISED, CLIMBED)
        limit = limit_of(watch, t.severity if rises else t.before)
        law = self._law(series, t.at)
        mean = f"mean {duration(mean_s)} " if mean_s else ""
        what = f"{series} {mean}{compared(t.value, limit, known.decimals + 1, rises=rises, below=watch.below, raised_at=raised_at)}"
        if rule.worse_than:
            what = f"{series} {class_name(t.value)} {'worse than' if rises else 'no longer worse than'} {class_name(limit.value)}"
        if law:
            what += f" ({source_of(law)})"
        return {"what": what, "value": t.value, "limit": limit.value if raised_at is None else raised_at, "unit": known.unit,
                "mean_s": mean_s, "side": "below" if watch.below else "above", "advice": rule.advice,
                "source": rule.source or (law.number if law else ""),
                "label": {"en": known.en, "zh": known.zh}, **self._standing(series, t.at, t.value, law)}

    def _facts_of_limit(self, series: Series, watch: Watch, t: Transition, mean: float | None, raised_at: float | None) -> dict[str, object]:
        """Of a limit of the law: the value in its own unit, and the limit for this station and time where time and place alone decide it."""
        known, rule, law = vocabulary()[watch.by_law], watch.rule, self._law(series, t.at)
        station = self._site.stations.get(series.station)
        found = limit_for(station, series, watch.by_law, t.at) if station else None
        rises = t.kind in (RAISED, CLIMBED)
        report = report_of(series)
        named = f"{series.station}/{watch.by_law} {report.report if report else ''}".rstrip()
        own: dict[str, object] = {}
        if found is None:
            edge, unit = limit_of(watch, t.severity if rises else t.before), vocabulary()[series.quantity].unit
            value, limit = t.value, edge.value
            said = None if mean is None else round(mean, known.decimals + 1)
            own = {"measured": said, "measured_unit": known.unit}
            mean_of = "" if said is None else f" {said} {known.unit}".removesuffix(" 1") + ":"
            what = f"{named}{mean_of} {compared(value, edge, 3, rises=rises)} of its limit"
        else:
            unit, edge = known.unit, Limit(found, known.unit)
            exact = t.value * edge.value if series.quantity.endswith("multiple") else t.value + edge.value
            value, limit = shown(round(exact, 9), edge.value, known.decimals + 1), edge.value if raised_at is None else raised_at
            what = f"{named} {compared(round(exact, 9), edge, known.decimals + 1, rises=rises, raised_at=raised_at)}"
        what += f" ({source_of(law)})" if law else ""
        standing_of = {"standard": law.name, "verified": law.marks(), "category": None, "category_colour": None} if law else {}
        return {"what": what, "value": value, "limit": limit, "unit": unit, **own, "mean_s": float(series.period_s), "side": "above",
                "advice": rule.advice, "source": rule.source or (law.number if law else ""), "label": {"en": known.en, "zh": known.zh}, **standing_of}

    def _law(self, series: Series, end_ns: int) -> Standard | None:
        """The edition by which a series was computed; None for what was measured."""
        return law_at(series.method, end_ns, self._zone(series)) if series.method else None

    def _zone(self, series: Series) -> str:
        station = self._site.stations.get(series.station)
        return station.time_zone if station else "UTC"

    def _standing(self, series: Series, end_ns: int, value: float, law: Standard | None) -> dict[str, object]:
        """Category and standard of a computed number."""
        if law is None:
            return {}
        zone = self._zone(series)
        row = standing(series, value, end_ns, zone)
        return {"standard": law.name, "verified": verified(series, end_ns, zone), "category": {"en": row.en, "zh": row.zh} if row else None,
                "category_colour": row.colour if row else None}

    def tell(
        self, writer: Writer, event: int, series: Series, series_id: int, rule: str, t: Transition, facts: dict[str, object],
    ) -> str:
        """Journal one transition and put it into the outbox of everyone it concerns; gives one line for the log."""
        kind = KINDS[t.kind]
        zone = self._zone(series)
        known = alert_tables.alert(writer, t.alert)
        if known is None:
            day = datetime.fromtimestamp(t.at / 1e9, ZoneInfo(zone)).strftime("%m%d")
            key = alert_tables.raise_alert(writer, t.alert, day, rule, series_id, t.severity, t.at, {**facts, "series": list(series[:4])})
            since, worst = t.at, t.severity
        else:
            key, since, worst = known.key, known.since, max(known.worst, t.severity)
            alert_tables.change_alert(writer, t.alert, t.severity, t.at if t.kind == ENDED else None)
        number = alert_tables.log_alert(writer, t.alert, event, t.at, kind, t.severity, facts)
        technical = t.watch < 0 or (series.quantity in vocabulary() and vocabulary()[series.quantity].medium == "technical")
        data = {"alert": key, "no": number, "rule": rule, "about": "technical" if technical else "environment", "worst": worst,
                "since": iso(since, zone), **self._about(series, t, zone), **facts}
        line = f"{kind.removeprefix('alert.').upper():8} {data['colour']:6} {facts['what']}  #{key}"
        for recipient in recipients(self._site, Concern(series, technical, worst, of_the_box=t.alert < 0)):
            tail = hashlib.sha256(recipient.encode()).hexdigest()[:8]
            alert_tables.post(writer, recipient, Notice(f"es_{self._journal_id}_{t.alert}_{number}_{tail}", t.at, kind, line, data))
        return line

    def _about(self, series: Series, t: Transition, zone: str) -> dict[str, object]:
        """What a message says of its station, its series and the step."""
        station = self._site.stations.get(series.station)
        return {
            "state": "ended" if t.kind == ENDED else "firing", "series": str(series), "station": series.station,
            "station_name": station.name if station else "", "area": station.area if station else "",
            "latitude": station.latitude if station else None, "longitude": station.longitude if station else None,
            "device": series.device, "quantity": series.quantity, "channel": series.channel,
            "colour": Severity(t.severity or t.before).colour, "severity": t.severity, "previous": t.before, "at": iso(t.at, zone),
        }

    def unwritten(self, since_ns: int, now_ns: int, words: str) -> list[tuple[str, Notice]]:
        """(recipient, notice): the journal can be written no more, or with empty words again. In no journal, so it has no number there."""
        series, number = Series(next(iter(self._site.stations)), JOURNAL, ""), 1 if words else 2
        zone, red = self._zone(series), int(Severity.RED)
        t = Transition(-1, 0 if words else -1, RAISED if words else ENDED, red if words else 0, 0 if words else red, now_ns, math.nan, 0, -1)
        key = f"journal-{since_ns // 10**9}"
        what = f"journal: {words}" if words else "journal: it can be written again"
        data = {"alert": key, "no": number, "rule": "journal_unwritable", "about": "technical", "worst": red, "since": iso(since_ns, zone),
                **self._about(series, t, zone), "what": what, "advice": _ADVICE[FULL] if words else ""}
        kind = KINDS[t.kind]
        line = f"{kind.removeprefix('alert.').upper():8} {data['colour']:6} {what}  #{key}"
        return [(to, Notice(f"es_{self._journal_id}_{key}_{number}_{hashlib.sha256(to.encode()).hexdigest()[:8]}", now_ns, kind, line, data))
                for to in recipients(self._site, Concern(series, True, red, of_the_box=True))]

    def skipped(self, writer: Writer, event: int, now_ns: int, skipped: int) -> str:
        """Raise an alert: readings that ended the process again and again stay unjudged."""
        what = f"the readings of event {skipped} ended the process again and again; they are kept, not evaluated"
        raised = Transition(-1, 0, RAISED, Severity.YELLOW, 0, now_ns, math.nan, -skipped, -1)
        station = next(iter(self._site.stations))
        return self.tell(writer, event, Series(station, "", ""), -1, "event_skipped", raised,
                         {"what": what, "advice": "Send the log of the last starts to the developers."})

    def of_sink(self, writer: Writer, event: int, now_ns: int, says: SinkSays) -> list[str]:
        """What a sink says of itself is an alert, or the end of one: at most one of each sink fires, beside that of what it refuses.

        It ends when the sink is well, or when something else is wrong: a store that is away does not end that it needs a human.
        """
        known = alert_tables.firing_of(writer, says.sink, _SINKS_BEGIN, _OF_SINKS)
        if (known.rule if known else "") == says.alert or not (says.alert or says.state == "ok"):
            return []
        series = Series(next(iter(self._site.stations)), says.sink, "")
        lines = []
        if known:
            ended = Transition(-1, -1, ENDED, 0, known.severity, now_ns, math.nan, known.id, -1)
            what = f"sink {says.sink}: {in_one_line(says.words) or 'all is well again'}"
            lines.append(self.tell(writer, event, series, -1, known.rule, ended, {"what": what}))
        if says.alert:
            number = min(_SINKS_BEGIN, alert_tables.lowest(writer)) - 1
            raised = Transition(-1, 0, RAISED, Severity.YELLOW, 0, now_ns, math.nan, number, -1)
            facts: dict[str, object] = {"what": f"sink {says.sink}: {in_one_line(says.words)}", "advice": _ADVICE.get(says.alert, "")}
            lines.append(self.tell(writer, event, series, -1, says.alert, raised, facts))
        return lines

    def of_refusals(self, writer: Writer, event: int, now_ns: int, sink: str, refused: int) -> list[str]:
        """That a sink will not take rows (`refused` of them just now) is an alert, until none is set aside or for a day none was."""
        known = alert_tables.firing_of(writer, sink, _SINKS_BEGIN, (REFUSED,))
        if refused if known else not refused:
            return []
        aside, series = refusals(writer, sink), Series(next(iter(self._site.stations)), sink, "")
        if known:
            if aside and now_ns - max(aside.at, known.since) < _REFUSED_CALM_NS:
                return []
            ended = Transition(-1, -1, ENDED, 0, known.severity, now_ns, math.nan, known.id, -1)
            words = "for a day it has refused nothing more" if aside else "nothing is set aside any more"
            return [self.tell(writer, event, series, -1, REFUSED, ended, {"what": f"sink {sink}: {words}"})]
        number = min(_SINKS_BEGIN, alert_tables.lowest(writer)) - 1
        raised = Transition(-1, 0, RAISED, Severity.YELLOW, 0, now_ns, math.nan, number, -1)
        facts: dict[str, object] = {"what": f"sink {sink}: it refuses rows, which are set aside: {aside.words if aside else ''}",
                                    "advice": _ADVICE[REFUSED]}
        return [self.tell(writer, event, series, -1, REFUSED, raised, facts)]

    @staticmethod
    def tell_of_full(writer: Writer) -> bool:
        """An alert says that the journal cannot be written: when the process ended, it could not."""
        return alert_tables.firing_by(writer, FULL, _SINKS_BEGIN) is not None

    def of_journal(self, writer: Writer, event: int, now_ns: int, says: JournalSays) -> list[str]:
        """What the journal says of itself is an alert, or the end of one."""
        known = alert_tables.firing_by(writer, says.alert, _SINKS_BEGIN)
        series = Series(next(iter(self._site.stations)), JOURNAL, "")
        if known and not says.words:
            ended = Transition(-1, -1, ENDED, 0, known.severity, now_ns, math.nan, known.id, -1)
            return [self.tell(writer, event, series, -1, says.alert, ended, {"what": "journal: all is well again"})]
        if known or not says.words:
            return []
        number = min(_SINKS_BEGIN, alert_tables.lowest(writer)) - 1
        raised = Transition(-1, 0, RAISED, _OF_JOURNAL[says.alert], 0, now_ns, math.nan, number, -1)
        facts: dict[str, object] = {"what": f"journal: {says.words}", "advice": _ADVICE.get(says.alert, "")}
        return [self.tell(writer, event, series, -1, says.alert, raised, facts)]

    def orphans(self, writer: Writer, event: int, state: State, now_ns: int) -> list[str]:
        """End alerts whose rule, series or device is no longer in the site file."""
        alive = {int(n) for n, s in zip(state["watch_alert"], state["watch_severity"], strict=True) if s}
        alive |= {int(n) for n, s in zip(state["device_alert"], state["device_firing"], strict=True) if s}
        lines = []
        for number in alert_tables.firing(writer):
            known = alert_tables.alert(writer, number)
            assert known is not None
            goes_on = number < _SINKS_BEGIN and known.series[1] in (*self._site.sinks, JOURNAL)  # these say themselves how they are
            if number not in alive and not goes_on:
                series = Series(*known.series)
                what = f"{series}: no longer watched (the site file has changed, or the daemon has started anew)"
                ended = Transition(0, -1, ENDED, 0, known.worst, now_ns, math.nan, number, -1)
                lines.append(self.tell(writer, event, series, -1, "", ended, {"what": what}))
        return lines
