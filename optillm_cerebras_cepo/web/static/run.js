// One request: its figures, its timeline, the step that is open, and the answer.

import { render } from "./api.js";
import { count, dollars, kindOf, make, many, nameOf, outcomeOf, seconds, setRendered } from "./dom.js";
import { Timeline } from "./timeline.js";

const FIGURES = ["Seconds", "Calls", "Tokens", "Cost", "Agreement"];
let numbers = 0; // for ids

export class RunView {
  constructor(title, question = "") {
    const id = `run-${(numbers += 1)}`;
    this.text = "";
    this.isRunning = false;
    this.seconds = 0;
    this.account = null;
    this.opened = null;
    this.calls = new Map(); // by number
    this.zero = performance.now(); // when the request began on the server, as this page's clock shows it
    this.figures = Object.fromEntries(FIGURES.map((name) => [name, make("dd", { text: "…" })]));
    this.state = make("span", { class: "state" });
    this.timeline = new Timeline((bar) => this.#toggle(bar));
    this.detail = make("section", { class: "detail", id: `${id}-detail`, "aria-label": "Step", hidden: true });
    this.answer = make("div", { class: "answer", role: "region", "aria-label": `Answer, ${title}` });
    this.notes = make("ul", { class: "notes soft", "aria-label": "Decisions" });
    this.element = make(
      "article",
      { class: "run", "aria-labelledby": id, tabindex: "-1" },
      make("div", { class: "heading" }, make("h2", { id, text: title }), this.state),
      make(
        "dl",
        {},
        ...FIGURES.map((name) => make("div", {}, make("dt", { text: name }), this.figures[name])),
      ),
      make("div", { class: "work" }, this.timeline.element, this.detail),
      make("div", {}, question ? make("p", { class: "question", text: question }) : null, this.answer, this.notes),
    );
  }

  /** Seconds since the request began. */
  get now() {
    return (performance.now() - this.zero) / 1000;
  }

  begin() {
    this.zero = performance.now();
    this.isRunning = true;
    this.element.setAttribute("aria-busy", "true");
    this.#setState("working", "running");
    this.answer.replaceChildren(make("p", { class: "soft", text: "The answer will be here." }));
  }

  /** Take an event of the stream. Returns a line to announce, or nothing. */
  take(event) {
    const ours = event.cepo_cerebras;
    if (ours?.trace) return this.#takeEntry(ours.trace);
    if (ours) this.account = ours;
    const choice = event.choices?.[0];
    if (choice?.delta?.content) {
      this.text += choice.delta.content;
      this.answer.replaceChildren(make("div", { class: "source", text: this.text }));
    }
    if (choice?.finish_reason === "length") this.cut = true;
    return "";
  }

  /** Draw the time that has passed, on an axis of so many seconds. */
  draw(scale) {
    const now = this.isRunning ? this.now : this.seconds;
    this.timeline.draw(now, scale);
    if (!this.isRunning) return;
    const done = [...this.calls.values()].filter((call) => call.seconds !== undefined);
    const tokens = done.reduce((sum, call) => sum + (call.prompt_tokens ?? 0) + (call.completion_tokens ?? 0), 0);
    this.figures.Seconds.textContent = now.toFixed(1);
    this.figures.Calls.textContent = count(this.calls.size);
    this.figures.Tokens.textContent = count(tokens);
  }

  async finish() {
    this.#end(this.account?.seconds ?? this.now);
    this.#setState(this.cut ? "cut at the token limit" : "answered", "answered");
    this.#showAccount(this.account ?? {});
    await this.#fill(this.answer, this.text);
  }

  fail(error) {
    this.#end(this.now);
    this.#setState("failed", "failed");
    this.#showAccount(error.body?.cepo_cerebras ?? {});
    this.#showError(error);
  }

  stop() {
    this.#end(this.now);
    this.#setState("stopped", "failed");
    this.#showAccount({});
    if (!this.text) this.answer.replaceChildren(make("p", { class: "soft", text: "Stopped. There is no answer." }));
  }

  /** Show a trace of the server, which has ended. */
  show(trace) {
    this.#setState(trace.status === 200 ? "answered" : trace.status === 499 ? "stopped" : "failed");
    for (const call of trace.calls) this.timeline.put(call);
    for (const wait of trace.waits) this.timeline.put(wait);
    for (const event of trace.events) this.#note(event);
    this.#end(trace.seconds);
    this.#showAccount(trace.cepo_cerebras ?? {});
    if (trace.error) this.#showError(trace.error);
    else {
      // The answer is what the chosen candidate wrote last, or a call of no candidate: a direct answer, a repair.
      const chosen = (trace.cepo_cerebras?.candidates ?? []).find((one) => one.chosen)?.candidate ?? 0;
      const last = trace.calls
        .filter((call) => call.text && call.step !== "rating" && [chosen, 0].includes(call.candidate))
        .at(-1);
      if (last) this.#fill(this.answer, last.text);
      else this.answer.replaceChildren(make("p", { class: "soft", text: NO_TEXTS }));
    }
    this.draw(trace.seconds);
  }

  #takeEntry({ calls, waits, events }) {
    const entry = calls ?? waits;
    if (entry) this.zero = Math.min(this.zero, performance.now() - 1000 * entry.started);
    if (calls?.made === false) {
      this.calls.delete(calls.number);
      this.timeline.drop(calls.number);
      if (this.opened?.entry.number === calls.number) this.#toggle(this.opened);
      return "";
    }
    if (entry) {
      const bar = this.timeline.put(entry);
      if (calls) this.calls.set(calls.number, calls);
      if (bar === this.opened) this.#showStep(entry);
    }
    return events ? this.#note(events) : "";
  }

