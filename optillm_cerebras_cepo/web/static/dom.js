// Elements, numbers as text, and the one place where HTML becomes part of the page.

// The page's policy lets no other code turn a text into HTML.
const rendered = window.trustedTypes?.createPolicy("rendered", { createHTML: (html) => html }) ?? {
  createHTML: (html) => html,
};

/** Put HTML that the server has rendered and sanitised into an element. */
export function setRendered(element, html) {
  element.innerHTML = rendered.createHTML(html);
}

/** Return a new element. `on…` are listeners, `text` is its text, the rest are attributes; null leaves one out. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "text") element.textContent = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

export const byId = (id) => document.getElementById(id);

export const seconds = (value) => `${value < 9.95 ? value.toFixed(1) : Math.round(value)} s`;

export const count = (value) => (value ?? 0).toLocaleString("en");

export const many = (value, noun) => `${count(value)} ${noun}${value === 1 ? "" : "s"}`;

/** Return a cost with as many digits as it needs. */
export function dollars(cost) {
  if (cost === null || cost === undefined) return "unknown";
  if (cost > 0 && cost < 0.0001) return "<$0.0001";
  return `$${cost.toFixed(cost >= 1 || cost === 0 ? 2 : 4)}`;
}

/** What a call or a wait belongs to, as in `candidate 2 plan`. */
export const nameOf = (entry) => (entry.candidate ? `candidate ${entry.candidate} ${entry.step}` : entry.step);

const CANCELLED = ["superseded", "ended"]; // error codes of calls that were given up, and did not fail

/** Return whether an entry of a trace is `running`, a `wait`, or a call that was answered, `cancelled`, or `failed`. */
export function kindOf(entry) {
  if (entry.max_tokens === undefined) return "wait";
  if (entry.error) return CANCELLED.includes(entry.error) ? "cancelled" : "failed";
  return entry.seconds === undefined ? "running" : "call";
}

/** Return what came of a call or a wait. */
export function outcomeOf(entry) {
  const kind = kindOf(entry);
  if (kind === "running") return "running";
  const time = seconds(entry.seconds);
  if (kind !== "call") return `${time}, ${kind === "wait" ? "waits" : kind}: ${entry.message}`;
  const cut = entry.finish_reason === "length" ? ", cut at its token limit" : "";
  return `${time}, ${entry.completion_tokens === null ? "unknown tokens" : many(entry.completion_tokens, "token")}${cut}`;
}
