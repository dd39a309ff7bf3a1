// The connection to the box: a stream of changes; if there is none to be had, a look every few seconds.
// It also keeps the box's time, so that ages are true even where this computer's clock is not.

const SILENT_MS = 12_000;
const LOOK_MS = 5_000;
const HIDDEN_MS = 30_000;
const AGAIN_MS = 3_000;

/** Tells `take(kind, message)` all news and `change()` whenever `state` is another one. */
export class Link {
  state = "starting";
  lastAt = null;
  #source = null;
  #timers = new Map();
  #heard = performance.now();
  #now = null;

  constructor(take, change) {
    this.take = take;
    this.change = change;
    document.addEventListener("visibilitychange", () => this.#visibility());
    setInterval(() => this.#watch(), 1000);
    this.#open();
  }

  /** The box's time now, ms; null before the first message. A computer that slept has not stopped the box's clock. */
  now() {
    if (this.#now === null) return null;
    return this.#now.box + Math.max(performance.now() - this.#now.steady, Date.now() - this.#now.wall);
  }

  #open() {
    this.#close();
    this.#heard = performance.now();
    const source = (this.#source = new EventSource("/api/v0/stream"));
    for (const kind of ["all", "change", "beat"]) {
      source.addEventListener(kind, (event) => this.#hear(kind, JSON.parse(event.data), "live"));
    }
    source.onerror = () => {
      if (source !== this.#source) return;
      this.#cut();
      if (source.readyState === EventSource.CLOSED) this.#look();
    };
  }

  #close() {
    this.#source?.close();
    this.#source = null;
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
  }

  #hear(kind, message, state) {
    this.#heard = performance.now();
    this.lastAt = Date.now();
    this.#now = { box: Number(message.now) / 1e6, steady: performance.now(), wall: Date.now() };
    this.take(kind, message);
    this.#become(state);
  }

  #become(state) {
    if (this.state === state) return;
    this.state = state;
    this.change();
  }

  #cut() {
    this.#become("cut");
  }

  #later(name, ms, act) {
    clearTimeout(this.#timers.get(name));
    this.#timers.set(name, setTimeout(act, ms));
  }

  // The stream was refused (too many listeners) or is gone: look by asking, and try the stream again now and then.
  async #look(turn = 0) {
    if (turn >= 6) return this.#open();
    try {
      const [live, alerts, status] = await Promise.all(["live", "alerts", "status"].map(ask));
      const order = alerts.alerts.map((alert) => alert.id);
      this.#hear("all", { now: live.now, series: live.live, alerts: alerts.alerts, order, status }, "polling");
      this.#later("look", LOOK_MS, () => this.#look(turn + 1));
    } catch {
      this.#cut();
      this.#later("look", AGAIN_MS, () => this.#open());
    }
  }

  #watch() {
    if (document.hidden || performance.now() - this.#heard < SILENT_MS) return;
    this.#cut();
    this.#open();
  }

  // A page that nobody sees gives its stream back: a browser has only six connections to one address.
  #visibility() {
    if (document.hidden) this.#later("hidden", HIDDEN_MS, () => this.#close());
    else if (this.#source === null) this.#open();
    else clearTimeout(this.#timers.get("hidden"));
  }
}

/** One page of the API. Throws with the box's words if it refuses. */
export async function ask(path) {
  const answer = await fetch(`/api/v0/${path}`, { signal: AbortSignal.timeout(15_000) });
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.error);
  return body;
}
