"""A browser and a page for each process that runs tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser
from support.browser import chromium
from support.site import Site, Visit, served, visit


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A headless Chromium."""
    with chromium() as running:
        yield running


@pytest.fixture(scope="session")
def open_site() -> Iterator[Site]:
    """A sidecar with the page, without client keys."""
    with served() as site:
        yield site


@pytest.fixture
def site(open_site: Site) -> Iterator[Site]:
    """The same sidecar, whose API has answered nothing yet and answers 42."""
    open_site.api.clear()
    open_site.answer("It is 42.")
    yield open_site
    open_site.api.release(open_site.api.held)


@pytest.fixture
def tab(browser: Browser, site: Site) -> Iterator[Visit]:
    """The page in a new session; nothing that must not happen has happened at the end."""
    with visit(browser, site) as here:
        yield here
        assert here.happened() == []
