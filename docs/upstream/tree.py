"""What a change is written with: a checkout's files as syntax trees, and edits that refuse code they do not expect."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import libcst as cst
import libcst.matchers as m
from libcst.codemod import CodemodContext
from libcst.codemod.visitors import AddImportsVisitor

WORKFLOW = ".github/workflows/test.yml"

Node = cst.CSTNode
New = cst.CSTNode | cst.RemovalSentinel | cst.FlattenSentinel[Any]


class Unexpected(Exception):
    """The code is not what the change was written for: nothing of it was changed."""


class Checkout:
    """A checkout of OptiLLM. What is changed is written by `save`, all of it or nothing."""

    def __init__(self, root: Path) -> None:
        if not (root / "optillm" / "server.py").is_file():
            raise Unexpected(f"{root} is no checkout of OptiLLM: it has no optillm/server.py")
        self._root = root
        self._sources: dict[str, Source] = {}
        self._texts: dict[str, str] = {}

    def source(self, path: str) -> Source:
        """Return one Python file, by its path in the checkout."""
        if path not in self._sources:
            self._sources[path] = Source(path, self._read(path))
        return self._sources[path]

    def add(self, path: str, text: str) -> None:
        """Put a new file there."""
        if (self._root / path).exists():
            raise Unexpected(f"{path} is there already")
        self._texts[path] = text

    def rewrite(self, path: str, pattern: str, text: str) -> None:
        """Replace what a pattern matches in a file that is no Python. Raises Unexpected unless it is there once."""
        self._texts[path] = _rewritten(path, self._texts.get(path) or self._read(path), pattern, text)

    def add_to_workflow(self, line: str) -> None:
        """Have upstream's workflow run a test, after the last one that needs no server."""
        if not (self._root / WORKFLOW).is_file():
            return  # a source distribution has none
        lines = (self._texts.get(WORKFLOW) or self._read(WORKFLOW)).splitlines(keepends=True)
        jobs = [number for number, text in enumerate(lines) if re.match(r"  integration-tests:", text)] or [len(lines)]
        tests = [number for number, text in enumerate(lines[: jobs[0]]) if re.match(r"\s+python .*tests/test_", text)]
        if not tests:
            raise Unexpected(f"{WORKFLOW} names no tests before its job integration-tests")
        indent = re.match(r"\s*", lines[tests[-1]])
        lines.insert(tests[-1] + 1, f"{indent[0] if indent else ''}{line}\n")
        self._texts[WORKFLOW] = "".join(lines)

    def save(self) -> list[str]:
        """Write what was changed, and return its paths."""
        changed = {path: source.code for path, source in self._sources.items() if source.changed} | self._texts
        for path, text in changed.items():
            (self._root / path).parent.mkdir(parents=True, exist_ok=True)
            (self._root / path).write_text(text, encoding="utf-8")
        return sorted(changed)

    def _read(self, path: str) -> str:
        try:
            return (self._root / path).read_text(encoding="utf-8")
        except OSError:
            raise Unexpected(f"there is no {path}") from None


