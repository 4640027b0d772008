// The timeline of one request: a row for each candidate, a bar for each call and wait.

import { kindOf, make, nameOf, outcomeOf, seconds } from "./dom.js";

const ROOM = 0.03; // seconds by which a bar may begin before the one that it follows in its lane is recorded as ended
const SCALES = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600];

/** Return the end of the time axis for a request that has run so many seconds. */
export const scaleFor = (elapsed) => SCALES.find((scale) => elapsed <= scale) ?? Math.ceil(elapsed / 600) * 600;

/** Return the end of the time axis for a request that has ended: its quarters are numbers of one or two digits. */
export const endOf = (elapsed) => {
  const unit = 4 * 10 ** Math.floor(Math.log10(Math.max(elapsed, 0.04) / 4));
  return unit * Math.ceil(Math.max(elapsed, 0.04) / unit);
};

export class Timeline {
  /** `onOpen` is called with the entry whose bar was chosen. */
  constructor(onOpen) {
    this.onOpen = onOpen;
    this.bars = []; // in the order in which the arrow keys visit them: by candidate, then by time
    this.groups = new Map(); // by candidate
    this.explained = new Set(); // steps and kinds in the legend
    this.ticks = [0, 1, 2, 3, 4].map(() => make("span"));
    this.rows = make("div", { class: "rows" });
    this.legend = make("p", { class: "legend soft", "aria-hidden": "true" });
    this.line = make("p", { class: "line soft", "aria-hidden": "true" });
    this.element = make(
      "div",
      {
        class: "timeline",
        role: "group",
        "aria-label": "Timeline; the arrow keys move between calls, Enter opens one",
        onkeydown: (event) => this.#move(event),
      },
      make("div", { class: "axis", "aria-hidden": "true" }, ...this.ticks),
      this.rows,
      this.legend,
      this.line,
    );
  }

  /** Add a call or a wait, or replace what is known of it. */
  put(entry) {
    const known = entry.number && this.bars.find((bar) => bar.entry.number === entry.number);
    const bar = known || this.#add(entry);
    bar.entry = entry;
    const { started, seconds: lasted = Infinity } = entry;
    bar.lane.end = started + lasted - Math.min(ROOM, lasted / 4); // the lane is free then
    const kind = kindOf(entry);
    bar.element.className = `bar ${kind === "call" || kind === "running" ? entry.step : ""} ${kind}`;
    this.#explain(kind === "call" || kind === "running" ? entry.step : kind);
    bar.element.title = `${nameOf(entry)}: ${outcomeOf(entry)}`;
    bar.element.setAttribute("aria-label", bar.element.title);
    return bar;
  }

  /** Remove a call that was never sent. */
  drop(number) {
    const bar = this.bars.find((one) => one.entry.number === number);
    if (!bar) return;
    bar.element.remove();
    bar.lane.end = bar.entry.started;
    this.bars.splice(this.bars.indexOf(bar), 1);
    this.#makeOneReachable();
  }

  /** Draw the bars at this time, in seconds, on an axis of so many seconds. */
  draw(now, scale) {
    this.ticks.forEach((tick, index) => {
      const isLast = index === this.ticks.length - 1;
      tick.textContent = `${Number(((scale * index) / (this.ticks.length - 1)).toFixed(2))}${isLast ? " s" : ""}`;
    });
    for (const { entry, element } of this.bars) {
      const end = entry.seconds === undefined ? Math.max(now, entry.started) : entry.started + entry.seconds;
      const left = Math.min(100, (100 * entry.started) / scale);
      element.style.left = `${left}%`;
      element.style.width = `${Math.min(100 - left, (100 * (end - entry.started)) / scale)}%`;
    }
  }

  /** Show what the reply says of a candidate: its rating, and whether it was chosen. */
  label({ candidate, rating, chosen }) {
    const group = this.#group(candidate);
    group.note.textContent = [rating === null ? "" : `rated ${Number(rating.toFixed(2))}`, chosen ? "chosen" : ""]
      .filter(Boolean)
      .join(", ");
    group.element.classList.toggle("chosen", chosen);
  }

  /** Mark the bar whose details are shown; null: none. */
  mark(opened) {
    for (const bar of this.bars) bar.element.setAttribute("aria-expanded", String(bar === opened));
  }

  #group(candidate) {
    const known = this.groups.get(candidate);
    if (known) return known;
    const title = make("span", { text: candidate ? `Candidate ${candidate}` : "All candidates" });
    const note = make("span", { class: "note" });
    const lanes = make("div", { class: "lanes" });
    const element = make("div", { class: "group" }, make("div", { class: "label" }, title, note), lanes);
    const group = { candidate, element, title, note, lanes, ends: [] };
    this.groups.set(candidate, group);
    const after = [...this.groups.values()].filter((one) => one.candidate > candidate);
    const next = after.sort((one, other) => one.candidate - other.candidate)[0];
    this.rows.insertBefore(element, next ? next.element : null);
    return group;
  }

  #add(entry) {
    const group = this.#group(entry.candidate);
    if (entry.step === "direct") group.title.textContent = "Direct";
    let lane = group.ends.find((one) => one.end <= entry.started);
    if (!lane) {
      lane = { end: 0, element: make("div", { class: "lane" }) };
      group.ends.push(lane);
      group.lanes.append(lane.element);
    }
    const element = make("button", {
      type: "button",
      tabindex: "-1",
      "aria-expanded": "false",
      onclick: () => this.onOpen(bar),
      onfocus: () => this.#show(bar),
      onmouseenter: () => this.#show(bar),
    });
    element.append(make("span", { text: entry.max_tokens === undefined ? "" : entry.step }));
    const bar = { entry, element, lane };
    lane.element.append(element);
    this.bars.push(bar);
    this.bars.sort(
      (one, other) => one.entry.candidate - other.entry.candidate || one.entry.started - other.entry.started,
    );
    this.#makeOneReachable();
    return bar;
  }

  /** Add a step or a kind to the legend, which is shown where bars are too narrow for their names. */
  #explain(kind) {
    if (this.explained.has(kind)) return;
    this.explained.add(kind);
    this.legend.append(make("span", {}, make("i", { class: kind }), kind === "wait" ? "waiting" : kind));
  }

  #show({ entry }) {
    const model = entry.model ? `, ${entry.model}` : "";
    this.line.textContent = `${nameOf(entry)}, at ${seconds(entry.started)}: ${outcomeOf(entry)}${model}`;
  }

  /** Let the Tab key reach one bar; the arrow keys reach the others. */
  #makeOneReachable(wanted = this.bars.find((bar) => bar.element.tabIndex === 0)) {
    const reachable = wanted ?? this.bars[0];
    for (const bar of this.bars) bar.element.tabIndex = bar === reachable ? 0 : -1;
  }

  #move(event) {
    const at = this.bars.findIndex((bar) => bar.element === document.activeElement);
    const last = this.bars.length - 1;
    const to = {
      ArrowRight: at + 1,
      ArrowDown: at + 1,
      ArrowLeft: at - 1,
      ArrowUp: at - 1,
      Home: 0,
      End: last,
    }[event.key];
    if (at < 0 || to === undefined) return;
    event.preventDefault();
    const bar = this.bars[Math.min(last, Math.max(0, to))];
    this.#makeOneReachable(bar);
    bar.element.focus();
  }
}
