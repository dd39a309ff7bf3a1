// The chart of one series: what is asked for, what the pointer or the keyboard reads, and the same as a table.

import { byId, el, mark, say } from "./elements.js";
import { drawing, gaps, legend, plane, stride } from "./drawing.js";
import { ask } from "./link.js";
import { title } from "./values.js";
import { moment, ms, number, t, unit } from "./words.js";

const RANGES = { "10min": 600e3, "1h": 3600e3, "6h": 6 * 3600e3, "24h": 24 * 3600e3, "7d": 7 * 86400e3 };
const USUAL = "6h";
const AGAIN_MS = 60_000;
const IN_TABLE = 60;

/** The panel with the chart. */
export class Chart {
  row = null;
  #range = USUAL;
  #isChosen = false;
  #points = [];
  #limits = [];
  #most = 600;
  #asked = 0;
  #fetchedAt = 0;
  #at = null;
  #words = "";
  #isBusy = false;

  constructor(now) {
    this.now = now;
    mark(byId("ranges"), "aria-label", t("range"));
    mark(byId("plot"), "aria-label", t("read_nothing"));
    byId("ranges").append(...Object.keys(RANGES).map((key) =>
      el("button", { type: "button", "data-range": key, "aria-pressed": String(key === this.#range), click: () => this.#choose(key) }, t(`range_${key}`))));
    byId("reader").addEventListener("input", (event) => this.#read(Number(event.target.value)));
    byId("reader").addEventListener("blur", () => this.#read(null));
    byId("reader").addEventListener("focus", (event) => this.#read(Number(event.target.value)));
    byId("plot").addEventListener("pointermove", (event) => this.#point(event));
    byId("plot").addEventListener("pointerleave", () => this.#read(null));
    byId("table-box").addEventListener("toggle", () => this.#tabulate());
    new ResizeObserver(() => this.draw()).observe(byId("plot"));
  }

  /** Another series, or the same one with other limits. */
  choose(row, limits = this.#limits) {
    const isOther = this.row?.id !== row.id;
    this.row = row;
    this.#limits = limits;
    if (isOther) {
      this.#points = [];
      this.fetch();
    }
    this.#head();
  }

  /** The limits of the alerts about this series. */
  limit(limits) {
    if (JSON.stringify(limits) === JSON.stringify(this.#limits)) return;
    this.#limits = limits;
    this.draw();
  }

  #choose(key) {
    this.#isChosen = true;
    this.#reach(key);
    this.fetch();
  }

  #reach(key) {
    this.#range = key;
    for (const button of byId("ranges").children) mark(button, "aria-pressed", String(button.dataset.range === key));
  }

  // Until someone chooses, the shortest range that holds what there is: a station that was just started fills its chart.
  #fit(now) {
    const oldest = this.#points.length ? this.#points[0].t : now;
    this.#reach(Object.keys(RANGES).find((key) => RANGES[key] > now - oldest || key === USUAL));
  }

  #head() {
    say(byId("chart-title"), title(this.row));
    say(byId("chart-where"), `${this.row.series} · ${unit(this.row)}`);
  }

  /** Asks the box for the points of the range. An answer that was overtaken by another question is dropped. */
  async fetch() {
    const now = this.now();
    if (!this.row || now === null) return;
    const question = ++this.#asked;
    this.#fetchedAt = performance.now();
    this.#isBusy = true;
    this.#most = Math.min(1000, Math.max(200, Math.round(byId("plot").clientWidth)));
    const since = Math.round(now - RANGES[this.#isChosen ? this.#range : USUAL]);
    try {
      const { charts } = await ask(`chart?series=${this.row.id}&since=${since}000000&most=${this.#most}`);
      if (question !== this.#asked) return;
      this.#points = charts[0].points.map(([at, v, flag]) => ({ t: ms(at), v, flag, at }));
      this.#words = "";
      if (!this.#isChosen) this.#fit(now);
    } catch (error) {
      if (question !== this.#asked) return;
      this.#words = t("not_read", { words: error.message });
    }
    this.#isBusy = false;
    this.draw();
  }

  /** The newest row of the series that is shown. */
  append(row) {
    this.row = row;
    const time = ms(row.at);
    if (!this.#isBusy && (!this.#points.length || time > this.#points.at(-1).t)) {
      this.#points.push({ t: time, v: row.value, flag: row.flag, at: row.at });
      this.draw();
    }
  }

  /** Once a second: the window moves on; now and then the journal is asked again. */
  tick() {
    if (!this.row || document.hidden) return;
    if (performance.now() - this.#fetchedAt > AGAIN_MS) this.fetch();
    else if (this.#at && this.now() - this.#at.until > (RANGES[this.#range] / this.#at.wide) * 2) this.draw();
  }

  draw() {
    const now = this.now();
    const plot = byId("plot");
    const [wide, high] = [plot.clientWidth, plot.clientHeight];
    if (!this.row || now === null || wide < 80) return;
    const since = now - RANGES[this.#range];
    this.#points = this.#points.filter((p) => p.t > since);
    const longest = stride(this.#points, since, now, this.#most);
    this.#at = plane(this.#points, this.#limits, since, now, this.row.decimals, wide, high);
    plot.replaceChildren(drawing(this.#points, this.#limits, this.#at, this.row.decimals, longest));
    byId("legend").replaceChildren(...legend(this.#points, gaps(this.#points, since, now, longest)));
    mark(plot, "aria-label", this.#summary(since, now));
    const reader = byId("reader");
    const isAtEnd = document.activeElement !== reader;
    reader.disabled = !this.#points.length;
    reader.max = String(Math.max(0, this.#points.length - 1));
    if (isAtEnd) reader.value = reader.max;
    this.#read(isAtEnd ? null : Number(reader.value));
    this.#tabulate();
  }

  #summary(since, now) {
    const values = this.#points.filter((p) => p.v !== null && p.flag !== 4).map((p) => p.v);
    if (!values.length) return `${title(this.row)}: ${t("read_nothing")}`;
    const say_ = (v) => `${number(v, this.row.decimals)} ${unit(this.row)}`;
    return t("summary", { name: title(this.row), points: values.length, from: moment(since), to: moment(now), low: say_(Math.min(...values)), high: say_(Math.max(...values)) });
  }

  #spoken(p) {
    const value = p.v === null ? t("no_value") : `${number(p.v, this.row.decimals)} ${unit(this.row)}`;
    return `${moment(p.t, true)} · ${value} · ${t(`flag_${p.flag}`, {}, String(p.flag))}`;
  }

  #point(event) {
    if (!this.#at || !this.#points.length) return;
    const time = this.#at.time(event.clientX - byId("plot").getBoundingClientRect().left);
    let best = 0;
    this.#points.forEach((p, i) => {
      if (Math.abs(p.t - time) < Math.abs(this.#points[best].t - time)) best = i;
    });
    this.#read(best);
  }

  // null = nobody reads: the newest value stands there.
  #read(index) {
    const svg = byId("plot").firstElementChild;
    const p = this.#points[index ?? this.#points.length - 1];
    say(byId("readout"), this.#words || (p ? this.#spoken(p) : this.#isBusy ? t("loading") : t("read_nothing")));
    mark(byId("reader"), "aria-valuetext", p ? this.#spoken(p) : t("read_nothing"));
    if (!svg || !this.#at) return;
    const [cross, here] = [svg.querySelector(".cross"), svg.querySelector(".here")];
    const isShown = index !== null && p !== undefined;
    mark(cross, "visibility", isShown ? "visible" : "hidden");
    mark(here, "visibility", isShown && p.v !== null ? "visible" : "hidden");
    if (!isShown) return;
    const x = this.#at.x(p.t).toFixed(1);
    mark(cross, "x1", x);
    mark(cross, "x2", x);
    mark(here, "cx", x);
    if (p.v !== null) mark(here, "cy", this.#at.y(p.v).toFixed(1));
    byId("reader").value = String(index);
  }

  #tabulate() {
    if (!byId("table-box").open || !this.row) return;
    const newest = this.#points.slice(-IN_TABLE).reverse();
    const head = el("tr", {}, ...[t("time"), `${t("value")} (${unit(this.row)})`, t("quality")].map((words, i) => el("th", { scope: "col", class: i === 1 ? "count" : null }, words)));
    const body = newest.map((p) => el("tr", {}, el("td", {}, moment(p.t, true)),
      el("td", { class: "count" }, p.v === null ? "–" : number(p.v, this.row.decimals)), el("td", {}, t(`flag_${p.flag}`, {}, String(p.flag)))));
    byId("table").replaceChildren(el("table", {}, el("caption", {}, `${title(this.row)}, ${t("table_newest", { n: newest.length })}`), el("thead", {}, head), el("tbody", {}, ...body)));
  }
}
