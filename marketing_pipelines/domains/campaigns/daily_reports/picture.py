"""A daily report as a picture: totals, and the campaigns with the most mail."""

import io
from typing import Any

from marketing_pipelines.domains.campaigns.daily_reports.numbers import MAIL, DailyReport
from marketing_pipelines.domains.campaigns.daily_reports.pages import TITLES, days_of, percent

WIDTH, MARGIN, LINE = 1_200, 40, 44
NAME_WIDTH = 330
MAX_CAMPAIGNS = 20
_PAPER, _INK, _QUIET, _RULE = "#ffffff", "#1c2024", "#63686e", "#d9dde1"


def draw(report: DailyReport) -> bytes:
    """The picture as PNG."""
    # The libraries of images and fonts are for pictures only.
    from PIL import Image, ImageDraw

    shown = report.campaigns[:MAX_CAMPAIGNS]
    lines = len(shown) + 1
    height = MARGIN * 2 + 130 + LINE * (lines + 1) + (30 if len(report.campaigns) > lines else 0)
    image = Image.new("RGB", (WIDTH, height), _PAPER)
    draw_on = ImageDraw.Draw(image)
    large, normal, small = (_font(size) for size in (30, 18, 14))
    y = MARGIN
    draw_on.text((MARGIN, y), _fitted(report.name, large, WIDTH - 2 * MARGIN), _INK, large)
    about = f"{days_of(report)} · {report.new_contacts:,} new contacts"
    draw_on.text((MARGIN, y + 46), about, _QUIET, normal)
    y += 100
    step = (WIDTH - 2 * MARGIN - NAME_WIDTH) / len(MAIL)
    for place, name in enumerate(MAIL):
        right = MARGIN + NAME_WIDTH + step * (place + 1)
        draw_on.text((right, y), TITLES[name], _QUIET, small, anchor="ra")
    y += 30
    for line in [("All campaigns", report.total), *((one.name, one.mails) for one in shown)]:
        draw_on.line((MARGIN, y, WIDTH - MARGIN, y), _RULE)
        draw_on.text((MARGIN, y + 8), _fitted(line[0], normal, NAME_WIDTH - 10), _INK, normal)
        for place, name in enumerate(MAIL):
            right = MARGIN + NAME_WIDTH + step * (place + 1)
            draw_on.text((right, y + 3), f"{line[1][name]:,}", _INK, normal, anchor="ra")
            if name != "sent":
                draw_on.text((right, y + 25), percent(line[1], name), _QUIET, small, anchor="ra")
        y += LINE
    if len(report.campaigns) > len(shown):
        more = f"and {len(report.campaigns) - len(shown)} more campaigns"
        draw_on.text((MARGIN, y + 8), more, _QUIET, small)
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return file.getvalue()


def _font(size: int) -> Any:
    import fontpkg_noto_sans
    from PIL import ImageFont

    return ImageFont.truetype(
        str(fontpkg_noto_sans.ROOT / "files" / "NotoSans[wdth,wght].ttf"), size
    )


def _fitted(text: str, font: Any, width: float) -> str:
    """The text on one line, cut where it is too wide."""
    text = " ".join(text.split())[:200]
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(f"{text}…") > width:
        text = text[:-1]
    return f"{text}…"
