"""Make the documentation's pictures of the page: `make pictures`.

    PYTHONPATH=tests python -m support.screenshots [FOLDER]

A real sidecar answers, in front of a simulated API whose texts are in `support/worked_example.py`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page

from optillm_cerebras_cepo.simulator.server import Simulator
from support.browser import chromium
from support.sidecar_process import sidecar
from support.worked_example import QUESTION, options

DOCS = Path(__file__).parents[2] / "docs"
ENVIRON = {"CEREBRAS_API_KEY": "csk-pictures"}


def main(arguments: Sequence[str]) -> int:
    """Write the pictures into a folder, docs/ unless another is named."""
    folder = Path(arguments[0]) if arguments else DOCS
    with chromium() as browser:
        for name, draw in (("page", _finished), ("page-dark", _compared), ("page-phone", _on_a_phone)):
            with _served() as url:
                draw(browser, url, folder / f"{name}.png")
    return 0


@contextmanager
def _served() -> Iterator[str]:
    """Run a sidecar and an API that have answered nothing yet."""
    with Simulator(options()) as api, sidecar("--page", environ={**ENVIRON, "CEREBRAS_BASE_URL": api.url}) as server:
        yield server.url


def _finished(browser: Browser, url: str, file: Path) -> None:
    """Draw an answer of effort medium, with a step open."""
    page = _opened(browser, url, 1180, 900)
    _ask(page, "medium")
    page.get_by_role("button", name="candidate 2 plan").first.click()
    page.locator(".detail math").first.wait_for()
    _write(page, file)


def _compared(browser: Browser, url: str, file: Path) -> None:
    """Draw three efforts side by side."""
    page = _opened(browser, url, 1180, 900, color_scheme="dark")
    _ask(page, "compare")
    _write(page, file)


def _on_a_phone(browser: Browser, url: str, file: Path) -> None:
    """Draw an answer on a phone."""
    page = _opened(browser, url, 360, 740, device_scale_factor=1.5, is_mobile=True, has_touch=True)
    _ask(page, "auto")
    _write(page, file)


def _opened(browser: Browser, url: str, width: int, height: int, **options: Any) -> Page:
    page = browser.new_page(viewport={"width": width, "height": height}, **options)
    page.goto(url)
    page.get_by_text("llama-3.3-70b").first.wait_for()
    return page


def _ask(page: Page, effort: str) -> None:
    """Ask, and wait for all answers, as they are rendered."""
    page.get_by_role("textbox", name="Question").fill(QUESTION)
    page.get_by_role("radio", name=effort).check()
    page.get_by_role("button", name="Ask", exact=True).click()
    page.locator(".run").first.wait_for()
    for run in page.locator(".run").all():
        run.locator(".answer math").first.wait_for()
    page.locator("#requests li").first.wait_for()


def _write(page: Page, file: Path) -> None:
    page.screenshot(path=file, full_page=True, animations="disabled")
    page.context.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
