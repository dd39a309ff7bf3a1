// Draws one series over time. A gap is a gap: no line is drawn over values that are missing, failed or never came.

import { drawn, el, shape } from "./elements.js";
import { room, roundFigures, roundTimes } from "./scales.js";
import { about, clock, day, t } from "./words.js";

const EDGE = { left: 54, right: 14, top: 14, bottom: 26 };
const FAIL = 4;
const SUSPECT = 3;

/** Places of a drawing: points of time and value on a plane so wide and high. */
export function plane(points, limits, since, until, decimals, wide, high) {
  const firm = points.filter((p) => p.v !== null && p.flag !== FAIL).map((p) => p.v);
  const near = limits.map((limit) => limit.value);
  const [low, top] = room([...firm, ...near], decimals);
  const x = (time) => EDGE.left + ((time - since) / (until - since)) * (wide - EDGE.left - EDGE.right);
  const y = (v) => EDGE.top + (1 - (Math.min(Math.max(v, low), top) - low) / (top - low)) * (high - EDGE.top - EDGE.bottom);
  return { x, y, low, top, since, until, wide, high, edge: EDGE, time: (px) => since + ((px - EDGE.left) / (wide - EDGE.left - EDGE.right)) * (until - since) };
}

/** Stretches of time that no line may cross: [from, to], ms. */
export function gaps(points, since, until, stride) {
  const found = [];
  let last = null;
  for (const p of points) {
    const isGood = p.v !== null && p.flag !== FAIL;
    if (isGood) {
      if (last !== null && (last.broken || p.t - last.t > stride)) found.push([last.t, p.t]);
      last = { t: p.t, broken: false };
    } else if (last !== null) last.broken = true;
    else last = { t: Math.max(since, p.t), broken: true };
  }
  if (last?.broken) found.push([last.t, until]);
  return found;
}

/**
 * What is too long between two neighbours for a line: three usual distances. Where the box has thinned, it kept the extremes of
 * every three steps of (until - since) / most, so two neighbours may be six steps apart; what was missing in between it kept as well.
 */
export function stride(points, since, until, most) {
  const steps = points.slice(1).map((p, i) => p.t - points[i].t).sort((a, b) => a - b);
  return Math.max(3.2 * (steps[steps.length >> 1] ?? 0), steps.length > 0.3 * most ? (6.6 * (until - since)) / most : 0);
}

function curve(points, at, longest) {
  let path = "";
  let last = null;
  for (const p of points) {
    if (p.v === null || p.flag === FAIL) last = null;
    else {
      const starts = last === null || p.t - last > longest;
      path += `${starts ? "M" : "L"}${at.x(p.t).toFixed(1)} ${at.y(p.v).toFixed(1)}${starts ? "h0" : ""}`;
      last = p.t;
    }
  }
  return path;
}

function grid(at, decimals) {
  const made = [];
  const { figures, decimals: needed } = roundFigures(at.low, at.top, Math.max(2, Math.round(at.high / 60)));
  for (const figure of figures) {
    const y = at.y(figure).toFixed(1);
    made.push(drawn("line", { class: "grid", x1: at.edge.left, x2: at.wide - at.edge.right, y1: y, y2: y }));
    made.push(drawn("text", { class: "tick end", x: at.edge.left - 8, y, dy: "0.32em" }, about(figure, Math.max(needed, 0))));
  }
  const { times, step } = roundTimes(at.since, at.until, Math.max(2, Math.floor(at.wide / 84)));
  const base = at.high - at.edge.bottom;
  for (const time of times) {
    const x = at.x(time).toFixed(1);
    const isDay = step >= 86_400_000 || new Date(time).getHours() + new Date(time).getMinutes() === 0;
    made.push(drawn("line", { class: "grid upright", x1: x, x2: x, y1: at.edge.top, y2: base }));
    made.push(drawn("text", { class: "tick middle", x, y: base + 17 }, isDay ? day(time) : clock(time, step < 60_000)));
  }
  made.push(drawn("line", { class: "axis", x1: at.edge.left, x2: at.wide - at.edge.right, y1: base, y2: base }));
  return made;
}

function marker(p, at) {
  const [x, y] = [at.x(p.t).toFixed(1), at.y(p.v).toFixed(1)];
  if (p.flag === SUSPECT) return drawn("path", { class: "point suspect", d: `M${x} ${y}m0-5l5 8.5h-10z` });
  if (p.flag === FAIL) return drawn("path", { class: "point fail", d: `M${x} ${y}m-4-4l8 8m0-8l-8 8` });
  return null;
}

// Its words stand at the end that the curve leaves free.
function limitLine(limit, at, decimals, points) {
  const y = at.y(limit.value).toFixed(1);
  const last = points.findLast((p) => p.v !== null);
  const isLeft = last !== undefined && Math.abs(at.y(last.v) - y) < 36;
  const words = t("limit_line", { colour: t(`colour_${limit.colour}`, {}, limit.colour), value: about(limit.value, decimals + 2) });
  const below = Number(y) < at.edge.top + 16;
  return drawn("g", { class: "limit" }, drawn("line", { x1: at.edge.left, x2: at.wide - at.edge.right, y1: y, y2: y }),
    drawn("text", { class: `tick ${isLeft ? "" : "end"}`, x: isLeft ? at.edge.left + 6 : at.wide - at.edge.right - 4, y, dy: below ? "1.2em" : "-0.45em" }, words));
}

/** The whole drawing as one SVG element. */
export function drawing(points, limits, at, decimals, longest) {
  const bands = gaps(points, at.since, at.until, longest).map(([from, to]) =>
    drawn("rect", { class: "gap", x: at.x(from).toFixed(1), width: Math.max(1, at.x(to) - at.x(from)).toFixed(1), y: at.edge.top, height: at.high - at.edge.top - at.edge.bottom }));
  const hatch = drawn("pattern", { id: "hatch", width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
    drawn("line", { class: "hatch", x1: 0, y1: 0, x2: 0, y2: 6 }));
  return drawn("svg", { viewBox: `0 0 ${at.wide} ${at.high}`, width: at.wide, height: at.high, "aria-hidden": "true", focusable: "false" },
    drawn("defs", {}, hatch), ...grid(at, decimals), ...bands, ...limits.map((limit) => limitLine(limit, at, decimals, points)),
    drawn("path", { class: "curve", d: curve(points, at, longest) }),
    ...points.filter((p) => p.v !== null).map((p) => marker(p, at)),
    drawn("line", { class: "cross", y1: at.edge.top, y2: at.high - at.edge.bottom, visibility: "hidden" }),
    drawn("circle", { class: "here", r: 4.5, visibility: "hidden" }));
}

/** What the marks mean, only those that occur. */
export function legend(points, bands) {
  const entry = (name, kind, words) => el("li", {}, shape(name, kind), words);
  const found = [];
  if (points.some((p) => p.flag === SUSPECT)) found.push(entry("flag-3", "suspect", t("flag_3")));
  if (points.some((p) => p.flag === FAIL && p.v !== null)) found.push(entry("flag-4", "fail", t("flag_4")));
  if (bands.length) found.push(el("li", {}, el("span", { class: "swatch", "aria-hidden": "true" }), t("gap")));
  return found;
}
