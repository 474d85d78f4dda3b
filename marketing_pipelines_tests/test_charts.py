"""Charts as SVG images: their texts, places and bounds."""

import datetime as dt
import xml.etree.ElementTree as ET

from marketing_pipelines import charts

SVG = "{http://www.w3.org/2000/svg}"
DAYS = [dt.date(2026, 3, day) for day in (1, 2, 3)]


def parsed(image: str) -> ET.Element:
    return ET.fromstring(image)  # noqa: S314 (our own text)


def texts(image: str) -> list[str]:
    return [str(element.text) for element in parsed(image).iter(f"{SVG}text")]


def test_a_line_has_points_on_its_own_days_alone() -> None:
    chart = charts.line_chart("members", [("a", DAYS, [1, 2, 3]), ("b", DAYS[1:2], [4])])
    assert [[text for _, _, text in line.points] for line in chart.lines] == [
        ["2026-03-01: 1 a", "2026-03-02: 2 a", "2026-03-03: 3 a"],
        ["2026-03-02: 4 b"],
    ]
    [(x, y, _)] = chart.lines[1].points
    assert (x, y) == (chart.lines[0].points[1][0], chart.rules[4][0]), "its day, on the top rule"
    image = parsed(charts.line_image(chart))
    assert len(list(image.iter(f"{SVG}circle"))) == 4
    assert len(list(image.iter(f"{SVG}polyline"))) == 2


def test_names_are_text_and_no_markup() -> None:
    name = "<script>alert('&')</script>"
    assert name in texts(charts.line_image(charts.line_chart("t", [(name, DAYS[:1], [1])])))
    assert name in texts(charts.bar_image(name, [(name, 1)]))


def test_a_chart_without_lines_or_bars_is_an_empty_one() -> None:
    assert "0" in texts(charts.line_image(charts.line_chart("nothing", [])))
    assert texts(charts.bar_image("nothing", [])) == ["nothing"]


def test_bars_have_their_share_of_the_largest_and_at_most_twenty_five_are_drawn() -> None:
    image = parsed(charts.bar_image("funnel", [(str(n), 1000 - n) for n in range(40)]))
    bars = [float(bar.attrib["width"]) for bar in image.iter(f"{SVG}rect") if "y" in bar.attrib]
    assert len(bars) == 25
    assert bars[0] == 550
    assert bars[24] == 536.8
