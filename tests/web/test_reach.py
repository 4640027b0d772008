"""The page with a keyboard only, on a phone, with a key, and its list of requests."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from support.site import Site, Visit, served, visit
from support.waiting import PATIENCE

from optillm_cerebras_cepo.simulator.answers import Answer

expect.set_options(timeout=1000 * PATIENCE)

CLIENT_KEY = "planted-client-key"
WIDE = "\n\n".join(
    [
        r"\[ " + " + ".join(f"x_{{{number}}}^2" for number in range(40)) + r" = 42 \]",
        "| " + " | ".join(["column"] * 12) + " |\n" + "|---" * 12 + "|\n" + "| value" * 12 + " |",
        "x" * 400,
        "```\n" + "code " * 100 + "\n```",
        "https://example.com/" + "a" * 300,
        "> > - quoted " + "word " * 40,
    ]
)


@pytest.fixture(scope="module")
def locked_site() -> Iterator[Site]:
    """A sidecar that wants a client key."""
    with served(environ={"CEPO_CEREBRAS_CLIENT_KEY": CLIENT_KEY}) as site:
        yield site


def focused(tab: Visit) -> str:
    """Return the label or the text of the focused element."""
    return str(
        tab.page.evaluate(
            "(({ id, ariaLabel, textContent, value }) => ariaLabel ?? (id || textContent || value))"
            "(document.activeElement)"
        )
    )


def test_keyboard_only(tab: Visit) -> None:
    """Ask, walk along the timeline, open a step and close it, stop, and open a request of the list."""
    keys = tab.page.keyboard
    tab.site.answer(Answer("A **plan**.", held=True))
    assert focused(tab) == "question"
    keys.type("What is 6 times 7?")
    keys.press("Tab")
    for _ in range(2):
        keys.press("ArrowLeft")
    assert tab.page.get_by_role("radio", name="low").is_checked()
    keys.press("Tab")
    assert focused(tab) == "send"
    keys.press("Enter")
    tab.release(2)
    expect(tab.bars.and_(tab.page.locator(".call"))).to_have_count(2)
    expect(tab.bars).to_have_count(4)  # two plans, and their executions, which are held
    assert focused(tab) == "stop"
    keys.press("Tab")
    assert focused(tab).startswith("candidate 1 plan: ")
    visited = []
    for key in ("ArrowRight", "ArrowRight", "End", "Home", "ArrowDown", "ArrowUp"):
        keys.press(key)
        visited.append(focused(tab).partition(":")[0])
    assert visited == [f"candidate 1 {step}" for step in ("plan", "execute", "execute", "plan", "plan", "plan")]
    keys.press("Enter")
    step = tab.page.get_by_role("region", name="Step")
    expect(step.locator("strong")).to_have_text("plan")
    assert tab.page.get_by_role("button", expanded=True).get_attribute("aria-label") == focused(tab)
    keys.press("Tab")
    assert focused(tab) == "Close"
    keys.press("Escape")
    expect(step).to_be_hidden()
    assert focused(tab).startswith("candidate 1 plan: ")
    keys.press("Shift+Tab")
    assert focused(tab) == "stop"
    keys.press("Space")
    tab.until_ended("stopped")
    expect(tab.page.locator("#requests .rest").first).to_have_text("ended: What is 6 times 7?")
    assert tab.page.evaluate("document.activeElement.className") == "run"
    for _ in range(3):  # the timeline, Refresh, the first of the list
        keys.press("Tab")
    keys.press("Enter")
    expect(tab.page.locator("#requests .run .state").first).to_have_text("stopped")


def test_the_keys_that_ask(tab: Visit) -> None:
    """Ctrl+Enter in the question; Enter alone is a new line. An empty question is not asked."""
    keys = tab.page.keyboard
    keys.press("Control+Enter")
    keys.type("What is")
    keys.press("Enter")
    keys.type("6 times 7?")
    assert tab.runs.count() == 0
    tab.page.get_by_role("radio", name="none").check()
    tab.page.get_by_role("textbox", name="Question").focus()
    keys.press("Control+Enter")
    tab.until_ended()
    (call,) = tab.site.api.chat_calls
    assert call.body["messages"][-1]["content"] == "What is\n6 times 7?"


@pytest.mark.parametrize("effort", ["auto", "compare"])
def test_no_horizontal_scroll_at_360_pixels(browser: Browser, site: Site, effort: str) -> None:
    """With wide formulas, tables, words and code in the answer and in an open step, and a request of the list open."""
    site.answer(WIDE)
    with visit(browser, site, viewport={"width": 360, "height": 740}, is_mobile=True, has_touch=True) as tab:
        assert_no_scroll(tab)
        tab.ask(effort)
        tab.until_ended(count=3 if effort == "compare" else 1)
        tab.bars.first.click()
        tab.runs.first.locator(".detail .rendered").wait_for()
        tab.page.locator("#requests .open").first.click()
        tab.page.locator("#requests .run").first.wait_for()
        assert_no_scroll(tab)
        assert tab.happened() == []


def assert_no_scroll(tab: Visit) -> None:
    """The document is as wide as the screen, and so is each card."""
    widths = tab.page.evaluate("[document.documentElement.scrollWidth, innerWidth, document.body.scrollWidth]")
    assert widths == [360, 360, 360]


def test_the_key_is_asked_for_and_kept_in_the_session_only(browser: Browser, locked_site: Site) -> None:
    """A wrong one is asked for again. The next session, as the next user, is asked anew."""
    with visit(browser, locked_site) as tab:
        dialog = tab.page.get_by_role("dialog", name="Client key")
        for key in ("wrong", CLIENT_KEY):
            dialog.get_by_role("textbox", name="Key").fill(key)
            dialog.get_by_role("button", name="Continue").click()
            if key == "wrong":
                expect(dialog.get_by_role("alert")).to_have_text("The server does not accept this key.")
        expect(dialog).to_be_hidden()
        tab.ask("none")
        tab.until_ended()
        stores = "[Object.values(sessionStorage), Object.values(localStorage), document.cookie, location.href]"
        assert tab.page.evaluate(stores) == [[CLIENT_KEY], [], "", f"{locked_site.url}/"]
        tab.page.reload()
        tab.page.locator("#requests li").wait_for()
        assert dialog.is_hidden()
        tab.page.get_by_role("button", name="Forget the key").click()
        tab.page.get_by_role("button", name="Refresh").click()
        dialog.get_by_role("button", name="Cancel").click()
        expect(tab.page.locator("#no-requests")).to_contain_text("Wrong or missing client key")
        assert tab.page.evaluate(stores)[0] == []
        assert tab.happened() == []
    with visit(browser, locked_site) as tab:
        expect(tab.page.get_by_role("dialog", name="Client key")).to_be_visible()


def test_one_question_for_a_key_serves_all_requests(browser: Browser, locked_site: Site) -> None:
    """Three efforts are asked at once; the first wrong key asks once more, not three times."""
    with visit(browser, locked_site) as tab:
        dialog = tab.page.get_by_role("dialog", name="Client key")
        dialog.get_by_role("button", name="Cancel").click()
        tab.ask("compare")
        dialog.get_by_role("textbox", name="Key").fill(CLIENT_KEY)
        tab.page.keyboard.press("Enter")
        tab.until_ended(count=3)
        assert tab.happened() == []


def test_recent_requests_and_export(tab: Visit, tmp_path: Path) -> None:
    """The newest first, with the tab's own questions. An opened one has its timeline; both files are saved."""
    for effort, question in (("none", "first question"), ("low", "second question")):
        tab.ask(effort, question)
        tab.until_ended()
    items = tab.page.locator("#requests li")
    expect(items.nth(1).locator(".rest")).to_have_text("first question")
    expect(items.nth(0).locator(".rest")).to_have_text("second question")
    items.nth(0).locator(".open").click()
    expect(items.nth(0).locator(".bar")).to_have_count(6)
    items.nth(0).locator(".bar").first.click()
    expect(items.nth(0).get_by_role("region", name="Step")).to_contain_text("CEPO_CEREBRAS_TRACE_TEXT")
    saved = {}
    for kind in ("JSON", "HTML"):
        with tab.page.expect_download() as download:
            items.nth(0).get_by_role("button", name=kind).click()
        saved[kind] = tmp_path / download.value.suggested_filename
        download.value.save_as(saved[kind])
    trace = json.loads(saved["JSON"].read_text())
    assert (trace["cepo_cerebras"]["effort"], len(trace["calls"])) == ("low", 6)
    assert saved["JSON"].name == f"trace-{trace['id']}.json"
    assert saved["HTML"].read_text().startswith("<!doctype html>")
    items.nth(0).locator(".open").click()
    expect(items.nth(0).locator(".bar")).to_have_count(0)


def test_a_request_with_texts_can_be_read_later(browser: Browser) -> None:
    """Where the operator records texts: the answer and each step, also after the page was closed."""
    with served(environ={"CEPO_CEREBRAS_TRACE_TEXT": "true"}) as site:
        numbers = itertools.count(1)
        site.answer(lambda _: Answer(f"Reply **{next(numbers)}**."))
        site.ask("What is 6 times 7?", "low")
        with visit(browser, site) as tab:
            tab.page.locator("#requests .open").first.click()
            expect(tab.page.locator("#requests .answer strong")).to_have_text("6")
            tab.page.locator("#requests .bar").first.click()
            expect(tab.page.locator("#requests .detail .reply strong")).to_have_text(re.compile("^[12]$"))
            assert tab.happened() == []


def test_another_tab_sees_the_requests_without_their_questions(browser: Browser, tab: Visit) -> None:
    """The server keeps no texts unless the operator asks for them."""
    tab.ask("none", "a private question")
    tab.until_ended()
    with visit(browser, tab.site) as other:
        other.page.locator("#requests li").first.wait_for()
        assert "private" not in other.page.locator("body").inner_text()
