"""Make a checkout of OptiLLM into one of the pull requests of this folder: python docs/upstream/apply.py 03 CHECKOUT.

It edits the code, adds the test, and names it in the workflow where there is one; `git diff` is then the pull request.
Several numbers, or `all`, are applied one on the other. Nothing is written when the code is not as expected.
"""

from __future__ import annotations

import argparse
import runpy
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from tree import Checkout, Unexpected  # noqa: E402 - beside this file, wherever it is started


def folders() -> dict[str, Path]:
    """Return the folders of all pull requests, by number."""
    return {folder.name[:2]: folder for folder in sorted(HERE.glob("[0-9][0-9]-*"))}


def apply(folder: Path, checkout: Path) -> list[str]:
    """Apply one of them, and return the paths that it changed. Raises Unexpected before anything is written."""
    edited = Checkout(checkout)
    runpy.run_path(str(folder / "change.py"))["change"](edited)
    (test,) = folder.glob("test_*.py")
    edited.add(f"tests/{test.name}", test.read_text())
    edited.add_to_workflow(workflow_line(test))
    return edited.save()


def workflow_line(test: Path) -> str:
    """Return the line that runs a test in upstream's workflow."""
    return f"python -m pytest tests/{test.name} -v --tb=short"


def main(arguments: list[str] | None = None) -> int:
    """Apply what is asked for; 1 with a line on standard error where the code is not as expected."""
    parser = argparse.ArgumentParser(prog="apply.py", description=(__doc__ or "").partition("\n")[0])
    known = folders()
    parser.add_argument("numbers", nargs="+", choices=[*known, "all"], metavar="NN", help="numbers of folders, or all")
    parser.add_argument("checkout", type=Path, metavar="CHECKOUT", help="folder of OptiLLM's repository")
    asked = parser.parse_args(arguments)
    wanted = [known[number] for number in (known if "all" in asked.numbers else asked.numbers)]
    folder = wanted[0]
    try:
        for folder in wanted:
            print(f"{folder.name}: {' '.join(apply(folder, asked.checkout))}")
    except Unexpected as error:
        print(f"{folder.name}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
