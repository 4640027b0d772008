"""Closes what a test connected."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.sdk_client import CLIENTS


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    """Close what a test connected."""
    yield
    while CLIENTS:
        CLIENTS.pop().close()
