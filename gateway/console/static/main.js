// Puts the page together: news from the box go into one state, and the parts show it.

import { limitsOf, showAlerts, tickAlerts } from "./alerts.js";
import { Chart } from "./chart.js";
import { byId, mark, say, shape } from "./elements.js";
import { showHealth, verdict } from "./health.js";
import { Link } from "./link.js";
import { recall } from "./sparks.js";
import { layOut, press, redrawAll, tick, update } from "./values.js";
import { clock, counted, language, learn, moment, t } from "./words.js";

const series = new Map();
const alerts = new Map();
let order = [];
let status = {};
let version = "";
let link = null;
let chart = null;

function speak() {
  for (const place of document.querySelectorAll("[data-say]")) say(place, t(place.dataset.say));
  const other = byId("other");
  const otherLanguage = language === "zh" ? "en" : "zh";
  say(other, t("other_language"));
  other.href = `?lang=${otherLanguage}${location.hash}`;
  other.lang = otherLanguage;
  other.hreflang = otherLanguage;
}

const bySeries = () => new Map([...series.values()].map((row) => [row.series, row]));

function pick(id, isFar = false) {
  const row = series.get(id);
  if (!row) return;
  chart.choose(row, limitsOf(row.series, alerts));
  press(id);
  history.replaceState(null, "", `#${encodeURI(row.series)}`);
  const title = byId("chart-title");
  const { top, bottom } = title.getBoundingClientRect();
  if (isFar || top < 0 || bottom > innerHeight) {
    title.focus({ preventScroll: true });
    title.scrollIntoView({ behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth", block: "start" });
  }
}

// What the address names, else what the worst or newest alert is about, else the first value.
function first() {
  const names = bySeries();
  let named = "";
  try {
    named = decodeURI(location.hash.slice(1));
  } catch {
    named = "";
  }
  const alerted = order.map((id) => alerts.get(id)).find((alert) => names.has(alert?.series));
  return names.get(named) ?? names.get(alerted?.series) ?? series.values().next().value;
}

async function recallAll() {
  const now = link.now();
  const ids = [...series.values()].filter((row) => row.statistic === "").map((row) => row.id);
  try {
    await recall(ids, now);
    redrawAll();
  } catch {
    // The curves are a comfort; the values are there. The next connection fetches them again.
  }
}

function take(kind, message) {
  if (kind === "all") {
    series.clear();
    alerts.clear();
    version = message.version ?? version;
  }
  for (const row of message.series ?? []) series.set(row.id, row);
  for (const id of message.gone ?? []) series.delete(id);
  if (message.status) status = { ...(kind === "all" ? {} : status), ...message.status };
  if (message.series || message.gone || message.status?.stations) layOut(series, status.stations, pick);
  if (message.series) tick(link.now());
  for (const [id, at, value, flag, reason, share] of message.values ?? []) {
    const row = { ...series.get(id), at, value, flag, reason, share };
    series.set(id, row);
    update(row);
    if (chart.row?.id === id) chart.append(row);
  }
  for (const alert of message.alerts ?? []) alerts.set(alert.id, alert);
  order = message.order ?? order;
  if (message.status) showHealth(status, version);
  if (message.alerts || message.order || message.series) head();
  else if (message.status) overall();
  if (kind === "all") settle(message.version !== undefined);
}

// After everything was told anew. Looking every few seconds instead of listening is no reason to read the journal each time.
function settle(isStream) {
  const row = series.get(chart.row?.id) ?? first();
  if (!isStream && chart.row !== null && row) return chart.append(row);
  if (row) {
    chart.choose(row, limitsOf(row.series, alerts));
    press(row.id);
    chart.fetch();
  }
  recallAll();
}

let firing = 0;
function head() {
  firing = showAlerts(alerts, order, bySeries(), pick, link?.now() ?? null);
  if (chart.row) chart.limit(limitsOf(chart.row.series, alerts));
  overall();
}

// Without a connection nobody knows: "all well" of a minute ago would be a lie.
function overall() {
  const isCut = link?.state === "cut";
  const [kind, words] = isCut ? ["unknown", t("not_known")] : verdict(status, firing, counted);
  const place = byId("overall");
  if (place.textContent !== words) place.replaceChildren(shape(isCut ? "state-wait" : `state-${kind}`, kind), words);
  mark(place, "class", `overall ${kind}`);
  document.title = isCut ? `${words} · EcoSentry` : firing ? `(${firing}) EcoSentry` : "EcoSentry";
}

function linked() {
  document.body.dataset.link = link.state;
  say(byId("link"), t(`link_${link.state}`));
  const banner = byId("cut");
  banner.hidden = link.state !== "cut";
  if (version || link.state === "cut") overall();
  say(banner, banner.hidden ? "" : link.lastAt === null ? t("cut_never") : t("cut", { time: moment(link.lastAt, true) }));
}

function everySecond() {
  const now = link.now();
  tick(now);
  tickAlerts(now);
  chart.tick();
  if (now !== null) say(byId("clock"), clock(now, true));
}

await learn();
speak();
chart = new Chart(() => link?.now() ?? null);
link = new Link(take, linked);
linked();
setInterval(everySecond, 1000);
