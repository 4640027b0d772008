"""The application: `uvicorn app.main:app`."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError

from app import chat
from app.cepo_service import CepoService
from app.failures import Failed, tell_bad_request, tell_defect, tell_failure
from app.settings import Settings

logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
logging.getLogger("httpx2").setLevel(logging.WARNING)  # a line for every look at /ready


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """One service for all requests."""
    app.state.service = CepoService(Settings())  # type: ignore[call-arg]  # from the environment
    async with app.state.service.running():
        yield


app = FastAPI(title="Example backend", lifespan=lifespan)
app.include_router(chat.router)
app.add_exception_handler(Failed, tell_failure)  # type: ignore[arg-type]
app.add_exception_handler(RequestValidationError, tell_bad_request)  # type: ignore[arg-type]
app.add_exception_handler(Exception, tell_defect)


@app.get("/health")
async def health(request: Request) -> dict[str, str]:
    """Alive; and how the sidecar is, without which it works all the same."""
    return {"status": "ok", **chat.service(request).state}
