"""The rules as a file for Prometheus: the same questions, times and words, evaluated there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from string import Formatter

import msgspec

from headgate.alerts.expr import duration
from headgate.alerts.rule import Detail, Unit, Watched, plural, shown

__all__ = ["rules_file"]

_HUMAN: dict[Unit, str] = {
    "share": '{{ $value | humanizePercentage | reReplaceAll "%$" " %" }}',
    "seconds": "{{ $value | humanizeDuration }}",
    "usd": '${{ printf "%.2f" $value }}',
    "count": '{{ printf "%.0f" $value }}',
    "times": '{{ printf "%.2f" $value }}',
}
_OWN = "<its own>"
"""Stands for the value of an alert's label in a query."""


def rules_file(rules: Iterable[Watched], *, annotated: bool = True) -> str:
    """YAML for `rule_files`.  `annotated`: with the words that notifications are made of."""
    lines = ["# Made by `headgate alerts rules`.", "groups:", "  - name: headgate", "    rules:"]
    for watched in rules:
        lines += _rule(watched, annotated=annotated)
    return "\n".join(lines) + "\n"


def _rule(watched: Watched, *, annotated: bool) -> Iterator[str]:
    rule = watched.rule
    yield f"      - alert: {rule.alert}"
    yield "        expr: |-"
    yield from (f"          {line}" for line in watched.expr.promql().splitlines())
    if watched.for_s:
        yield f"        for: {duration(watched.for_s)}"
    yield "        labels:"
    yield f"          severity: {watched.severity}"
    if annotated:
        yield "        annotations:"
        yield f"          summary: {_quoted(rule.title)}"
        yield f"          description: {_quoted(' '.join(_sentences(watched)))}"
        yield f"          runbook: {_quoted(rule.runbook_path)}"


def _sentences(watched: Watched) -> Iterator[str]:
    rule = watched.rule
    yield _filled(rule.says, _HUMAN[rule.unit], _threshold(watched))
    if rule.detail is not None:
        yield _told(rule.detail, rule.per)
    yield rule.means
    yield f"Next: {rule.next}"


def _threshold(watched: Watched) -> str:
    """The alert's own, where values of a label have different ones."""
    unit, per = watched.rule.unit, watched.rule.per
    text = shown(watched.threshold, unit)
    for value, threshold in watched.thresholds.items():
        is_its = f"{{{{ if eq $labels.{per} {_go_quoted(value)} }}}}"
        text = f"{is_its}{shown(threshold, unit)}{{{{ else }}}}{text}{{{{ end }}}}"
    return text


def _told(detail: Detail, per: str | None) -> str:
    """A query inside the text, with the alert's own label; a sentence for each answer."""
    query = " ".join(detail.asks(() if per is None else ((per, _OWN),)).promql().split())
    own = f" $labels.{per}" if _OWN in query else ""
    made = _go_quoted(query.replace(f'"{_OWN}"', "%q"))
    asked = f"query (printf {made}{own})" if own else f"query {made}"
    human = _HUMAN[detail.unit].replace("$value", ".Value")
    return f"{{{{ range {asked} }}}}{_filled(detail.says, human, '', of='.Labels')}. {{{{ end }}}}"


def _filled(words: str, value: str, threshold: str, *, of: str = "$labels") -> str:
    known = {"value": value, "threshold": threshold}
    made = ""
    for text, name, noun, _ in Formatter().parse(words):
        made += text
        if name is not None:
            made += known.get(name) or f"{{{{ {of}.{name} }}}}"
        if noun:
            count = value.removeprefix("{{ ").removesuffix(" }}")
            made += f' {{{{ if eq ({count}) "1" }}}}{noun}{{{{ else }}}}{plural(noun)}{{{{ end }}}}'
    return made


def _quoted(text: str) -> str:
    """A double-quoted scalar of YAML is written like one of JSON."""
    return msgspec.json.encode(text).decode()


_go_quoted = _quoted
