// The page: asks, watches requests, compares efforts, and lists the last requests.

import { key, stream } from "./api.js";
import { byId, dollars, many, seconds } from "./dom.js";
import { asked, refresh, refreshUntil } from "./requests.js";
import { RunView } from "./run.js";
import { endOf, scaleFor } from "./timeline.js";

const COMPARED = ["none", "auto", "medium"];
const HINTS = {
  none: "One direct call.",
  low: "One candidate: 6 calls.",
  auto: "Makes plans until answers agree: 5 calls or more.",
  medium: "Three candidates, rated if their answers differ: 24 to 27 calls.",
  high: "Five candidates along five approaches: 41 to 46 calls.",
  compare: `The same question with ${COMPARED.join(", ")}, side by side: about 30 calls.`,
};
const FRAME = matchMedia("(prefers-reduced-motion: reduce)").matches ? 1000 : 100; // ms

let views = []; // that are shown
let running = null; // the AbortController of the question that is being answered

function show(shown) {
  views = shown;
  const runs = byId("runs");
  runs.replaceChildren(...shown.map((view) => view.element));
  runs.classList.toggle("compared", shown.length > 1);
  draw();
}

function draw() {
  const elapsed = views.map((view) => (view.isRunning ? view.now : view.seconds));
  const isRunning = views.some((view) => view.isRunning);
  const longest = Math.max(0.05, ...elapsed);
  for (const view of views) view.draw(isRunning ? scaleFor(longest) : endOf(longest));
}

const say = (text) => (byId("status").textContent = text);

async function ask() {
  const question = byId("question").value.trim();
  if (!question || running) return;
  const chosen = document.querySelector("input[name=effort]:checked").value;
  const efforts = chosen === "compare" ? COMPARED : [chosen];
  running = new AbortController();
  setBusy(true);
  show(efforts.map((effort) => new RunView(effort)));
  say(`Asked with ${efforts.join(", ")}.`);
  const ticking = setInterval(draw, FRAME);
  try {
    await Promise.all(views.map((view, index) => run(view, question, efforts[index], running.signal)));
  } finally {
    clearInterval(ticking);
    running = null;
    setBusy(false);
    draw();
    await refreshUntil(views.map((view) => view.requestId).filter(Boolean));
  }
}

/** Ask with one effort, and show what happens. */
async function run(view, question, effort, signal) {
  const body = {
    messages: [{ role: "user", content: question }],
    cepo_cerebras_effort: effort,
    cepo_cerebras_live_trace: "replies",
  };
  view.begin();
  try {
    for await (const event of stream(body, signal)) {
      if (event.request_id) {
        view.requestId = event.request_id;
        asked.set(event.request_id, { question, effort });
      }
      const line = view.take(event);
      if (line) say(`${effort}: ${line}`);
    }
    const rendered = view.finish();
    const { calls, cost } = view.account ?? {};
    say(`${effort}: answered in ${seconds(view.seconds)} with ${many(calls ?? 0, "call")}, cost ${dollars(cost)}.`);
    await rendered;
  } catch (error) {
    if (error.name === "AbortError") view.stop();
    else view.fail(error);
    say(`${effort}: ${error.name === "AbortError" ? "stopped" : error.message}`);
  }
}

function setBusy(isBusy) {
  const focused = document.activeElement; // a button that is disabled would lose the focus
  byId("send").disabled = isBusy;
  byId("stop").disabled = !isBusy;
  if (focused === byId("send")) byId("stop").focus();
  if (focused === byId("stop")) views[0].element.focus({ preventScroll: true });
}

function showHint() {
  const chosen = document.querySelector("input[name=effort]:checked").value;
  byId("hint").textContent = HINTS[chosen];
}

/** Show the model; ask again every few seconds while the server is not ready. */
async function showServer() {
  let model;
  let text = "The server cannot be reached.";
  try {
    let reason;
    ({ model, reason } = await (await fetch("ready")).json());
    text = model ?? `Not ready: ${reason}`;
  } catch {
    // it is asked again
  }
  if (byId("server").textContent !== text) byId("server").textContent = text;
  if (!model) setTimeout(showServer, 2000);
}

byId("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  ask();
});
byId("question").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    ask();
  }
});
byId("stop").addEventListener("click", () => running?.abort());
byId("refresh").addEventListener("click", refresh);
for (const choice of document.querySelectorAll("input[name=effort]")) choice.addEventListener("change", showHint);
byId("forget-key").hidden = key.get() === null;
byId("forget-key").addEventListener("click", () => {
  key.forget();
  byId("forget-key").hidden = true;
  byId("question").focus();
});

showHint();
showServer();
refresh();
