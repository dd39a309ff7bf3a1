// The values by station and medium: a number, its unit, how good and how old it is.

import { arrange, byId, el, mark, say, shape } from "./elements.js";
import { period, redraw, remember, spark } from "./sparks.js";
import { about, age, category, exact, label, ms, number, span, t, unit } from "./words.js";

const MEDIA = ["water", "air", "weather", "noise", "soil", "vegetation", "emission", "energy", "technical"];
const UNKNOWN_PERIOD_MS = 600_000;
const LATE = 3.5;
const FEW = 4;
const rows = new Map();
const cards = new Map();

const flagWord = (flag) => t(`flag_${flag}`, {}, String(flag));
const siblings = (row) => [row.station, row.device, row.quantity, row.channel].join("\u0000");
const isMeasured = (row) => row.statistic === "" && row.period_s === 0;

const doubt = (row) => (row.verified?.includes("M") ? t("partly_unverified") : "");

/** What a series is called beside its siblings: "mean 1 h". */
export const statistic = (row) => [t(`statistic_${row.statistic}`, {}, row.statistic), row.period_s ? span(row.period_s) : ""].join(" ").trim();

/** The name of a series for people. */
export const title = (row) => [label(row), row.channel, isMeasured(row) ? "" : statistic(row)].filter(Boolean).join(" · ");

function parts() {
  return {
    value: el("span", { class: "value" }),
    unit: el("span", { class: "unit" }),
    flag: el("span", { class: "flag" }),
    age: el("span", { class: "age" }),
  };
}

function measured(row, pick) {
  const made = parts();
  made.pick = el("button", { type: "button", class: "pick", "aria-pressed": "false", click: () => pick(row.id) });
  made.device = el("span", { class: "device" });
  made.spark = spark();
  made.means = el("ul", { class: "means" });
  made.place = el("li", { class: "row" },
    el("div", { class: "name" }, made.pick, made.device), made.spark,
    el("div", { class: "reading" }, el("span", { class: "figure" }, made.value, " ", made.unit),
      el("span", { class: "trust" }, made.flag, " ", made.age)), made.means);
  return made;
}

function derived(row, pick) {
  const made = parts();
  made.pick = el("button", { type: "button", class: "pick", "aria-pressed": "false", click: () => pick(row.id) });
  made.share = el("span", { class: "share" });
  made.place = el("li", { class: "mean" }, made.pick, " ", el("span", { class: "figure" }, made.value, " ", made.unit), " ",
    el("span", { class: "trust" }, made.flag, " ", made.share, " ", made.age));
  return made;
}

function show(row, made) {
  const isMissing = row.value === null;
  say(made.pick, made.means ? label(row) : statistic(row));
  const reason = row.reason && row.reason !== "N" ? t(`reason_${row.reason}`, {}, "") : "";
  if (made.device) say(made.device, [row.device, row.channel, row.standard, doubt(row), reason].filter(Boolean).join(" · "));
  say(made.value, isMissing ? "–" : number(row.value, row.decimals));
  mark(made.value, "data-series", row.series);
  mark(made.value, "data-value", exact(row.value));
  mark(made.value, "data-flag", String(row.flag));
  mark(made.value, "data-at", row.at);
  mark(made.place, "data-flag", String(row.flag));
  const name = isMissing ? "" : category(row);
  say(made.unit, isMissing ? "" : name || unit(row));
  made.unit.classList.toggle("category", name !== "");
  made.unit.style.borderColor = name ? row.colour : "";
  const words = flagWord(row.flag);
  if (made.words !== words) {
    made.words = words;
    made.flag.replaceChildren(shape(`flag-${[1, 2, 3, 4, 9].includes(row.flag) ? row.flag : 2}`), el("span", {}, words));
  }
  if (made.share) say(made.share, row.share === null ? "" : `${t("share", { n: about(row.share * 100, 0) })} ·`);
  if (made.spark) redraw(made.spark, row.id);
}

