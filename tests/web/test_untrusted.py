"""What a model writes, and what it is called, cannot run a script on the page."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from support.site import WATCH, Site, Visit, served, visit
from support.waiting import PATIENCE

from optillm_cerebras_cepo.simulator.answers import Answer

expect.set_options(timeout=1000 * PATIENCE)

STATIC = Path(__file__).parents[2] / "optillm_cerebras_cepo" / "web" / "static"
NAME = "<img src=x onerror=fired.push('name')>"

# Each of the first ones would run in a page that shows it as HTML.
RUNNING = (
    """<img src=x onerror="fired.push('img')">""",
    """<svg onload="fired.push('svg')"></svg>""",
    """<details open ontoggle="fired.push('details')">x</details>""",
    """<math><mtext><img src=x onerror="fired.push('math')"></mtext></math>""",
    """<iframe srcdoc="<script>parent.fired.push('frame')</script>"></iframe>""",
)
OTHERS = (
    """<script>fired.push('script')</script>""",
    """<style>@import 'http://evil.example/x.css';</style>""",
    """<form action="http://evil.example"><button>go</button></form>""",
    """<a href="javascript:fired.push('a')">one</a>""",
    """[two](javascript:fired.push('link)""",
    """[three](JaVaScRiPt&colon;fired.push('entity'))""",
    """[four](data:text/html,<script>parent.fired.push('data')</script>)""",
    """![five](http://evil.example/x.png)""",
    """![six](x" onerror="fired.push('attribute'))""",
    r"""$\href{javascript:fired.push('tex')}{x}$""",
    r"""$\text{<img src=x onerror="fired.push('text')">}$""",
    r"""\[ \text{</math><img src=x onerror="fired.push('closed')">} \]""",
    """```html\n<img src=x onerror="fired.push('code')">\n```""",
    """| <img src=x onerror="fired.push('cell')"> |\n|---|\n| x |""",
    """<http://evil.example/" onmouseover="fired.push('auto')>""",
    """[seven]: javascript:fired.push('reference')\n\n[seven]""",
)
HOSTILE = "\n\n".join([*OTHERS, *RUNNING])


@pytest.fixture(scope="module")
def hostile_site() -> Iterator[Site]:
    """A sidecar whose model has HTML as its name, and answers with attacks at every step."""
    with served(models=(f"{NAME}=llama-3.3-70b",), environ={"CEPO_CEREBRAS_MODEL": NAME}) as site:
        site.answer(Answer(HOSTILE, reasoning=HOSTILE))
        yield site


@pytest.fixture
def tab(browser: Browser, hostile_site: Site) -> Iterator[Visit]:
    """Its page."""
    with visit(browser, hostile_site) as here:
        yield here


def test_attacks_in_answer_plan_and_model_name(tab: Visit) -> None:
    """They are shown as text, and no request goes to another host."""
    tab.ask("low", HOSTILE)
    tab.until_ended()
    expect(tab.page.locator("#server")).to_have_text(NAME)
    answer = tab.runs.locator(".answer .rendered")
    expect(answer).to_contain_text("onerror")
    tab.page.get_by_role("button", name=re.compile("candidate 1 plan: .* tokens")).first.click()
    step = tab.page.get_by_role("region", name="Step")
    expect(step.locator(".rendered")).to_contain_text("onerror")
    expect(step).to_contain_text(NAME)
    for shown in (answer, step):
        assert shown.locator("img, script, style, svg, iframe, form, [style], [onerror], [onload]").count() == 0
        assert [link for link in shown.locator("a[href]").all() if not is_safe(link.get_attribute("href"))] == []
    tab.page.locator("#requests .open").first.click()
    tab.page.locator("#requests .run .bar").first.click()
    tab.page.mouse.move(300, 300)
    # What an attack started would have happened by now: images fail within a task of their own.
    tab.page.evaluate("new Promise((done) => setTimeout(() => requestAnimationFrame(done)))")
    assert tab.happened() == []


def is_safe(address: str | None) -> bool:
    """Return whether a link leads to another site, and runs nothing."""
    return address is not None and re.match(r"https?://|mailto:", address) is not None


def test_attacks_in_an_error_and_a_question(tab: Visit) -> None:
    """An error of the server that quotes what was sent is text, too."""
    tab.page.route("**/v1/chat/completions", lambda route: route.fulfill(status=500, json={"error": ERROR}))
    tab.ask("low", HOSTILE)
    tab.until_ended("failed")
    expect(tab.runs.get_by_role("alert")).to_contain_text(RUNNING[0])
    assert tab.happened() == []


ERROR = {"message": HOSTILE, "code": RUNNING[0]}


@pytest.mark.parametrize("attack", RUNNING)
def test_the_attacks_work_elsewhere(browser: Browser, attack: str) -> None:
    """On a page without protection each of them runs: so the tests above would notice."""
    page = browser.new_page()
    page.add_init_script(WATCH)
    page.goto("data:text/html,<p>")
    page.set_content(attack)
    page.wait_for_function("fired.length > 0", timeout=1000 * PATIENCE)
    page.close()


def test_the_policy_holds_against_the_page_itself(tab: Visit) -> None:
    """A script that turns a text into HTML, a style in the document, a request to another host: all are refused."""
    refused = tab.page.evaluate(
        """async () => {
          const attempts = [
            () => { document.body.innerHTML = "<p>" },
            () => { document.body.insertAdjacentHTML("beforeend", "<p>") },
            () => { trustedTypes.createPolicy("other", { createHTML: (html) => html }) },
            () => fetch("http://127.0.0.1:9/"),
          ]
          const names = []
          for (const attempt of attempts) { try { await attempt() } catch (error) { names.push(error.name) } }
          return names
        }"""
    )
    assert refused == ["TypeError"] * 4
    tab.page.evaluate(
        """() => {
          const style = document.createElement("style")
          style.textContent = "body { display: none }"
          document.body.append(style)
        }"""
    )
    assert tab.page.evaluate("getComputedStyle(document.body).display") == "block"
    assert "style-src-elem" in tab.page.evaluate("violations")


def test_no_code_and_no_style_is_inline() -> None:
    """The policy would refuse it, and the page would lack it. HTML is set in one function of one file."""
    page = (STATIC / "index.html").read_text()
    assert re.findall(r"<style|\sstyle=|\son\w+=|javascript:|<script(?![^>]* src=)", page) == []
    scripts = {file.name: file.read_text() for file in STATIC.glob("*.js")}
    markup = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|DOMParser|srcdoc"
    )
    assert {name: found for name, text in scripts.items() if (found := markup.findall(text))} == {
        "dom.js": ["innerHTML"]
    }
    everything = [page, (STATIC / "page.css").read_text(), *scripts.values()]
    addresses = {address for text in everything for address in re.findall(r"https?://[^\s'\"]+", text)}
    assert addresses == {"http://www.w3.org/2000/svg"}  # a namespace in the icon


