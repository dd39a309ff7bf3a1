// How the box itself is doing: lines, devices, sinks, recipients, and the sums that show that nothing was lost.

import { arrange, byId, el, shape } from "./elements.js";
import { age, moment, ms, size, t, whole, zone } from "./words.js";

const GOOD = new Set(["good", "open", "ok", "live", "sending", "idle", "up", "running"]);
const WAITING = new Set(["starting", "waiting", "behind", "held", "new", "spent", "maintenance"]);
const shown = new Map();

const count = (n) => (typeof n === "number" ? whole(n) : "–");

function state(word) {
  const kind = GOOD.has(word) ? "good" : WAITING.has(word) ? "wait" : "bad";
  return el("span", { class: `state ${kind}` }, shape(`state-${kind}`), t(`state_${word}`, {}, String(word)));
}

const text = (words) => (words === null || words === undefined ? "" : String(words));
const when = (s) => (typeof s === "number" ? age(s * 1000) : t("never"));

// One column: its heading, what stands in it, and whether it is a figure.
const COLUMNS = {
  lines: [["name", (o) => text(o.name)], ["state", (o) => state(o.state)], ["kind", (o) => text(o.kind)], ["devices", (o) => count(o.devices), 1],
    ["polls", (o) => count(o.polls), 1], ["late", (o) => count(o.late), 1], ["errors", (o) => count(o.errors), 1], ["where", (o) => text(o.where)], ["remark", (o) => text(o.words)]],
  devices: [["name", (o) => text(o.name)], ["state", (o) => state(o.state)], ["answered", (o) => when(o.age_s), 1], ["line", (o) => text(o.line)],
    ["station", (o) => text(o.station)], ["remark", (o) => text(o.words)]],
  gaps: [["gap_of", (o) => text(o.series)], ["gap_since", (o) => moment(ms(o.since))], ["gap_until", (o) => (o.until === null ? t("goes_on") : moment(ms(o.until)))],
    ["gap_filled", (o) => (o.until === null ? "" : `${Math.round(o.filled * 100)} %`), 1], ["gap_why", (o) => t(`reason_${o.reason}`, {}, text(o.words))]],
  recipients: [["name", (o) => text(o.name)], ["waiting", (o) => count(o.waiting), 1], ["sent", (o) => count(o.sent), 1], ["dead", (o) => count(o.dead), 1], ["remark", (o) => text(o.words)]],
};

function board(name, rows) {
  const id = `board-${name}`;
  const columns = COLUMNS[name].filter(([key, cell], place) => place < 2 || key !== "remark" && key !== "where" || rows.some((row) => cell(row) !== ""));
  const head = el("tr", {}, ...columns.map(([key, , isFigure]) => el("th", { scope: "col", class: isFigure ? "count" : null }, t(key))));
  const body = rows.map((row) => el("tr", { "data-name": text(row.name), "data-state": text(row.state) }, ...columns.map(([, cell, isFigure], place) =>
    place ? el("td", { class: isFigure ? "count" : cell(row).length > 18 ? "words" : null }, cell(row)) : el("th", { scope: "row" }, cell(row)))));
  const table = el("div", { class: "scroll", role: "region", "aria-labelledby": id, tabindex: "0" }, el("table", {}, el("thead", {}, head), el("tbody", {}, ...body)));
  const isEmpty = name === "recipients" && !rows.length;
  return el("section", { class: `panel board ${name}` }, heading(name, rows, id), isEmpty ? el("p", { class: "calm" }, t("no_recipients")) : table);
}

const heading = (name, rows, id = null) => el("h3", { id }, t(name), " ", el("span", { class: "count-badge" }, String(rows.length)));
const term = (words, n) => el("span", { class: "term" }, el("b", {}, count(n)), ` ${words}`);
const sum = (whole_, parts) => el("p", { class: "sum" }, whole_, " = ", ...parts.flatMap((one, i) => (i ? [" + ", one] : [one])));
// Skipped rows may be told apart by reason.
const total = (n) => (n !== null && typeof n === "object" ? Object.values(n).reduce((all, one) => all + Number(one), 0) : n);

function sinkBoard(rows) {
  const one = (sink) => el("li", { class: "sink", "data-name": text(sink.name), "data-state": text(sink.state) },
    el("div", { class: "sink-head" }, el("strong", {}, text(sink.name)), el("span", { class: "small" }, text(sink.kind)), state(sink.state),
      el("span", { class: "small" }, `${t("behind")}: ${typeof sink.behind_s !== "number" ? "–" : sink.behind_s < 1 ? t("age_s", { n: 0 }) : age(sink.behind_s * 1000)}`),
      typeof sink.bytes_today === "number" ? el("span", { class: "small" }, `${t("sent_today")}: ${size(sink.bytes_today)}${sink.bytes_per_day ? ` / ${size(sink.bytes_per_day)}` : ""}`) : null),
    sum(term(t("in_journal"), sink.journalled), ["sent", "refused", "skipped", "thinned", "owed", "waiting"].map((key) => term(t(key).toLowerCase(), total(sink[key])))),
    sink.words ? el("p", { class: "small" }, text(sink.words)) : null);
  return el("section", { class: "panel board sinks" }, heading("sinks", rows), rows.length ? el("ul", {}, ...rows.map(one)) : el("p", { class: "calm" }, t("no_sinks")));
}

