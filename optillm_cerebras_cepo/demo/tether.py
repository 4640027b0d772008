"""Ends a child process when its parent is gone, however the parent went.

A parent that is killed outright cannot stop its children. The kernel closes its end of their standard input, though,
and that is what a tethered child watches: it works on every system and needs no help from the parent.

`python -m optillm_cerebras_cepo.demo.tether NAME [ARGUMENT ...]` runs the installed console script NAME, unchanged, on
such a tether.
"""

from __future__ import annotations

import os
import sys
import threading
from importlib import metadata


def exit_when_stdin_closes() -> None:
    """Watch standard input in the background and end this process, at once, when it closes."""

    def watch() -> None:
        while os.read(0, 1024):
            pass  # nothing is ever sent; whatever comes is not the end
        os._exit(0)  # sys.exit would end this thread only

    threading.Thread(target=watch, name="tether", daemon=True).start()


def _run_console_script(name: str) -> object:
    scripts = metadata.entry_points(group="console_scripts", name=name)
    if not scripts:
        return f"no installed package has a command named {name}"
    return next(iter(scripts)).load()()


def main() -> object:
    """Run the console script named by the first argument, with the other arguments as its own."""
    exit_when_stdin_closes()
    # `python -m` puts the working directory first on the path and a console script does not. Inside a checkout of
    # OptiLLM that would run the checkout in place of the OptiLLM that is installed.
    sys.path[:] = [entry for entry in sys.path if entry not in ("", os.getcwd())]
    del sys.argv[0]
    return _run_console_script(sys.argv[0])


if __name__ == "__main__":
    sys.exit(main())  # type: ignore[arg-type]  # a console script returns what sys.exit takes
