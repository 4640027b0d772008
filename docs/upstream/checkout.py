"""Edit a checkout of OptiLLM: each edit raises Unexpected unless it finds the code that it was written for."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent, indent

WORKFLOW = ".github/workflows/test.yml"

Replacement = str | Callable[[re.Match[str]], str]


class Unexpected(Exception):
    """The code differs from what the change was written for. Nothing was changed."""


class Checkout:
    """A checkout of OptiLLM. `save` writes all changes."""

    def __init__(self, root: Path) -> None:
        if not (root / "optillm" / "server.py").is_file():
            raise Unexpected(f"{root} is no checkout of OptiLLM: it has no optillm/server.py")
        self._root = root
        self._sources: dict[str, Source] = {}
        self._texts: dict[str, str] = {}

    def source(self, path: str) -> Source:
        """Return a Python file, by its path in the checkout."""
        if path not in self._sources:
            self._sources[path] = Source(path, self._read(path))
        return self._sources[path]

    def add(self, path: str, text: str) -> None:
        """Add a new file."""
        if (self._root / path).exists():
            raise Unexpected(f"{path} exists already")
        self._texts[path] = text

    def sub(self, path: str, pattern: str, new: Replacement) -> None:
        """Replace the only match of a pattern in a file that is not Python."""
        self._texts[path] = _sub(path, pattern, new, self._texts.get(path) or self._read(path))

    def add_to_workflow(self, line: str) -> None:
        """Run a test in upstream's workflow, after the last test that needs no server."""
        if not (self._root / WORKFLOW).is_file():
            return  # a source distribution has no workflow
        unit_tests, job, rest = self._read(WORKFLOW).partition("  integration-tests:")
        last = r"(?s)(.*\n)(\s+)(python [^\n]*tests/test_[^\n]*\n)"
        self._texts[WORKFLOW] = _sub(WORKFLOW, last, rf"\1\2\3\2{line}\n", unit_tests) + job + rest

    def save(self) -> list[str]:
        """Write the changed files, and return their paths."""
        changed = {path: source.text for path, source in self._sources.items()} | self._texts
        for path, text in changed.items():
            if path.endswith(".py"):
                _parse(path, text)
        for path, text in changed.items():
            (self._root / path).parent.mkdir(parents=True, exist_ok=True)
            (self._root / path).write_text(text, encoding="utf-8")
        return sorted(changed)

    def _read(self, path: str) -> str:
        try:
            return (self._root / path).read_text(encoding="utf-8")
        except OSError:
            raise Unexpected(f"{path} does not exist") from None


class Source:
    """A Python file.

    A place is the dotted name of a function or class, such as `outer.inner`, or "" for the whole file. A statement is
    identified by a pattern that matches its beginning. Its leading lines are the comments and blank lines before it.
    New code is indented like the statement or definition that it refers to.
    """

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.text = text

    def expect(self, place: str, pattern: str, times: int = 1) -> None:
        """Raise Unexpected unless a pattern has this many matches in a place."""
        self.sub(place, pattern, lambda match: match[0], times)

    def sub(self, place: str, pattern: str, new: Replacement, times: int = 1) -> None:
        """Replace the matches of a pattern in a place, as `re.sub` does with MULTILINE."""
        node = self._find(place)
        lines = self.text.splitlines(keepends=True)
        first, last = (_first_line(node), node.end_lineno or 0) if isinstance(node, ast.stmt) else (0, len(lines))
        edited = _sub(f"{self.path}, {place}", pattern, new, "".join(lines[first:last]), times)
        self.text = "".join([*lines[:first], edited, *lines[last:]])

    def replace(self, place: str, pattern: str, code: str, times: int = 1) -> str:
        """Replace statements and their leading lines, and return the text of the last one."""
        old = ""
        for statement in reversed(self._statements(place, pattern, times)):
            lines = self.text.splitlines(keepends=True)
            first, last = statement.lineno - 1, statement.end_lineno or 0
            old = dedent("".join(lines[first:last]))
            while re.match(r"\s*(#|$)", lines[first - 1]):
                first -= 1
            self.text = "".join([*lines[:first], indent(code, " " * statement.col_offset), *lines[last:]])
        return old

    def remove(self, place: str, pattern: str, times: int = 1) -> None:
        """Remove statements and their leading lines."""
        self.replace(place, pattern, "", times)

    def add_after(self, place: str, pattern: str, code: str) -> None:
        """Add code after a statement."""
        (statement,) = self._statements(place, pattern)
        self._insert(statement.end_lineno or 0, code, statement.col_offset)

    def add_before(self, place: str, code: str) -> None:
        """Add code before a definition and its leading lines."""
        node = self._find(place)
        lines = self.text.splitlines()
        number = _first_line(node)
        while re.match(r"\s*(#|$)", lines[number - 1]):
            number -= 1
        self._insert(number, code.rstrip() + "\n", node.col_offset)

    def begin(self, place: str, code: str) -> None:
        """Add code at the beginning of a function, after its docstring."""
        first = self._find(place).body[0]
        documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
        self._insert((first.end_lineno or 0) if documented else first.lineno - 1, code, first.col_offset)

    def _insert(self, number: int, code: str, column: int) -> None:
        lines = self.text.splitlines(keepends=True)
        self.text = "".join([*lines[:number], indent(code, " " * column), *lines[number:]])

    def _find(self, place: str) -> ast.AST:
        node: ast.AST = _parse(self.path, self.text)
        for name in place.split(".") if place else ():
            found = [inner for inner in _definitions(node) if inner.name == name]
            if len(found) != 1:
                raise Unexpected(f"{self.path} has {len(found)} definitions of {place}, not 1")
            node = found[0]
        return node

    def _statements(self, place: str, pattern: str, times: int = 1) -> list[ast.stmt]:
        lines = self.text.splitlines(keepends=True)
        found = [
            node
            for node in ast.walk(self._find(place))
            if isinstance(node, ast.stmt)
            and re.match(pattern, "".join(lines[node.lineno - 1 : node.end_lineno]).lstrip())
        ]
        if len(found) != times:
            raise Unexpected(f"{self.path}, {place}: {len(found)} statements that match {pattern!r}, not {times}")
        return sorted(found, key=lambda statement: statement.lineno)


def _sub(what: str, pattern: str, new: Replacement, text: str, times: int = 1) -> str:
    edited, found = re.subn(pattern, new, text, flags=re.MULTILINE)
    if found != times:
        raise Unexpected(f"{what}: {found} matches of {pattern!r}, not {times}")
    return edited


def _parse(path: str, text: str) -> ast.Module:
    try:
        return ast.parse(text)
    except SyntaxError as error:
        raise Unexpected(f"{path} is not valid Python: {error}") from None


def _first_line(node: ast.AST) -> int:
    """Return the index of a definition's first line, decorators included."""
    return min(item.lineno for item in (node, *node.decorator_list)) - 1


def _definitions(node: ast.AST) -> list[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    """Return the definitions directly in a node or its branches, but not those in other definitions."""
    found = []
    for inner in ast.iter_child_nodes(node):
        if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.append(inner)
        else:
            found += _definitions(inner)
    return found
