"""Plain, obvious twins of the kernels: objects, lists and exact arithmetic, written from the meaning and not from the code."""

import math
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

HOUR = 3600 * 10**9


def flags(rows, limits):
    """rows: (series, at, value, reason); limits: series -> (fail, suspect, rate per s), each None or given. Gives flags."""
    newest = {}
    out = []
    for series, at, value, reason in rows:
        if not math.isfinite(value):
            out.append(9)
            continue
        fail, suspect, rate = limits[series]
        grades = [1]
        if fail and not fail[0] <= value <= fail[1]:
            grades.append(4)
        if suspect and not suspect[0] <= value <= suspect[1]:
            grades.append(3)
        if rate is not None and series in newest and at > newest[series][0]:
            then, before = newest[series]
            if abs(value - before) * 1e9 > rate * (at - then):
                grades.append(3)
        if chr(reason) in "DBFrMCwy":
            grades.append(4)
        elif chr(reason) != "N":
            grades.append(3)
        out.append(max(grades))
        if out[-1] != 4 and (series not in newest or at > newest[series][0]):
            newest[series] = (at, value)
    return out


def hourly(rows, behaves, period_ns):
    """rows: (at, value, flag, late) of one series as they arrived. Gives {end: (value, flag, share)} of every hour, from all at once."""
    hours = defaultdict(list)
    for at, value, flag, late in rows:
        members = hours[-(-at // HOUR) * HOUR]
        blank = next((k for k, (_, known) in enumerate(members) if known == 9), None) if late else None
        if blank is None:
            members.append((value, flag))
        elif flag != 9:
            members[blank] = (value, flag)
    out = {}
    for end, members in hours.items():
        good = [v for v, f in members if f in (1, 2, 3)]
        suspect = sum(f == 3 for _, f in members)
        share = len(good) / max(len(members), HOUR // period_ns if period_ns else 0)
        if not good:
            out[end] = (math.nan, 9, share)
            continue
        if behaves == 1:
            value = float(sum(map(Fraction, good)) / len(good))
        elif behaves == 2:
            value = 10 * math.log10(math.fsum(10 ** (v / 10) for v in good) / len(good))
        elif behaves == 3:
            value = math.degrees(math.atan2(math.fsum(math.sin(math.radians(v)) for v in good),
                                            math.fsum(math.cos(math.radians(v)) for v in good))) % 360
        elif behaves == 5:
            value = max(good)
        else:
            value = float(sum(map(Fraction, good)))
        out[end] = (value, 3 if share < 0.75 or 2 * suspect > len(good) else 1, share)
    return out


class Watch:
    """One rule on one series, as a person would follow it: a history of judged values, looked at anew each time."""

    def __init__(self, limits, above, hold, dead, end_hold, gap, window=0, least=1, behaves=1):
        self.limits, self.above, self.hold, self.dead, self.end_hold, self.gap = limits, above, hold, dead, end_hold, gap
        self.window, self.least, self.behaves = window, least, behaves
        self.readings, self.judged, self.severity, self.newest = [], [], 0, None

    def _beyond(self, value, limit):
        return value > limit if self.above else value < limit

    def _clear(self, value, limit):
        if self._beyond(value, limit):
            return False
        return self.dead == 0 or (value < limit - self.dead if self.above else value > limit + self.dead)

    def _since(self, holds):
        """Since when `holds` has been true without a break, up to now; None = it is not true now."""
        since = None
        for at, value in reversed(self.judged):
            if not holds(value):
                break
            since = at
        return since

    def _mean(self, at):
        width = self.window // 60
        part = lambda t: (t - 1) // width  # noqa: E731
        parts = defaultdict(list)
        for t, v in self.readings:
            if part(at) - part(t) < 60:
                parts[part(t)].append(v)
        n = sum(map(len, parts.values()))
        if 4 * (part(at) - min(parts) + 1) < 180 or n < self.least:
            return None
        every = [v for key in sorted(parts) for v in parts[key]]
        if self.behaves == 2:
            return round(10 * math.log10(math.fsum(10 ** (v / 10) for v in every) / n), 9)
        if self.behaves == 3:
            return round(math.degrees(math.atan2(math.fsum(math.sin(math.radians(v)) for v in every),
                                                 math.fsum(math.cos(math.radians(v)) for v in every))), 9) % 360
        total = 0.0
        for key in sorted(parts):
            inner = 0.0
            for v in parts[key]:
                inner += v
            total += inner
        return total / n

    def take(self, at, value, flag, now=math.inf, of="a reading"):
        """Gives (kind, severity, late) or None; `of`: "a reading", "an hour", "a day"."""
        if flag not in (1, 2):
            return None
        before = self.severity
        late = self.newest is not None and at <= self.newest
        if late and (of == "a reading" or self.window):
            return None
        if late and at < self.newest:
            found = max((level for level, limit in self.limits.items() if self._beyond(value, limit)), default=0)
            if of != "a day" or self.hold or found <= before:
                return None
            self.severity = found
            return "climbed" if before else "raised", found, True
        at = min(at, now)
        if self.newest is not None:
            at = max(at, self.newest)
            if at - self.newest > self.gap:
                self.judged = []
        if late:
            self.judged.pop()
        self.newest = at
        if self.window:
            self.readings.append((at, value))
            value = self._mean(at)
            if value is None:
                return None
        self.judged.append((at, value))
        reached = kept = 0
        for level, limit in self.limits.items():
            over = self._since(lambda v, limit=limit: self._beyond(v, limit))
            clear = self._since(lambda v, limit=limit: self._clear(v, limit))
            if over is not None and at - over >= self.hold:
                reached = max(reached, level)
            if level <= self.severity and (clear is None or at - clear < self.end_hold):
                kept = max(kept, level)
        self.severity = max(reached, kept)
        if self.severity == before:
            return None
        kind = "raised" if before == 0 else "ended" if self.severity == 0 else "climbed" if self.severity > before else "fell"
        return kind, self.severity, late


class Silence:
    """Who has not spoken: every source and device with the instant by which it should have."""

    MINUTE = 60 * 10**9

    def __init__(self, period, start):
        self.period, self.due, self.device_due, self.firing = period, start + period * 5 // 2, start + 3 * period, False

    def hear(self, steady, value, reason):
        """Gives True if the device speaks again after an alert."""
        if math.isnan(value):
            if reason == "M" and not self.firing:
                self.device_due = steady + 3 * self.period
            return False
        self.due, self.device_due = steady + self.period * 5 // 2, steady + 3 * self.period
        ended, self.firing = self.firing, False
        return ended

    def advance(self, steady):
        """Gives (MISSING due at, alert due at), each None if there is none."""
        missing = alert = None
        if self.due <= steady:
            missing = self.due
            while self.due <= steady:
                self.due += max(self.period, self.MINUTE)
        if not self.firing and self.device_due <= steady:
            alert, self.firing = self.device_due, True
        return missing, alert


def signals(rows, tables):
    """rows: (series, at, raw, reason); tables: series -> a dictionary by name of the kernel's columns. Gives (value, span, reason)."""
    counts, out = {}, []
    for series, at, raw, reason in rows:
        table = tables[series]
        value, span = raw, 0
        if table["kind"] and not math.isnan(raw):
            if table["kind"] == 1:
                share = Fraction(raw - table["low"]) / Fraction(table["high"] - table["low"])
                value = round(float(share * Fraction(table["full"] - table["zero"]) + Fraction(table["zero"])), 6)
                if table["low"] == 4 and chr(reason) == "N":
                    reason = ord("D" if not 3.6 < raw < 21 else "N" if 3.8 <= raw <= 20.5 else "T")
            elif table["kind"] == 4:
                value = float(not raw)
            else:
                then, before = counts.get(series, (None, None))
                value = math.nan
                if then is not None and at > then:
                    span = at - then
                    turned = raw < before
                    step = raw - before + (table["size"] if turned else 0)
                    worth = table["full"] if table["kind"] == 2 else table["full"] / (span / 1e9)
                    if step >= 0 and not (turned and (not table["size"] or step * worth > table["most"])):
                        value = round(step * worth, 6)
                if math.isnan(value):
                    reason = ord("c")
                if then is None or at > then:
                    counts[series] = (at, raw)
        out.append((value, span, reason))
    return out


def gaps(rows, period, started):
    """rows of one series: (at, flag, reason) in order of arrival; `started`: (position, at). Gives {(since, until): (reason, share filled)}.

    From all rows at once: the good times of arrival order make intervals; what the rows between say of themselves is the reason.
    """
    found, good, begun, late = [], None, None, []

    def close(since, until, reason):
        if until > since:
            found.append((since, until, reason))

    start_at = 0
    for place, (at, flag, reason) in enumerate(rows):
        start_at = max([moment for position, moment in started if position <= place], default=0)
        bad = flag == 9 or (flag == 4 and reason != ord("N"))
        if good is not None and at <= good:
            late += [] if bad else [(len(found), at)]
            continue
        long = good is not None and (at - good) * 2 > period * 5
        if bad and begun is None:
            begun = [good if good is not None else at - period, reason]
            if long and start_at > good:
                close(good, start_at, ord("g"))
                begun[0] = start_at
        elif bad and begun[1] != reason and at - period > begun[0]:
            close(begun[0], at - period, begun[1])
            begun = [at - period, reason]
        elif not bad:
            if begun is not None:
                close(begun[0], at, begun[1])
            elif long:
                close(good, at, ord("g") if start_at > good else ord("k"))
            begun, good = None, at
    out = {}
    for number, (since, until, reason) in enumerate(found):
        missing = max(1, (until - since + period // 2) // period - 1)
        came = sum(1 for known, at in late if number < known <= number + 4 and since < at < until)
        out[since, until] = (reason, min(1.0, came / missing))
    return out


def warming(rows, devices, starts):
    """rows: (device, at, value, reason, steady) in order of arrival; devices: name -> (ready, patience).

    `starts`: (position, steady, whether the box was booted). Gives the reasons.
    """
    out, heard, spells = [], {}, {}
    for place, (device, at, value, reason, steady) in enumerate(rows):
        ready, patience = devices[device]
        out.append(reason)
        if not ready or math.isnan(value):
            continue
        before = [start for start in starts if start[0] <= place]
        if device not in heard or at > heard[device][0]:
            if device not in heard:
                cold = True
            else:
                heard_at, heard_steady = heard[device]
                cold = any(booted and heard_steady < then for _, then, booted in before)
                listened = max([heard_steady, *(then for _, then, _ in before)])
                cold = cold or (0 < patience < at - heard_at and steady - listened > patience)
            if cold:
                spells[device] = (at, at + ready)
            heard[device] = (at, steady)
        since, until = spells[device]
        if since <= at < until and reason == ord("N"):
            out[-1] = ord("w")
    return out


def window(at, span, reason, zone, minutes, lasts):
    """The reason of one reading: minute by minute of the clock, is one of its window's beginnings so near before it? Times in s."""
    clock = ZoneInfo(zone)
    if chr(reason) in "DMCF":
        return reason
    day = datetime.fromtimestamp(at, UTC).date()
    for back in range(-2, int(lasts + span) // 86_400 + 4):
        local = day - timedelta(days=back)
        for minute in minutes:
            if minute // 1440 != local.weekday():
                continue
            naive_clock = datetime(local.year, local.month, local.day, minute % 1440 // 60, minute % 60)
            before = (datetime.combine(local, datetime.min.time(), clock) - timedelta(hours=1)).utcoffset()
            real = naive_clock.replace(tzinfo=clock)
            exists = real.astimezone(UTC).astimezone(clock).replace(tzinfo=None) == naive_clock
            begin = (naive_clock - (real.utcoffset() if exists else before)).replace(tzinfo=UTC).timestamp()
            if (begin <= at if not span else begin < at) and at - span < begin + lasts:
                return ord("C")
    return reason
