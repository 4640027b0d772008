"""What is asked: read from a command line, files and standard input, and checked."""

from __future__ import annotations

import base64
import mimetypes
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

import httpx

from optillm_cerebras_cepo.ask.updates import AskError
from optillm_cerebras_cepo.core.command_line import WrongUsage


def check_address(server: str) -> None:
    """Raise WrongUsage if this is no address of a server."""
    try:
        url = httpx.URL(server)
    except httpx.InvalidURL:
        url = httpx.URL("")
    if url.scheme not in ("http", "https") or not url.host:
        raise WrongUsage("--server must be an address such as http://127.0.0.1:8080.")


def question_of(given: Namespace) -> str | None:
    """Return the question of the command line, a file and standard input; None for a conversation."""
    parts = [] if given.question in (None, "-") else [given.question]
    piped = given.question == "-" or (given.question is None and not given.file and not sys.stdin.isatty())
    if piped:
        parts.append(sys.stdin.read())
    if given.file:
        try:
            parts.append(Path(given.file).read_text(encoding="utf-8"))
        except OSError as error:
            raise AskError(f"{given.file} cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise AskError(f"{given.file} is not text in UTF-8") from None
    text = "\n\n".join(part.strip() for part in parts if part.strip())
    if not text and given.image:
        raise WrongUsage("Say what to ask about the picture.")
    if not text and parts:
        raise WrongUsage("The question is empty.")
    check_text(text)
    return text or None


def check_text(text: str) -> None:
    """Raise AskError if the text has bytes that are no UTF-8, which Python reads as halves of surrogate pairs."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise AskError("The question is not text in UTF-8.") from None


def image_part(path: str) -> dict[str, Any]:
    """Return a picture as a part of a message."""
    kind = mimetypes.guess_type(path)[0] or ""
    if not kind.startswith("image/"):
        raise WrongUsage(f"{path} is no picture by its name, such as .png or .jpg.")
    try:
        data = base64.b64encode(Path(path).read_bytes()).decode("ascii")
    except OSError as error:
        raise AskError(f"{path} cannot be read: {error.strerror}") from None
    return {"type": "image_url", "image_url": {"url": f"data:{kind};base64,{data}"}}