  #note(event) {
    const groups = event.groups?.length > 1 ? `: ${event.groups.map((group) => group.join(" = ")).join(" ≠ ")}` : "";
    this.notes.append(make("li", { text: event.message + groups }));
    return event.message;
  }

  #end(total) {
    this.isRunning = false;
    this.seconds = total;
    this.element.removeAttribute("aria-busy");
    this.figures.Seconds.textContent = total.toFixed(1);
    for (const call of this.calls.values()) {
      if (call.seconds !== undefined) continue;
      // Its end was not reported: the request ended before.
      const ended = { error: "ended", message: "the request ended", seconds: Math.max(0, total - call.started) };
      this.timeline.put({ ...call, ...ended });
    }
  }

  #setState(text, kind = text) {
    this.state.textContent = text;
    this.state.className = `state ${kind}`;
  }

  #showAccount(account) {
    this.figures.Cost.textContent = dollars(account.cost);
    this.figures.Calls.textContent = count(account.calls ?? this.calls.size);
    this.figures.Tokens.textContent = count((account.prompt_tokens ?? 0) + (account.completion_tokens ?? 0));
    this.figures.Agreement.textContent = account.agreement == null ? "–" : `${Math.round(100 * account.agreement)} %`;
    for (const candidate of account.candidates ?? []) this.timeline.label(candidate);
    for (const [title, lines] of [["left out", account.degraded], ["adapted", account.fitted]]) {
      for (const line of lines ?? []) this.notes.append(make("li", { class: title === "adapted" ? null : "warning", text: title === "adapted" ? `adapted: ${line}` : line }));
    }
  }

  #showError(error) {
    const code = error.code ? make("code", { text: error.code }) : null;
    this.answer.replaceChildren(make("p", { class: "bad", role: "alert" }, `${error.message} `, code));
  }

  #toggle(bar) {
    this.opened = this.opened === bar ? null : bar;
    this.timeline.mark(this.opened);
    this.detail.hidden = this.opened === null;
    if (this.opened) this.#showStep(this.opened.entry);
  }

  #showStep(entry) {
    const close = () => {
      const bar = this.opened;
      this.#toggle(bar);
      bar.element.focus();
    };
    const facts = [`from ${seconds(entry.started)}`, outcomeOf(entry)];
    if (entry.model) facts.push(entry.model, `at most ${many(entry.max_tokens, "token")}`);
    if (entry.prompt_tokens) facts.push(many(entry.prompt_tokens, "prompt token"));
    const reply = make("div", { class: "reply" });
    this.detail.replaceChildren(
      make(
        "div",
        { class: "heading" },
        make("h3", { text: nameOf(entry) }),
        make("button", { type: "button", class: "quiet", text: "Close", onclick: close }),
      ),
      make("p", { class: "soft", text: facts.join(" · ") }),
      reply,
    );
    this.detail.onkeydown = (event) => event.key === "Escape" && close();
    if (entry.text) {
      this.#fill(reply, entry.text);
      this.detail.append(sourceOf("Source", entry.text));
    } else if (kindOf(entry) === "call") reply.append(make("p", { class: "soft", text: NO_TEXTS }));
    if (entry.reasoning) this.detail.append(sourceOf("Reasoning", entry.reasoning));
  }

  /** Show a text of a model: as it is at first, and rendered when the server has done so. */
  async #fill(element, text) {
    element.replaceChildren(make("div", { class: "source", text }));
    try {
      const html = await render(text);
      const shown = make("div", { class: "rendered" });
      setRendered(shown, html);
      element.replaceChildren(shown);
    } catch (error) {
      element.append(make("p", { class: "soft", text: `Not rendered: ${error.message}` }));
    }
  }
}

const NO_TEXTS = "The server keeps no texts of earlier requests unless CEPO_CEREBRAS_TRACE_TEXT is true.";

function sourceOf(title, text) {
  return make("details", {}, make("summary", { text: title }), make("pre", { text }));
}