class Source:
    """One Python file as a tree. A place is a function's or class's dotted name: `outer.inner`, `Class.method`."""

    def __init__(self, path: str, text: str) -> None:
        self._path = path
        self._text = text
        self._module = cst.parse_module(text)

    @property
    def code(self) -> str:
        """The file's text."""
        return self._module.code

    @property
    def changed(self) -> bool:
        """Whether it differs from what was read."""
        return self.code != self._text

    def find(self, place: str) -> cst.FunctionDef | cst.ClassDef:
        """Return the definition of this name. Raises Unexpected unless there is exactly one."""
        node: Node = self._module
        for name in place.split("."):
            found = [inner for inner in _definitions(node) if inner.name.value == name]
            if len(found) != 1:
                raise Unexpected(f"{self._path} has {len(found)} definitions of {place}, not 1")
            node = found[0]
        assert isinstance(node, cst.FunctionDef | cst.ClassDef)
        return node

    def edit(
        self, place: str, where: m.BaseMatcherNode, change: Callable[[Any], New | Sequence[Node]], times: int = 1
    ) -> None:
        """Change what matches in a definition, or in the whole file with the place "".

        Args:
            place: the definition's name.
            where: what is to be changed.
            change: gets a node that matches, and returns what stands there instead: a node, several, or none.
            times: how many there have to be.

        Raises:
            Unexpected: there are more or fewer.

        """
        home: Node = self.find(place) if place else self._module
        found = m.findall(home, where)
        if len(found) != times:
            raise Unexpected(f"{self._path}, {place or 'all of it'}: {len(found)} places to change, not {times}")
        edited = home.visit(_Edit(found, change))
        assert isinstance(edited, Node)
        self._replace(home, edited)

    def expect(self, place: str, where: m.BaseMatcherNode, times: int = 1) -> None:
        """Raise Unexpected unless a definition has this, so often."""
        found = m.findall(self.find(place) if place else self._module, where)
        if len(found) != times:
            raise Unexpected(f"{self._path}, {place or 'all of it'}: {len(found)} of what is expected {times} times")

    def add_import(self, module: str, name: str | None = None) -> None:
        """Import a module, or a name from it, unless that is done already."""
        context = CodemodContext()
        AddImportsVisitor.add_needed_import(context, module, name)
        self._module = AddImportsVisitor(context).transform_module(self._module)

    def insert_before(self, place: str, code: str) -> None:
        """Put statements before a definition, at its own level."""
        home = self.find(place)
        new = [*self.statements(code), home]
        edited = self._module.visit(_Edit([home], lambda _: new))
        assert isinstance(edited, cst.Module)
        self._module = edited

    def begin(self, place: str, code: str) -> None:
        """Put statements at the beginning of a function, after its docstring."""
        home = self.find(place)
        lines = list(home.body.body)
        documented = home.get_docstring(clean=False) is not None
        lines[documented:documented] = self.statements(code)
        self._replace(home, home.with_deep_changes(home.body, body=lines))

    def document(self, place: str, pattern: str, text: str) -> None:
        """Replace what a pattern matches in a definition's docstring. Raises Unexpected unless it is there once."""
        home = self.find(place)
        docstring = home.body.body[0].body[0].value if home.get_docstring(clean=False) is not None else None
        if not isinstance(docstring, cst.SimpleString):
            raise Unexpected(f"{self._path}, {place}: it has no docstring in one piece")
        rewritten = _rewritten(f"the docstring of {place}", docstring.value, pattern, text)
        self._replace(home, home.with_deep_changes(docstring, value=rewritten))

    def statements(self, code: str) -> list[cst.BaseStatement]:
        """Return new code, parsed as this file is. Its blank lines and comments stay."""
        module = cst.parse_module(code, config=self._module.config_for_parsing).visit(_Blank())
        first, *others = module.body
        leading = [*module.header, *getattr(first, "leading_lines", ())]
        kept = [first.with_changes(leading_lines=leading), *others]
        assert all(isinstance(statement, cst.BaseStatement) for statement in kept)
        return kept  # type: ignore[return-value]

    def expression(self, code: str) -> cst.BaseExpression:
        """Return a new expression, parsed as this file is."""
        return cst.parse_expression(code, config=self._module.config_for_parsing)

    def _replace(self, home: Node, edited: Node) -> None:
        replaced = self._module.deep_replace(home, edited)
        assert isinstance(replaced, cst.Module)
        self._module = replaced


def dotted(name: str) -> m.BaseMatcherNode:
    """Match a name such as `client.chat.completions.create`."""
    first, *others = name.split(".")
    node: Any = m.Name(first)
    for other in others:
        node = m.Attribute(node, m.Name(other))
    return node  # type: ignore[no-any-return]


def call(name: str, *args: m.BaseMatcherNode) -> m.Call:
    """Match a call of this dotted name; with these arguments, or any."""
    return m.Call(dotted(name), args=[*args] if args else m.DoNotCare())  # type: ignore[arg-type]


def assignment(target: str, value: m.BaseMatcherNode | None = None) -> m.SimpleStatementLine:
    """Match a line that assigns to this dotted name; this value, or any."""
    wanted: Any = m.DoNotCare() if value is None else value
    return m.SimpleStatementLine([m.Assign([m.AssignTarget(dotted(target))], wanted)])  # type: ignore[list-item, arg-type]


def within(node: m.BaseMatcherNode) -> Any:
    """Match a node of any kind that has this somewhere in it."""
    return m.MatchIfTrue(lambda outer: isinstance(outer, Node) and bool(m.findall(outer, node)))


class _Blank(cst.CSTTransformer):
    """Blank lines without spaces on them, however deep the code will stand."""

    def leave_EmptyLine(self, _: cst.EmptyLine, updated: cst.EmptyLine) -> cst.EmptyLine:
        return updated if updated.comment else updated.with_changes(indent=False)


class _Edit(cst.CSTTransformer):
    def __init__(self, wanted: Iterable[Node], change: Callable[[Any], New | Sequence[Node]]) -> None:
        super().__init__()
        self._wanted = {id(node) for node in wanted}
        self._change = change

    def on_leave(self, original: Any, updated: Any) -> Any:
        left = super().on_leave(original, updated)
        if id(original) not in self._wanted:
            return left
        new = self._change(left)
        if not isinstance(new, list | tuple):
            return new
        lines = getattr(left, "leading_lines", ())
        if new and new[0] is not left and lines and getattr(new[0], "leading_lines", None) == ():
            new = [new[0].with_changes(leading_lines=lines), *new[1:]]  # what comes instead stands as far apart
        return cst.FlattenSentinel(new)


def _rewritten(what: str, text: str, pattern: str, new: str) -> str:
    """Return a text with the one place of it that matches replaced, as by `re.sub` with MULTILINE."""
    rewritten, times = re.subn(pattern, new, text, flags=re.MULTILINE)
    if times != 1:
        raise Unexpected(f"{what}: {times} places that match {pattern!r}, not 1")
    return rewritten


def _definitions(node: Node) -> list[cst.FunctionDef | cst.ClassDef]:
    """Return the definitions directly in a node, in branches too, but not those in other definitions."""
    found: list[cst.FunctionDef | cst.ClassDef] = []
    for inner in node.children:
        if isinstance(inner, cst.FunctionDef | cst.ClassDef):
            found.append(inner)
        else:
            found += _definitions(inner)
    return found
