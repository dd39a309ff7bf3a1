// Round figures for axes.

/** Steps of 1, 2 or 5 tens from low to high, about so many. */
export function roundFigures(low, high, about) {
  const raw = (high - low) / about;
  const ten = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((one) => one * ten).find((one) => one >= raw);
  const first = Math.ceil(low / step - 1e-9);
  const figures = [];
  for (let n = first; n * step <= high + step * 1e-9; n++) figures.push(Number((n * step).toPrecision(12)));
  return { figures, decimals: Math.max(0, -Math.floor(Math.log10(step) + 1e-9)) };
}

const STEPS_S = [10, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800];

/** Round times of this browser's zone in [since, until], ms, at most so many. */
export function roundTimes(since, until, most) {
  const step = 1000 * (STEPS_S.find((s) => (until - since) / (s * 1000) <= most) ?? 604800);
  const zone = new Date(since).getTimezoneOffset() * 60_000;
  const times = [];
  for (let time = Math.ceil((since - zone) / step) * step + zone; time <= until; time += step) times.push(time);
  return { times, step };
}

/** The range that the good values need, with room, and never of no height. */
export function room(values, decimals) {
  const [low, high] = values.length ? [Math.min(...values), Math.max(...values)] : [0, 1];
  const least = 5 * 10 ** -decimals;
  const spread = Math.max(high - low, least);
  const middle = (high + low) / 2;
  const half = high - low < least ? spread / 2 : spread * 0.56;
  return low >= 0 && middle - half < 0 ? [0, middle + half] : [middle - half, middle + half];
}
