"""`cepo-cerebras trace`: list the traces of a folder, or show one."""

from __future__ import annotations

import itertools
import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from optillm_cerebras_cepo.cli import CommandError
from optillm_cerebras_cepo.core.command_line import Parser
from optillm_cerebras_cepo.core.environment import TRACE_DIR
from optillm_cerebras_cepo.trace.folder import TraceFolder
from optillm_cerebras_cepo.trace.page import page
from optillm_cerebras_cepo.trace.text import lines, summary


def run(arguments: Sequence[str], say: Callable[[str], None]) -> None:
    """Print the latest traces, or one with its timeline. Raise CommandError if there is none."""
    parser = Parser("cepo-cerebras trace")
    parser.add_argument("id", nargs="?", metavar="ID", help="beginning of a trace's id, a request's id, or `last`")
    parser.add_argument("--trace-dir", default=os.environ.get(TRACE_DIR), help=f"folder (default: {TRACE_DIR})")
    parser.add_argument("--number", type=int, default=20, help="traces that are listed (default: 20)")
    parser.add_argument("--json", action="store_true", help="print the trace's file")
    parser.add_argument("--html", metavar="FILE", help="write a page with the timeline, which needs no other file")
    given = parser.parse(arguments)
    if not given.trace_dir:
        raise CommandError(f"name the folder of traces: --trace-dir DIR, or set {TRACE_DIR}")
    folder = TraceFolder(given.trace_dir)
    if given.id is None:
        listed = list(itertools.islice(folder.latest(), max(1, given.number)))
        if not listed:
            raise CommandError(f"{given.trace_dir} has no traces; serve with --trace-dir {given.trace_dir}")
        for trace in listed:
            say(summary(trace))
        return
    found = folder.find(given.id)
    if not found:
        raise CommandError(f"{given.trace_dir} has no trace {given.id}; `cepo-cerebras trace` lists them")
    if len(found) > 1:
        raise CommandError(f"{len(found)} traces begin with {given.id}: {', '.join(one['id'] for one in found[:5])}")
    if given.html:
        try:
            Path(given.html).write_text(page(found[0]), encoding="utf-8")
        except OSError as error:
            raise CommandError(f"{given.html} cannot be written: {error.strerror}") from None
        say(f"written: {given.html}")
        return
    if given.json:
        say(json.dumps(found[0], indent=1))
        return
    say(summary(found[0]))
    for line in lines(found[0], shutil.get_terminal_size((120, 24)).columns):
        say(line)
