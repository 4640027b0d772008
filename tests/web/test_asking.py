"""Ask on the page in a real browser: watch the timeline, open a step, stop, compare, and read errors."""

from __future__ import annotations

import itertools
import re

from playwright.sync_api import Browser, Locator, expect
from support.site import Site, Visit, visit
from support.waiting import PATIENCE, until

from optillm_cerebras_cepo.simulator import CLIENT_GONE
from optillm_cerebras_cepo.simulator.answers import Answer
from optillm_cerebras_cepo.simulator.problems import Reply

expect.set_options(timeout=1000 * PATIENCE)


def width(bar: Locator) -> float:
    """Return a bar's width in pixels."""
    box = bar.bounding_box()
    assert box is not None
    return box["width"]


def figure(tab: Visit, name: str, run: int = 0) -> str:
    """Return a figure of a request, such as `Calls`."""
    return tab.runs.nth(run).locator(f"dt:text-is('{name}') + dd").inner_text()


def test_an_answer_with_its_figures(tab: Visit) -> None:
    """The answer is rendered; calls, tokens and cost are those of the reply."""
    tab.site.answer(r"It is $6 \cdot 7 = 42$.")
    tab.ask("low")
    tab.until_ended()
    expect(tab.page.locator("#server")).to_have_text("llama-3.3-70b")
    expect(tab.runs.locator(".answer .rendered math")).to_be_visible()
    assert figure(tab, "Calls") == str(len(tab.site.api.chat_calls)) == "6"
    assert figure(tab, "Tokens") == f"{tab.site.api.usage.total_tokens:,}"
    assert re.fullmatch(r"\d+\.\d", figure(tab, "Seconds"))
    assert figure(tab, "Cost").startswith("$0.0")
    assert "answered in" in tab.page.locator("#status").inner_text()
    assert tab.bars.count() == 6


def test_the_timeline_grows(tab: Visit) -> None:
    """A bar begins with its call, grows while the call runs, and stays when it has ended."""
    tab.site.answer(Answer("It is 42.", held=True))
    tab.ask("low")
    for count, steps in ((2, "plan"), (2, "execute"), (1, "review")):
        tab.until_held(count)
        running = tab.bars.and_(tab.page.locator(f".running.{steps}"))
        expect(running).to_have_count(count)
        before = width(running.first)
        until(lambda bar=running.first, least=before: width(bar) > least)  # type: ignore[misc]
        assert tab.runs.get_attribute("aria-busy") == "true"
        tab.release(count)
    tab.release(1)
    tab.until_ended()
    expect(tab.bars.and_(tab.page.locator(".call"))).to_have_count(6)
    assert tab.runs.get_attribute("aria-busy") is None


def test_a_step_can_be_opened(tab: Visit) -> None:
    """Its reply is rendered, also of a request that still runs; its source can be read too."""
    tab.site.answer(Answer("A **plan**.", held=True))
    tab.ask("low")
    tab.release(2)
    tab.page.get_by_role("button", name=re.compile("candidate 1 plan: .* tokens")).first.click()
    detail = tab.page.get_by_role("region", name="Step")
    expect(detail.locator(".rendered strong")).to_have_text("plan")
    detail.get_by_text("Source").click()
    expect(detail.locator("pre")).to_have_text("A **plan**.")
    tab.page.get_by_role("button", name="candidate 1 execute: running").first.click()
    expect(detail.get_by_role("heading")).to_have_text("candidate 1 execute")
    expect(detail.locator(".reply")).to_be_empty()
    tab.release(2)
    expect(detail.locator(".rendered strong")).to_have_text("plan")
    for count in (1, 1):
        tab.release(count)
    tab.until_ended()
    detail.get_by_role("button", name="Close").click()
    expect(detail).to_be_hidden()


def test_decisions_are_shown(tab: Visit) -> None:
    """Which plans agree, and which candidate was chosen."""
    tab.ask("auto")
    tab.until_ended()
    expect(tab.runs.get_by_role("listitem")).to_have_text(["candidate 1: 2 of 2 plans agree"])
    expect(tab.runs.locator(".group.chosen .label")).to_contain_text("Candidate 1")
    assert figure(tab, "Agreement") == "100 %"


def test_what_was_left_out_is_shown(tab: Visit) -> None:
    """In the reply's own words."""
    numbers = itertools.count(1)
    tab.site.answer(lambda _: Answer("It is 42.", finish_reason="content_filter" if next(numbers) == 5 else None))
    tab.ask("low")
    tab.until_ended()
    expect(tab.runs.locator(".warning").first).to_contain_text("left out")


def test_stop(tab: Visit) -> None:
    """The calls in flight are given up, and no other begins."""
    tab.site.answer(Answer("never", held=True))
    tab.ask("medium")
    expect(tab.bars.and_(tab.page.locator(".running"))).to_have_count(9)
    tab.until_held(9)
    tab.page.get_by_role("button", name="Stop").click()
    tab.until_ended("stopped")
    until(lambda: not tab.site.api.stalled)
    assert [call.status for call in tab.site.api.chat_calls] == [CLIENT_GONE] * 9
    expect(tab.bars.and_(tab.page.locator(".cancelled"))).to_have_count(9)
    assert figure(tab, "Cost") == "unknown"


def test_an_error_is_shown_with_its_code(tab: Visit) -> None:
    """Of the stream, with the failed calls in the timeline; the next question is answered."""
    tab.site.answer(Answer("", reply=Reply(402, {"message": "no money", "code": "payment"})))
    tab.ask("none")
    tab.until_ended("failed")
    alert = tab.runs.get_by_role("alert")
    expect(alert).to_contain_text("payment_required")
    expect(tab.bars.and_(tab.page.locator(".failed"))).to_have_count(1)
    tab.site.answer("It is 42.")
    tab.ask("none")
    tab.until_ended()
    expect(tab.runs.locator(".answer")).to_contain_text("It is 42.")


def test_an_answer_that_was_cut_says_so(tab: Visit) -> None:
    """A part of an answer does not look like a whole one."""
    tab.site.answer(Answer("It is 4", finish_reason="length"))
    tab.ask("none")
    tab.until_ended("cut at the token limit")
    expect(tab.runs.locator(".answer")).to_contain_text("It is 4")


def test_compare(tab: Visit) -> None:
    """Three efforts run at the same time; each has its own answer, figures and timeline on the same axis."""
    tab.site.answer(Answer("It is 42.", held=True))
    tab.ask("compare")
    expect(tab.bars.and_(tab.page.locator(".running"))).to_have_count(12)  # 1 + 2 + 9
    assert len(set(tab.runs.locator(".axis").all_inner_texts())) == 1
    tab.until_held(12)
    tab.site.answer("It is 42.")
    tab.site.api.release(12)
    tab.until_ended(count=3)
    expect(tab.runs.get_by_role("heading", level=2)).to_have_text(["none", "auto", "medium"])
    assert [figure(tab, "Calls", run) for run in range(3)] == ["1", "5", "24"]
    expect(tab.runs.locator(".answer")).to_have_text(["It is 42."] * 3)
    left = [box["x"] for run in tab.runs.all() if (box := run.bounding_box())]
    assert left == sorted(set(left))
    expect(tab.page.locator("#requests li")).not_to_have_count(0)


def test_light_and_dark(browser: Browser, site: Site) -> None:
    """As the reader's system is set."""
    colours = set()
    for scheme in ("light", "dark"):
        with visit(browser, site, color_scheme=scheme) as tab:
            colours.add(tab.page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert len(colours) == 2
