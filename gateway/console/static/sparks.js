// The small curves beside the values: the last hour, one point a minute at most.

import { drawn, mark } from "./elements.js";
import { ask } from "./link.js";
import { ms } from "./words.js";

const BACK_MS = 3_600_000;
const STEP_MS = 60_000;
const AT_ONCE = 8;
const MOST = 60;
const [WIDE, HIGH] = [84, 28];
const kept = new Map();

/** Fetches the last hour of these series. */
export async function recall(ids, now) {
  const since = Math.round(now - BACK_MS);
  for (let first = 0; first < ids.length; first += AT_ONCE) {
    const some = ids.slice(first, first + AT_ONCE);
    const { charts } = await ask(`chart?series=${some.join(",")}&since=${since}000000&most=${MOST}`);
    for (const { series, points } of charts) kept.set(series, points.map(([at, value, flag]) => ({ t: ms(at), v: value, flag })));
  }
}

/** Adds the newest row; within one minute the last one stands for all. */
export function remember(row) {
  const points = kept.get(row.id) ?? [];
  kept.set(row.id, points);
  const t = ms(row.at);
  const [before, last] = points.slice(-2);
  if (last && t <= last.t) return;
  if (last && before && t - before.t < STEP_MS) points.pop();
  points.push({ t, v: row.value, flag: row.flag });
  while (points.length && points[0].t < t - BACK_MS) points.shift();
}

/** Milliseconds between rows, as far as can be seen; null if it cannot. */
export function period(id) {
  const gaps = (kept.get(id) ?? []).slice(-12).map((point, i, all) => (i ? point.t - all[i - 1].t : 0)).slice(1).sort((a, b) => a - b);
  return gaps.length > 1 ? gaps[gaps.length >> 1] : null;
}

/** An empty curve. */
export const spark = () =>
  drawn("svg", { class: "spark", viewBox: `0 0 ${WIDE} ${HIGH}`, "aria-hidden": "true", preserveAspectRatio: "none" },
    drawn("path", { class: "spark-line" }), drawn("path", { class: "spark-end" }));

/** Draws what is known of a series into its curve. Values that failed or are missing are gaps. */
export function redraw(svg, id) {
  const points = kept.get(id) ?? [];
  const good = points.filter((point) => point.v !== null && point.flag !== 4);
  const [line, end] = svg.children;
  if (!good.length) {
    mark(line, "d", "");
    mark(end, "d", "");
    return;
  }
  const until = points.at(-1).t;
  const start = Math.min(good[0].t, until - 60_000);
  const values = good.map((point) => point.v);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const x = (t) => (2 + ((t - start) / (until - start)) * (WIDE - 5)).toFixed(1);
  const y = (v) => (high > low ? HIGH - 4 - ((v - low) / (high - low)) * (HIGH - 8) : HIGH / 2).toFixed(1);
  // The box thins to the extremes of every third of these steps, so neighbours may be two of its steps apart.
  const longest = Math.max(3.2 * (period(id) ?? 0), (6.6 * BACK_MS) / MOST);
  let path = "";
  let last = null;
  for (const point of points) {
    if (point.v === null || point.flag === 4) last = null;
    else {
      path += `${last !== null && point.t - last <= longest ? "L" : "M"}${x(point.t)} ${y(point.v)}`;
      last = point.t;
    }
  }
  const newest = good.at(-1);
  mark(line, "d", path);
  mark(end, "d", `M${x(newest.t)} ${y(newest.v)}h0`);
}
