"""The text format of Prometheus: metrics as they are declared, and their samples as text. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Buckets of durations: from the fastest read to the longest that a client waits for; 14 series an operation."""


class Metric(NamedTuple):
    """`kind`: counter, gauge or histogram."""

    name: str
    kind: str
    help: str
    labels: tuple[str, ...] = ()


class Sample(NamedTuple):
    """One value; `labels` are the values of the metric's labels."""

    value: float
    labels: tuple[str, ...] = ()


class Buckets(NamedTuple):
    """One histogram: how many observations fell at or below each of `BOUNDS_S`, all of them, and their sum."""

    below: tuple[int, ...]
    total: int
    sum: float
    labels: tuple[str, ...] = ()


def render(found: Iterable[tuple[Metric, Iterable[Sample | Buckets]]]) -> str:
    """The whole answer of a scrape; metrics without samples are left out."""
    lines: list[str] = []
    for metric, samples in found:
        body = [line for sample in samples for line in _lines(metric, sample)]
        if body:
            lines += [f"# HELP {metric.name} {_escaped(metric.help)}", f"# TYPE {metric.name} {metric.kind}", *body]
    return "\n".join(lines) + "\n"


def _lines(metric: Metric, sample: Sample | Buckets) -> Iterable[str]:
    labels = dict(zip(metric.labels, sample.labels, strict=True))
    if isinstance(sample, Sample):
        yield f"{metric.name}{_labels(labels)} {_number(sample.value)}"
        return
    for bound, count in zip((*BOUNDS_S, math.inf), (*sample.below, sample.total), strict=True):
        yield f"{metric.name}_bucket{_labels({**labels, 'le': _number(bound)})} {count}"
    yield f"{metric.name}_sum{_labels(labels)} {_number(sample.sum)}"
    yield f"{metric.name}_count{_labels(labels)} {sample.total}"


def _labels(labels: Mapping[str, str]) -> str:
    pairs = ",".join(f'{name}="{_quoted(value)}"' for name, value in labels.items())
    return f"{{{pairs}}}" if pairs else ""


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _quoted(text: str) -> str:
    return _escaped(text).replace('"', '\\"')


def _number(value: float) -> str:
    if value == math.inf:
        return "+Inf"
    return str(int(value)) if float(value).is_integer() else repr(float(value))
