"""The sidecar's page in a browser, in front of a simulated API whose answers a test chooses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import Browser, Locator, Page

from optillm_cerebras_cepo.simulator.answers import Answer
from optillm_cerebras_cepo.simulator.options import SimulatorOptions
from optillm_cerebras_cepo.simulator.schema import ChatCompletionServerRequest
from optillm_cerebras_cepo.simulator.server import Simulator
from support import web
from support.sidecar_process import sidecar
from support.waiting import PATIENCE, until

KEY = "csk-0123456789abcdef"
# A known rate: before the API's first reply only a few calls would go out otherwise.
ENVIRON = {"CEREBRAS_API_KEY": KEY, "CEPO_CEREBRAS_RPM": "60000", "CEPO_CEREBRAS_FIT_TOKENS": "false"}

# Notes what must not happen, before any script of the page runs.
WATCH = """
window.fired = [];
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => violations.push(event.violatedDirective));
"""


@dataclass
class Site:
    """A sidecar with the page. `answer` answers the API's calls; a test sets it."""

    url: str
    api: Simulator
    answers: list[Callable[[ChatCompletionServerRequest], Answer]] = field(repr=False)

    def answer(self, with_: str | Answer | Callable[[ChatCompletionServerRequest], Answer]) -> None:
        """Let the API answer like this from now on."""
        if isinstance(with_, str):
            with_ = Answer(with_)
        self.answers[:] = [(lambda _: with_) if isinstance(with_, Answer) else with_]

    def ask(self, question: str, effort: str) -> None:
        """Ask the server without a browser."""
        body = {"messages": [{"role": "user", "content": question}], "cepo_cerebras_effort": effort}
        web.post(f"{self.url}/v1/chat/completions", json=body).raise_for_status()


@contextmanager
def served(**options: Any) -> Iterator[Site]:
    """Serve the page. `arguments` and `environ` are the sidecar's, all other options the simulator's."""
    arguments, environ = options.pop("arguments", ()), options.pop("environ", {})
    answers: list[Callable[[ChatCompletionServerRequest], Answer]] = [lambda _: Answer("It is 42.")]
    with Simulator(SimulatorOptions(responder=lambda request: answers[0](request), **options)) as api:
        own = {**ENVIRON, "CEREBRAS_BASE_URL": api.url, **environ}
        with sidecar("--page", *arguments, environ=own) as server:
            yield Site(server.url, api, answers)


@dataclass
class Visit:
    """The page in a tab of its own, and what a user does there."""

    site: Site
    page: Page
    foreign: list[str]  # addresses of other hosts that were asked for
    errors: list[str]  # of scripts

    @property
    def runs(self) -> Locator:
        """Return the requests that are shown."""
        return self.page.locator("#runs > .run")

    @property
    def bars(self) -> Locator:
        """Return the bars of the timelines."""
        return self.runs.locator(".bar")

    def ask(self, effort: str = "low", question: str = "What is 6 times 7?") -> None:
        """Ask, and do not wait for the answer."""
        self.page.get_by_role("textbox", name="Question").fill(question)
        self.page.get_by_role("radio", name=effort).check()
        self.page.get_by_role("button", name="Ask", exact=True).click()

    def until_ended(self, state: str = "answered", count: int = 1) -> None:
        """Wait until so many requests have ended like this, and the page is ready for the next question."""
        self.page.locator(f"#runs .state:text-is('{state}')").nth(count - 1).wait_for()
        self.page.locator("#send:enabled").wait_for()

    def until_held(self, count: int) -> None:
        """Wait until the API holds so many calls; the page shows a call before it has arrived there."""
        until(lambda: self.site.api.held == count, lambda: (self.site.api.held, self.site.api.chat_calls))

    def release(self, count: int) -> None:
        """Wait until the API holds so many calls, and let it answer them."""
        self.until_held(count)
        self.site.api.release(count)

    def happened(self) -> list[str]:
        """Return what must not happen: scripts that ran, violations of the page's policy, errors, other hosts."""
        fired = self.page.evaluate("[...fired, ...violations]")
        return [*map(str, fired), *self.errors, *self.foreign]


@contextmanager
def visit(browser: Browser, site: Site, **options: Any) -> Iterator[Visit]:
    """Open the page in a session of its own. `options` are the browser's: viewport, color_scheme."""
    with browser.new_context(accept_downloads=True, **options) as session:
        session.set_default_timeout(1000 * PATIENCE)
        session.add_init_script(WATCH)
        page = session.new_page()
        here = Visit(site, page, [], [])
        page.on("request", lambda request: here.foreign.append(request.url) if _is_foreign(request.url, site) else None)
        page.on("pageerror", lambda error: here.errors.append(str(error)))
        page.on("dialog", lambda dialog: here.errors.append(f"dialog: {dialog.message}"))
        page.goto(site.url)
        page.locator("#server:not(:empty)").wait_for()
        yield here


def _is_foreign(url: str, site: Site) -> bool:
    return not url.startswith((f"{site.url}/", "data:", f"blob:{site.url}/"))