def test_a_name_that_resolves_to_this_host(browser: Browser, site: Site) -> None:
    """DNS rebinding in a real browser: the page loads, says what to do, and gets neither an answer nor the list."""
    port = site.url.rpartition(":")[2]
    with visit(browser, dataclasses.replace(site, url=f"http://attacker.example:{port}")) as tab:
        expect(tab.page.locator("#no-requests")).to_contain_text("Open the page by its IP address or as localhost")
        tab.ask("none")
        tab.until_ended("failed")
        expect(tab.runs.get_by_role("alert")).to_contain_text("origin_refused")
        assert site.api.chat_calls == ()


def test_a_page_of_another_site(browser: Browser, site: Site) -> None:
    """It can neither ask nor read, by a script, a form, a frame or a file of the server."""
    page = browser.new_page()
    page.route("http://other.example/", lambda route: route.fulfill(body="<!doctype html>", content_type="text/html"))
    page.goto("http://other.example/")
    results = page.evaluate(
        """async (url) => {
          const body = JSON.stringify({ messages: [{ role: "user", content: "x" }] })
          const attempts = [
            () => fetch(`${url}/page/requests`),
            () => fetch(`${url}/v1/chat/completions`, { method: "POST", body }),
            () => fetch(`${url}/v1/chat/completions`, { method: "POST", body, mode: "no-cors" }),
            () => import(`${url}/page/page.js`),
          ]
          const results = []
          for (const attempt of attempts) {
            try { results.push((await attempt()).type) } catch (error) { results.push(error.name) }
          }
          const frame = document.createElement("iframe")
          frame.src = url
          const loaded = new Promise((done) => frame.addEventListener("load", done))
          document.body.append(frame)
          await loaded
          return [...results, frame.contentDocument === null && frame.contentWindow.length]
        }""",
        site.url,
    )
    page.close()
    # A request without CORS may be sent; its answer is a refusal, which the page cannot read.
    assert results[:2] == ["TypeError", "TypeError"]
    assert results[2] in ("opaque", "TypeError")
    assert results[3] == "TypeError"
    assert site.api.chat_calls == ()
