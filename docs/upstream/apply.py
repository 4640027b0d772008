"""Apply pull requests of this folder to a checkout of OptiLLM: python docs/upstream/apply.py 03 CHECKOUT.

Edits the code, adds the test, and adds it to the workflow if there is one; `git diff` then shows the pull request.
Several numbers, or `all`, are applied in order. A pull request that finds unexpected code writes nothing.
"""

from __future__ import annotations

import argparse
import runpy
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from checkout import Checkout, Unexpected  # noqa: E402 - in this folder, whatever the working directory


def folders() -> dict[str, Path]:
    """Return the folders of all pull requests, by number."""
    return {folder.name[:2]: folder for folder in sorted(HERE.glob("[0-9][0-9]-*"))}


def apply(folder: Path, checkout: Path) -> list[str]:
    """Apply one pull request, and return the changed paths. Raise Unexpected before anything is written."""
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
    """Apply the given pull requests; return 1 with a line on standard error if the code is not as expected."""
    parser = argparse.ArgumentParser(prog="apply.py", description=(__doc__ or "").partition("\n")[0])
    known = folders()
    parser.add_argument("numbers", nargs="+", choices=[*known, "all"], metavar="NN", help="numbers of folders, or all")
    parser.add_argument("checkout", type=Path, metavar="CHECKOUT", help="folder of OptiLLM's repository")
    given = parser.parse_args(arguments)
    for number in known if "all" in given.numbers else given.numbers:
        folder = known[number]
        try:
            print(f"{folder.name}: {' '.join(apply(folder, given.checkout))}")
        except Unexpected as error:
            print(f"{folder.name}: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
