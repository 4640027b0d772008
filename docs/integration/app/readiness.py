"""Whether the sidecar says that it is ready, looked at in the background: no question waits for it."""

from __future__ import annotations

import asyncio
import logging

import httpx2

log = logging.getLogger(__name__)


class Readiness:
    """What the sidecar said last; `ready` until it has been asked, for the call itself will tell.

    Args:
        http: a client.
        url: of the sidecar.
        seconds: between two looks.
        timeout: seconds until the sidecar must have answered.

    """

    def __init__(self, http: httpx2.AsyncClient, url: str, seconds: float, timeout: float) -> None:
        self.ready = True
        self._http = http
        self._url = f"{url}/ready"
        self._seconds = seconds
        self._timeout = timeout

    async def watch(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            ready = await self._look()
            if ready != self.ready:
                log.warning("the sidecar is %s", "ready again" if ready else "not ready")
                self.ready = ready
            await asyncio.sleep(self._seconds)

    async def _look(self) -> bool:
        try:
            response = await self._http.get(self._url, timeout=self._timeout)
        except httpx2.HTTPError:
            return False
        return response.status_code < 500  # a server without /ready answers 404, and may well be one that answers
