// Words, numbers and times as people read them, in the language of the page.

export const language = document.documentElement.lang;
const tag = language === "zh" ? "zh-CN" : "en-GB";
let table = {};

/** Fetches the words of the page's language. */
export async function learn() {
  table = await (await fetch(`/messages/${language}.json`)).json();
}

/** The words for a key, with {names} filled in; an unknown key gives `otherwise`, or itself. */
export const t = (key, names = {}, otherwise = key) =>
  Object.hasOwn(table, key) ? table[key].replace(/\{(\w+)\}/g, (_, name) => String(names[name] ?? "")) : otherwise;

/** A count with its noun: one, or several. */
export const counted = (key, n) => t(`${key}_${n === 1 ? 1 : "n"}`, { n: whole(n) });

const formats = new Map();
function format(kind, options) {
  const key = kind.name + JSON.stringify(options);
  if (!formats.has(key)) formats.set(key, new kind(tag, options));
  return formats.get(key);
}

const minus = (text) => text.replace("-", "\u2212");

/** A measured value with the digits that its quantity is read with. */
export const number = (value, decimals) =>
  minus(format(Intl.NumberFormat, { minimumFractionDigits: decimals, maximumFractionDigits: decimals, signDisplay: "negative" }).format(value));

/** A number with at most so many digits behind the point. */
export const about = (value, decimals) => minus(format(Intl.NumberFormat, { maximumFractionDigits: decimals }).format(value));

/** A count. */
export const whole = (value) => minus(format(Intl.NumberFormat, { maximumFractionDigits: 0 }).format(value));

/** Bytes, in the decimal units that the site file uses. */
export function size(bytes) {
  const step = bytes > 0 ? Math.min(4, Math.floor(Math.log10(bytes) / 3)) : 0;
  return `${about(bytes / 1000 ** step, step ? 1 : 0)} ${["B", "kB", "MB", "GB", "TB"][step]}`;
}

/** A unit for people: pH has its own word, other bare numbers are said to be so. */
export const unit = (row) => (row.unit !== "1" ? row.unit : /(^|_)ph$/.test(row.quantity) ? "pH" : t("no_unit"));

/** The name that a standard gives to a number, in the page's language; "" for a number without one. */
export const category = (row) => row.category?.[language] || row.category?.en || "";

/** A label in the page's language. */
export const label = (row) => row.label?.[language] || row.label?.en || row.quantity;

/** How long ago, or how long, in one unit. */
export function age(ms) {
  const s = Math.max(0, Math.floor(ms / 1000));
  if (s < 1) return t("age_now");
  if (s < 120) return t("age_s", { n: s });
  if (s < 7200) return t("age_min", { n: Math.floor(s / 60) });
  if (s < 172800) return t("age_h", { n: Math.floor(s / 3600) });
  return t("age_d", { n: Math.floor(s / 86400) });
}

/** The length of a statistic's interval. */
export function span(s) {
  for (const [key, length] of [["age_d", 86400], ["age_h", 3600], ["age_min", 60]]) {
    if (s >= length && s % length === 0) return t(key, { n: s / length });
  }
  return t("age_s", { n: s });
}

const clockFormat = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
const dayFormat = { day: "numeric", month: "short" };

/** Hours and minutes, seconds if wanted. */
export const clock = (ms, seconds = false) =>
  format(Intl.DateTimeFormat, seconds ? { ...clockFormat, second: "2-digit" } : clockFormat).format(ms);

/** A day. */
export const day = (ms) => format(Intl.DateTimeFormat, dayFormat).format(ms);

/** A time that may be on another day. */
export const moment = (ms, seconds = false) =>
  new Date(ms).toDateString() === new Date().toDateString() ? clock(ms, seconds) : `${day(ms)} ${clock(ms, seconds)}`;

/** Nanoseconds as the box sends them, in milliseconds; also takes a written time. */
export const ms = (ns) => (/^-?\d+$/.test(String(ns)) ? Number(ns) / 1e6 : Date.parse(ns));

/** A number as Python writes it, so that what stands in the page can be compared with a ledger letter by letter. */
export function exact(value) {
  if (value === null || value === undefined) return "";
  const size_ = Math.abs(value);
  if (size_ !== 0 && (size_ < 1e-4 || size_ >= 1e16)) return value.toExponential().replace(/e([+-])(\d)$/, "e$10$2");
  const text = Object.is(value, -0) ? "-0" : String(value);
  return /[.e]/.test(text) ? text : `${text}.0`;
}

export const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