function identity(sums, tooOld) {
  const parts = [["in_journal", "journalled"], ["duplicate", "duplicate"], ["undecodable", "undecodable"], ["quarantined", "quarantined"], ["in_held", "held"], ["overwritten", "overwritten"]];
  return el("section", { class: "panel board identity" }, el("h3", {}, t("conservation")),
    sum(term(t("received"), sums.received), parts.map(([key, name]) => term(t(key), sums[name]))),
    el("p", {}, el("span", { class: `state ${sums.holds ? "good" : "bad"}` }, shape(sums.holds ? "state-good" : "state-bad"), t(sums.holds ? "adds_up" : "adds_not"))),
    tooOld?.hour_too_old || tooOld?.index_too_old ? el("p", { class: "small" }, t("too_old", { readings: whole(tooOld.hour_too_old), hours: whole(tooOld.index_too_old) })) : null,
    tooOld?.hour_ahead ? el("p", { class: "small" }, t("hour_ahead", { hours: whole(tooOld.hour_ahead) })) : null);
}

function restarts(workers) {
  if (!Array.isArray(workers) || !workers.length) return null;
  return el("div", { class: "fact" }, el("dt", {}, t("restarts")),
    ...workers.map((one) => el("dd", {}, el("span", { class: "state bad" }, shape("state-bad"), `${text(one.name)}: ${count(one.restarts)}`), el("span", { class: "small" }, text(one.words)))));
}

function box(status) {
  const journal = status.journal ?? {};
  const clock = status.clock ?? {};
  const used = typeof journal.bytes === "number" && typeof journal.limit === "number" ? t("journal_of", { used: size(journal.bytes), limit: size(journal.limit) }) : "";
  const fact = (words, ...what) => el("div", { class: "fact" }, el("dt", {}, words), el("dd", {}, ...what));
  const meter = used ? el("meter", { min: 0, max: journal.limit, high: journal.limit * 0.9, value: journal.bytes, "aria-label": `${t("journal")}: ${used}` }) : null;
  return el("section", { class: "panel board box" }, el("h3", {}, t("medium_technical")), el("dl", {},
    fact(t("journal"), journal.state ? state(journal.state) : "", " ", used, meter,
      el("span", { class: "small" }, [typeof journal.rows === "number" ? t("rows", { n: whole(journal.rows) }) : "", typeof journal.events === "number" ? t("events", { n: whole(journal.events) }) : ""].filter(Boolean).join(", "))),
    fact(t("clock"), el("span", { class: `state ${clock.sure ? "good" : "wait"}` }, shape(clock.sure ? "state-good" : "state-wait"), t(clock.sure ? "clock_sure" : "clock_unsure")),
      el("span", { class: "small" }, text(clock.words))), restarts(status.workers)));
}

// A part is made anew only if it changed, so that a table that someone scrolls or has focused stays where it is.
function part(name, what, make) {
  const key = JSON.stringify(what);
  const old = shown.get(name);
  if (old?.key === key) return old.place;
  const place = make();
  shown.set(name, { key, place });
  if (!old) return place;
  const [before, after] = [old.place.querySelector(".scroll"), place.querySelector(".scroll")];
  const [left, isFocused] = [before?.scrollLeft ?? 0, before !== null && document.activeElement === before];
  old.place.replaceWith(place);
  if (after) after.scrollLeft = left;
  if (isFocused) after?.focus({ preventScroll: true });
  return place;
}

/** Shows `status` as the box gives it. */
export function showHealth(status, version) {
  const places = ["lines", "devices", "sinks", "recipients"].filter((name) => Array.isArray(status[name]))
    .map((name) => part(name, status[name], () => (name === "sinks" ? sinkBoard(status.sinks) : board(name, status[name]))));
  if (Array.isArray(status.gaps) && status.gaps.length) places.push(part("gaps", status.gaps, () => board("gaps", status.gaps)));
  if (status.conservation) places.push(part("conservation", [status.conservation, status.too_old], () => identity(status.conservation, status.too_old)));
  if (status.journal || status.clock) places.push(part("box", [status.journal, status.clock, status.workers], () => box(status)));
  arrange(byId("health"), places);
  const since = status.since ? ms(status.since) : NaN;
  byId("notes").replaceChildren(...(Array.isArray(status.notes) ? status.notes : []).map((note) => el("p", {}, String(note))));
  byId("about").replaceChildren([t("version", { version: version || text(status.version) }), text(status.site),
    Number.isFinite(since) ? t("running", { time: moment(since) }) : "", t("times", { zone })].filter(Boolean).join(" · "));
}

const ailing = (rows) => (rows ?? []).filter((one) => !GOOD.has(one.state) && !WAITING.has(one.state)).length;

/** The one sentence at the top: the gravest that is not well. */
export function verdict(status, firing, counted) {
  if (firing) return ["bad", counted("is_firing", firing)];
  if (status.journal?.state && !GOOD.has(status.journal.state)) return ["bad", `${t("journal")}: ${status.journal.state}`];
  if (status.conservation?.holds === false) return ["bad", `${t("conservation")}: ${t("adds_not")}`];
  for (const [part, key] of [["lines", "is_lost"], ["devices", "is_silent"]]) {
    if (ailing(status[part])) return ["bad", counted(key, ailing(status[part]))];
  }
  if (ailing(status.sinks)) return ["wait", counted("is_behind", ailing(status.sinks))];
  if (status.clock?.sure === false) return ["wait", `${t("clock")}: ${t("clock_unsure")}`];
  return ["good", t("all_well")];
}