/** Rows that were seen for the first time or are called otherwise: everything is arranged anew. */
export function layOut(series, stations, pick) {
  const all = [...series.values()];
  for (const id of rows.keys()) if (!series.has(id)) rows.delete(id);
  const bases = new Map(all.filter(isMeasured).map((row) => [siblings(row), row.id]));
  const under = new Map();
  const groups = new Map();
  for (const row of all) {
    const base = isMeasured(row) ? undefined : bases.get(siblings(row));
    const kind = base === undefined ? measured : derived;
    const made = rows.get(row.id);
    if (made?.kind !== kind) rows.set(row.id, { ...kind(row, pick), kind });
    if (base === undefined) {
      const medium = MEDIA.includes(row.medium) ? row.medium : "technical";
      const group = JSON.stringify([row.station, medium]);
      groups.set(group, [...(groups.get(group) ?? []), row]);
    } else under.set(base, [...(under.get(base) ?? []), row]);
  }
  for (const [id, made] of rows) if (made.means) arrange(made.means, (under.get(id) ?? []).map((row) => rows.get(row.id).place));
  const names = [...new Set(all.map((row) => row.station))];
  arrange(byId("stations"), names.length ? names.map((name) => station(name, stations?.[name], groups)) : [byId("nothing") ?? nothing()]);
  for (const row of all) update(row);
}

const nothing = () => el("p", { class: "calm", id: "nothing" }, t("nothing_yet"));

function station(id, about_, groups) {
  const card = cards.get(id) ?? cards.set(id, {
    title: el("h2", { id: `station-${cards.size}` }),
    where: el("p", { class: "where" }),
    media: el("div", { class: "media" }),
    groups: new Map(),
    runs: [],
  }).get(id);
  card.place ??= el("section", { class: "station", "aria-labelledby": card.title.id }, el("div", { class: "station-head" }, card.title, card.where), card.media);
  say(card.title, about_?.name || id);
  const place = Number.isFinite(about_?.latitude) && Number.isFinite(about_?.longitude) ? `${about_.latitude}, ${about_.longitude}` : "";
  say(card.where, [about_?.name ? id : "", place].filter(Boolean).join(" · "));
  const found = MEDIA.filter((medium) => groups.has(JSON.stringify([id, medium])));
  arrange(card.media, inRuns(card, found.map((medium) => [medium, groups.get(JSON.stringify([id, medium]))])));
  return card.place;
}

// A medium with many rows has the width to itself; those with few stand side by side.
function inRuns(card, media) {
  const places = [];
  let run = [];
  const close = () => {
    if (!run.length) return;
    card.runs[places.length] ??= el("div", { class: "few" });
    arrange(card.runs[places.length], run);
    places.push(card.runs[places.length]);
    run = [];
  };
  for (const [medium, members] of media) {
    const place = group(card, medium, members);
    if (members.length > FEW) close();
    if (members.length > FEW) places.push(place);
    else run.push(place);
  }
  close();
  return places;
}

function group(card, medium, members) {
  if (!card.groups.has(medium)) {
    const list = el("ul", { class: "rows" });
    const head = el("h3", {}, shape(`medium-${medium}`, "medium"), t(`medium_${medium}`));
    card.groups.set(medium, { list, place: el("section", { class: "panel group" }, head, list) });
  }
  const { list, place } = card.groups.get(medium);
  arrange(list, members.map((row) => rows.get(row.id).place));
  return place;
}

/** One row's newest value. */
export function update(row) {
  const made = rows.get(row.id);
  if (!made) return;
  const passed = made.row ? ms(row.at) - ms(made.row.at) : 0;
  if (passed > 0) made.periods = [...(made.periods ?? []).slice(-6), passed];
  made.row = row;
  remember(row);
  show(row, made);
}

/** The curves, after the last hour was fetched. */
export function redrawAll() {
  for (const [id, made] of rows) if (made.spark) redraw(made.spark, id);
}

/** Marks which series the chart shows. */
export function press(id) {
  for (const [key, made] of rows) {
    mark(made.pick, "aria-pressed", String(key === id));
    made.place.classList.toggle("picked", key === id);
  }
}

// How often a series comes: as seen since the page was opened, else as the last hour was, else unknown.
function usual(made) {
  if (made.row.period_s) return made.row.period_s * 1000 + 120_000;
  const seen = [...(made.periods ?? [])].sort((a, b) => a - b);
  return seen.length > 2 ? seen[seen.length >> 1] : (period(made.row.id) ?? UNKNOWN_PERIOD_MS / LATE);
}

/** Once a second: how old everything is. Later than three and a half periods is old. */
export function tick(now) {
  if (now === null) return;
  for (const made of rows.values()) {
    if (!made.row) continue;
    const passed = now - ms(made.row.at);
    const isOld = passed > Math.max(LATE * usual(made), 30_000);
    say(made.age, isOld ? `${age(passed)}, ${t("old")}` : age(passed));
    made.place.classList.toggle("old", isOld);
  }
}
