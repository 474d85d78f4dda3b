"""Charts as SVG: lines over days and bars, for pages that place them and as images of their own.

A run draws one in a few milliseconds; a plotting library would take as long to import as the run
itself.
"""

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 900, 220, 56, 12, 28
MAX_DATES = 10
MAX_BARS = 25
BAR_HEIGHT, BAR_LEFT, BAR_RIGHT = 24, 260, 90
# The first of each pair on light paper is also well seen on dark paper.
COLOURS = ("#2f6fde", "#e08a00", "#2c9a4b", "#8d6bb8", "#d12f2f")

# A line over days: its name, the days, and a number for each of them.
NamedLine = tuple[str, Sequence[dt.date], Sequence[int]]


@dataclass(frozen=True)
class ChartLine:
    """One line of a chart: its points, each with its text."""

    name: str
    total: int
    points: list[tuple[str, str, str]]


@dataclass(frozen=True)
class Chart:
    """Lines over days, in units of the drawing: `WIDTH` by `HEIGHT`.

    Attributes:
        rules: Horizontal rules with their values.
        dates: Places of the names of days.
    """

    title: str
    rules: list[tuple[str, str]]
    dates: list[tuple[str, str]]
    lines: list[ChartLine]


def line_chart(title: str, lines: Iterable[NamedLine]) -> Chart:
    """One line per name over days; a line has points on its own days alone."""
    lines = list(lines)
    shown = sorted({day for _, days, _ in lines for day in days})
    places = {day: place for place, day in enumerate(shown)}
    step = _round_step(max((number for _, _, numbers in lines for number in numbers), default=0))
    top = step * 4
    across = (WIDTH - LEFT - 24) / max(len(shown) - 1, 1)

    def x(place: int) -> str:
        return f"{LEFT + place * across:.1f}"

    def y(number: int) -> str:
        return f"{HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * number / top:.1f}"

    every = len(shown) // MAX_DATES + 1
    return Chart(
        title=title,
        rules=[(y(step * n), f"{step * n:,}") for n in range(5)],
        dates=[(x(n), f"{day:%m-%d}") for n, day in enumerate(shown) if n % every == 0],
        lines=[
            ChartLine(
                name,
                sum(numbers),
                [
                    (x(places[day]), y(number), f"{day}: {number:,} {name}")
                    for day, number in zip(days, numbers, strict=True)
                ],
            )
            for name, days, numbers in lines
        ],
    )


def line_image(chart: Chart) -> str:
    """The chart as an SVG file, with its title and a legend."""
    return _drawn("line_chart.svg", chart=chart, height=HEIGHT + 20 * (1 + len(chart.lines)))


def bar_image(title: str, bars: Sequence[tuple[str, int]]) -> str:
    """One bar per name, the first on top, as an SVG file; at most 25."""
    bars = bars[:MAX_BARS]
    largest = max((number for _, number in bars), default=0) or 1
    across = WIDTH - BAR_LEFT - BAR_RIGHT
    drawn = [(_shorten(name), number, across * number / largest) for name, number in bars]
    return _drawn("bar_chart.svg", title=_shorten(title, 70), bars=drawn)


def _drawn(template: str, **values: Any) -> str:
    text: str = _environment().get_template(template).render(**values)
    return text


@cache
def _environment() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader(__package__),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {
        "WIDTH": WIDTH,
        "HEIGHT": HEIGHT,
        "BAR_HEIGHT": BAR_HEIGHT,
        "BAR_LEFT": BAR_LEFT,
        "COLOURS": COLOURS,
    }
    return environment


def _shorten(text: str, most: int = 32) -> str:
    text = " ".join(text.split())
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _round_step(largest: int) -> int:
    """A fourth of the axis: 1, 2, 2.5 or 5 times a power of ten, where it is a whole number."""
    power = 1
    while True:
        for tenths in (10, 20, 25, 50):
            if tenths * power % 10 == 0 and tenths * power // 10 * 4 >= largest:
                return tenths * power // 10
        power *= 10
