"""The page's colours can be read, and its parts have names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.site import Visit

import optillm_cerebras_cepo

PACKAGE = Path(optillm_cerebras_cepo.__file__).parent
CSS = (PACKAGE / "web" / "static" / "page.css").read_text()
STEPS = ("approaches", "plan", "execute", "review", "final", "direct", "rating", "repair")
LEAST = 4.5  # contrast of small text: WCAG 2.2, 1.4.3


def colours(text: str) -> dict[str, str]:
    """Return the variables of a style sheet that are colours, as six hexadecimal digits; the first value counts."""
    found: dict[str, str] = {}
    for name, value in re.findall(r"--([\w-]+): #([0-9a-f]{3,6});", text):
        found.setdefault(name, value if len(value) == 6 else "".join(digit * 2 for digit in value))
    return found


LIGHT = colours(CSS)
DARK = LIGHT | colours(CSS.partition("@media (prefers-color-scheme: dark)")[2])


def luminance(colour: str) -> float:
    """Return the relative luminance of a colour, from 0 to 1, as WCAG defines it."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours, from 1 to 21."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [LIGHT, DARK], ids=["light", "dark"])
def test_texts_have_enough_contrast(scheme: dict[str, str]) -> None:
    """On each ground that they stand on; the names of steps are black."""
    pairs = [(ink, ground) for ink in ("ink", "soft", "accent", "bad") for ground in ("paper", "card", "track")]
    pairs += [("good", "card"), ("on-accent", "accent")]
    low = {pair: contrast(scheme[pair[0]], scheme[pair[1]]) for pair in pairs}
    low |= {("black", step): contrast("000000", scheme[step]) for step in STEPS}
    assert {pair: value for pair, value in low.items() if value < LEAST} == {}


def test_steps_have_the_colours_of_the_exported_trace() -> None:
    """A trace that was exported looks like the page."""
    exported = colours((PACKAGE / "trace" / "page.html").read_text())
    assert {step: LIGHT[step] for step in STEPS} == {step: exported[step] for step in STEPS}


def test_landmarks_and_names(tab: Visit) -> None:
    """What a screen reader goes by: landmarks, headings, a name for each control, a status that is announced."""
    tab.ask("auto")
    tab.until_ended()
    tab.bars.first.click()
    tab.page.locator("#requests .open").first.click()
    tab.page.locator("#requests .run").wait_for()
    page = tab.page
    for role, name in (
        ("banner", ""),
        ("main", ""),
        ("form", "Ask a question"),
        ("region", "Answers"),
        ("region", "Recent requests"),
        ("group", "Effort"),
    ):
        assert page.get_by_role(role, name=name, exact=True).count() == 1, (role, name)  # type: ignore[arg-type]
    assert page.get_by_role("heading", level=1).count() == 1
    assert page.locator("html").get_attribute("lang") == "en"
    controls = page.locator("button:visible, input:visible, textarea, summary:visible")
    unnamed = [control.evaluate("(one) => one.outerHTML") for control in controls.all() if not name_of(control)]
    assert unnamed == []
    assert page.get_by_role("status").count() >= 2


def name_of(control: object) -> str:
    """Return a control's name, as a browser computes it."""
    snapshot = str(control.aria_snapshot())  # type: ignore[attr-defined]
    found = re.search(r'"(.+?)"|text: (.+)|: (.+)', snapshot)
    return found[0] if found else ""
