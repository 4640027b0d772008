"""Queries in PromQL: the metrics and labels that they name."""

from __future__ import annotations

from collections.abc import Mapping, Set

from promql_parser import AggModifierType, AggregateExpr, Expr, VectorSelector, parse, walk

TARGET_LABELS = {"job", "instance"}  # Prometheus adds them to each sample
OWN_METRICS = {"up": set[str]()}  # of Prometheus itself


def selectors(expression: Expr) -> list[VectorSelector]:
    """Return the selectors of an expression, such as `name{label="value"}`."""
    found: list[VectorSelector] = []

    def visit(node: Expr) -> None:
        if isinstance(node, VectorSelector):
            found.append(node)

    walk(expression, visit)
    return found


def metric_names(query: str) -> set[str]:
    """Return the metrics that a query names."""
    return {str(selector.name) for selector in selectors(parse(query))}


def unknown_names(query: str, labels: Mapping[str, Set[str]]) -> list[str]:
    """Return what a query names and the given metrics do not have: metrics, and labels in selectors and in `by`.

    Raise ValueError if the query is not PromQL. `labels` are those of each metric.
    """
    known, unknown = {**labels, **OWN_METRICS}, []

    def visit(node: Expr) -> None:
        if isinstance(node, VectorSelector):
            matched = {matcher.name for matcher in node.matchers.matchers}
            if node.name not in known:
                unknown.append(str(node.name))
            else:
                unknown.extend(f"{node.name}{{{label}}}" for label in matched - known[node.name] - TARGET_LABELS)
        if isinstance(node, AggregateExpr) and node.modifier and node.modifier.type == AggModifierType.By:
            below = [known.get(str(selector.name), set()) for selector in selectors(node.expr)]
            unknown.extend(f"by ({label})" for label in set(node.modifier.labels) - TARGET_LABELS.union(*below))

    walk(parse(query), visit)
    return sorted(unknown)


def kept_labels(query: str) -> set[str]:
    """Return the labels of a query's result: those of `by` where it aggregates, else those that Prometheus adds."""
    kept: list[set[str]] = []

    def visit(node: Expr) -> None:
        if isinstance(node, AggregateExpr):
            kept.append(set(node.modifier.labels if node.modifier else ()))

    walk(parse(query), visit)
    return set.union(*kept) - {"le"} if kept else TARGET_LABELS


def matched_values(query: str, label: str) -> set[str]:
    """Return the values with which a query compares a label; the alternatives of `a|b` one by one."""
    matchers = [matcher for selector in selectors(parse(query)) for matcher in selector.matchers.matchers]
    return {value for matcher in matchers if matcher.name == label for value in matcher.value.split("|")}
