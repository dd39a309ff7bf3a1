// Alerts: the firing ones first, worst first, as the box orders them; then what has ended, each with its history.

import { arrange, byId, el, mark, say } from "./elements.js";
import { title } from "./values.js";
import { about, age, clock, moment, ms, t, unit } from "./words.js";

const COLOURS = ["blue", "yellow", "orange", "red"];
const RISES = /^(alert\.)?(raised|climbed)$/;
const cards = new Map();
const announced = new Set();
let isFirst = true;

const colourWord = (colour) => t(`colour_${colour}`, {}, String(colour));
const chip = (colour) => el("span", { class: `chip ${COLOURS.includes(colour) ? colour : ""}` }, colourWord(colour));
const figure = (value, decimals) => (typeof value === "number" ? about(value, decimals) : "");

function step(entry, row) {
  const kind = String(entry.kind ?? "").replace(/^alert\./, "");
  const value = figure(entry.value, (row?.decimals ?? 2) + 1);
  const isRise = RISES.test(kind);
  return el("li", { "data-kind": kind },
    el("time", {}, moment(ms(entry.at))), " ", t(`kind_${kind}`, {}, kind), " ",
    entry.colour && kind !== "ended" ? colourWord(entry.colour) : "", value ? ` ${value}` : "",
    value && isRise && row ? ` ${unit(row)}` : "");
}

function card(alert, row, show) {
  const isFiring = alert.state === "firing";
  const decimals = (row?.decimals ?? 2) + 1;
  const unitWord = alert.unit === "1" ? (row ? unit(row) : "") : (alert.unit ?? "");
  const value = figure(alert.value, decimals);
  const limit = figure(alert.limit, decimals + 1);
  const made = { alert, show };
  made.time = el("span", { class: "when" });
  const name = row ? el("button", { type: "button", title: t("show_chart"), click: () => show(row.id, true) }, title(row)) : alert.what;
  const head = el("div", { class: "alert-head" }, chip(alert.colour), el("strong", { class: "alert-name" }, name), el("span", { class: "alert-id" }, `#${alert.id}`));
  const figures = value && isFiring
    ? el("p", { class: "alert-value" }, el("span", { class: "big" }, value), ` ${unitWord}`,
      limit ? el("span", { class: "to" }, ` → ${t("limit")} ${limit} ${unitWord}`) : "")
    : null;
  const words = row ? el("p", { class: "what" }, alert.what) : null;
  const history = el("ol", { class: "history" }, ...(alert.history ?? []).map((entry) => step(entry, row)));
  const foot = el("p", { class: "alert-foot" }, made.time, el("span", {}, t(alert.about, {}, alert.about)));
  const kind = isFiring ? `alert ${COLOURS.includes(alert.colour) ? alert.colour : ""}` : "past";
  made.place = el("li", { class: kind, "data-alert": alert.id, "data-state": alert.state }, head, figures, foot, words, history);
  return made;
}

function find(alert, bySeries) {
  return bySeries.get(alert.series);
}

/** Shows all alerts in the box's order. `bySeries` finds the series that an alert is about. */
export function showAlerts(alerts, order, bySeries, show, now) {
  const known = order.map((id) => alerts.get(id)).filter(Boolean);
  for (const id of cards.keys()) if (!alerts.has(id)) cards.delete(id);
  for (const alert of known) {
    const row = find(alert, bySeries);
    const key = JSON.stringify(alert) + (row ? title(row) : "");
    if (cards.get(alert.id)?.key !== key) cards.set(alert.id, { ...card(alert, row, show), key });
  }
  const firing = known.filter((alert) => alert.state === "firing");
  const ended = known.filter((alert) => alert.state !== "firing");
  arrange(byId("firing"), firing.map((alert) => cards.get(alert.id).place));
  arrange(byId("ended"), ended.map((alert) => cards.get(alert.id).place));
  byId("none-firing").hidden = firing.length > 0;
  byId("ended-box").hidden = ended.length === 0;
  say(byId("ended-count"), String(ended.length));
  announce(firing, bySeries);
  tickAlerts(now);
  return firing.length;
}

// Only what is new since the page was opened is spoken: the rest can be read.
function announce(firing, bySeries) {
  const fresh = firing.filter((alert) => !announced.has(alert.id + alert.colour));
  for (const alert of firing) announced.add(alert.id + alert.colour);
  if (!isFirst && fresh.length) {
    say(byId("news"), fresh.map((alert) => {
      const row = find(alert, bySeries);
      return t("new_alert", { colour: colourWord(alert.colour), what: row ? title(row) : alert.what });
    }).join(". "));
  }
  isFirst = false;
}

/** Once a second: for how long. */
export function tickAlerts(now) {
  if (now === null) return;
  for (const { alert, time } of cards.values()) {
    const since = ms(alert.since);
    const until = alert.until === null || alert.until === undefined ? null : ms(alert.until);
    say(time, until === null
      ? t("since", { time: moment(since), age: age(now - since) })
      : t("lasted", { from: moment(since), until: new Date(since).toDateString() === new Date(until).toDateString() ? clock(until) : moment(until), age: age(until - since) }));
    mark(time, "data-since", String(alert.since));
  }
}

/** The limits that the chart of a series draws: each once, from the rises of the alerts about it, which are those of their colours. */
export function limitsOf(series, alerts) {
  const found = new Map();
  for (const alert of alerts.values()) {
    if (alert.series !== series) continue;
    for (const { kind, colour, limit } of alert.history ?? []) {
      if (RISES.test(kind) && typeof limit === "number") found.set(limit, { value: limit, colour });
    }
  }
  return [...found.values()];
}
