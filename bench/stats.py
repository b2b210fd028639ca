"""Medians, quartiles, and intervals of what two medians make.  Pure: no clock, no processes."""

from __future__ import annotations

import operator
import random
from collections.abc import Callable, Sequence

import attrs

RESAMPLES = 2000
CONFIDENCE = 0.95


def quantile(values: Sequence[float], fraction: float) -> float:
    """The value below which ``fraction`` of the values lie, between two neighbours
    by linear interpolation."""
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    place = fraction * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def median(values: Sequence[float]) -> float:
    return quantile(values, 0.5)


@attrs.frozen
class Spread:
    """Where the middle of the values is and how far they reach."""

    low: float  # quartile
    middle: float  # median
    high: float  # quartile
    count: int


def spread(values: Sequence[float]) -> Spread:
    return Spread(quantile(values, 0.25), median(values), quantile(values, 0.75), len(values))


@attrs.frozen
class Estimate:
    """A value made of medians, and the interval that holds it with ``CONFIDENCE``."""

    low: float
    value: float
    high: float


def _estimate(
    over: Sequence[float],
    under: Sequence[float],
    combine: Callable[[float, float], float],
    seed: int,
) -> Estimate:
    """What ``combine`` makes of the medians of ``over`` and ``under``.

    The interval is the percentile bootstrap: both are drawn anew, with
    replacement, ``RESAMPLES`` times.  The same samples give the same interval.
    """
    draw = random.Random(seed)
    drawn = []
    for _ in range(RESAMPLES):
        above = median(draw.choices(over, k=len(over)))
        below = median(draw.choices(under, k=len(under)))
        drawn.append(combine(above, below))
    tail = (1 - CONFIDENCE) / 2
    value = combine(median(over), median(under))
    return Estimate(quantile(drawn, tail), value, quantile(drawn, 1 - tail))


def ratio(over: Sequence[float], under: Sequence[float], seed: int = 0) -> Estimate:
    """The ratio of the medians of ``over`` and ``under``; both hold positive values."""
    return _estimate(over, under, operator.truediv, seed)


def difference(over: Sequence[float], under: Sequence[float], seed: int = 0) -> Estimate:
    """By how much the median of ``over`` exceeds that of ``under``."""
    return _estimate(over, under, operator.sub, seed)
