"""Documents of tables: a title, and rows of cells whose text is broken into lines."""

import re
from collections.abc import Iterable, Sequence
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

# Millimetres, but the sizes of letters, which are points.
MARGIN, PADDING, LINE = 10.0, 1.0, 3.2
MIN_WIDTH, MAX_WIDTH = 12.0, 55.0
SIZE, TITLE_SIZE, SMALL = 7, 13, 8
A4 = (297.0, 210.0)
# The rows whose cells decide how wide a column is.
MEASURED_ROWS = 500
_FONT, _FONT_FILE = "Noto Sans", "NotoSans[wdth,wght].ttf"
_GREY, _SHADE, _BLACK = (120, 125, 130), (238, 241, 244), (0, 0, 0)
_UNPRINTABLE = re.compile(r"[\x00-\x09\x0b-\x1f]")
_MISSING = "\ufffd"


class PdfFile:
    """A document while it is written; it is kept in memory until it is closed.

    Args:
        title: The first line of the document.
        about: The line below it.
    """

    def __init__(self, file: IO[bytes], title: str, about: str) -> None:
        self._file = file
        self._title, self._about = title, about
        self._pdf: Any = None
        self._widths: dict[str, float] = {}

    def table(self, name: str, names: Sequence[str], batches: Iterable["pa.Table"]) -> None:
        """Writes a table of texts below a heading.

        Args:
            name: The heading; empty: none.
        """
        batches = iter(batches)
        waiting: list[list[str]] = []
        for batch in batches:
            waiting += _rows(batch)
            if len(waiting) >= MEASURED_ROWS:
                break
        if self._pdf is None:
            self._begin()
        columns = self._measured(names, waiting[:MEASURED_ROWS])
        self._page_for(sum(columns), name, names, columns)
        for row in waiting:
            self._row(row, columns, names)
        for batch in batches:
            for row in _rows(batch):
                self._row(row, columns, names)

    def close(self) -> None:
        """Writes the document."""
        if self._pdf is None:
            self._begin()
            self._new_page(A4)
        self._file.write(self._pdf.output())

    def _begin(self) -> None:
        # The PDF library is for documents only.
        import fontpkg_noto_sans
        from fpdf import FPDF

        about = self._about

        class Document(FPDF):
            def footer(self) -> None:
                self.set_font(_FONT, size=SIZE)
                self.set_text_color(*_GREY)
                self.set_xy(MARGIN, -MARGIN + 1)
                self.cell(0, LINE, f"{about} · page {self.page_no()} of {{nb}}")
                self.set_text_color(*_BLACK)

        self._pdf = Document(unit="mm", format=(A4[1], A4[0]), orientation="landscape")
        self._pdf.set_title(self._title)
        self._pdf.set_creator("marketing-pipelines")
        self._pdf.set_auto_page_break(False)
        self._pdf.add_font(_FONT, fname=fontpkg_noto_sans.ROOT / "files" / _FONT_FILE)
        self._pdf.set_font(_FONT, size=SIZE)

    def _measured(self, names: Sequence[str], rows: Sequence[Sequence[str]]) -> list[float]:
        """The widths of columns: as wide as their text, within bounds, and the page filled."""
        columns = []
        for place, name in enumerate(names):
            texts = [name, *(row[place] for row in rows)]
            widest = max(
                (self._width(line) for text in texts for line in text.split("\n")), default=0.0
            )
            columns.append(min(max(widest + 2 * PADDING + 0.2, MIN_WIDTH), MAX_WIDTH))
        room = A4[0] - 2 * MARGIN
        if columns and sum(columns) < room:
            spare = (room - sum(columns)) / len(columns)
            columns = [min(width + spare, 2 * MAX_WIDTH) for width in columns]
        return columns

    def _page_for(
        self, width: float, name: str, names: Sequence[str], columns: Sequence[float]
    ) -> None:
        """Opens a page that is wide enough, in the shape of a sheet of paper."""
        wide = max(A4[0], width + 2 * MARGIN)
        size = (wide, max(A4[1], wide * A4[1] / A4[0]))
        is_first = self._pdf.page == 0
        if is_first or abs(self._pdf.w - wide) > 0.1 or self._left() < 20 * LINE:
            self._new_page(size)
        if is_first:
            self._pdf.set_font(_FONT, size=TITLE_SIZE)
            self._pdf.text(MARGIN, self._y + 4, self._printable(self._title))
            self._y += 8
        if name:
            self._pdf.set_font(_FONT, size=SMALL + 1)
            self._y += 4
            self._pdf.text(MARGIN, self._y + 2, name)
            self._y += 4
        self._pdf.set_font(_FONT, size=SIZE)
        self._head(names, columns)

    def _new_page(self, size: tuple[float, float]) -> None:
        self._pdf.add_page(orientation="landscape", format=(size[1], size[0]))
        self._pdf.set_font(_FONT, size=SIZE)
        self._y = MARGIN

    def _left(self) -> float:
        return float(self._pdf.h) - MARGIN - 2 - self._y

    def _head(self, names: Sequence[str], columns: Sequence[float]) -> None:
        lines = [self._lines(name, width) for name, width in zip(names, columns, strict=True)]
        height = max(len(own) for own in lines) * LINE + PADDING
        self._pdf.set_fill_color(*_SHADE)
        self._pdf.rect(MARGIN, self._y, sum(columns), height, style="F")
        self._print(lines, columns, height)

    def _row(self, row: Sequence[str], columns: Sequence[float], names: Sequence[str]) -> None:
        lines = [self._lines(text, width) for text, width in zip(row, columns, strict=True)]
        while any(lines):
            most = int((self._left() - PADDING) // LINE)
            needed = max(len(own) for own in lines)
            page = max(1, int((self._pdf.h - 2 * MARGIN - 2 - PADDING) // LINE) - 3)
            if needed > most and (needed <= page or most < 4):
                self._new_page((self._pdf.w, self._pdf.h))
                self._head(names, columns)
                continue
            # A cell longer than a page goes on on the next one.
            now = [own[:most] for own in lines]
            lines = [own[most:] for own in lines]
            self._print(now, columns, max(len(own) for own in now) * LINE + PADDING)

    def _print(
        self, lines: Sequence[Sequence[str]], columns: Sequence[float], height: float
    ) -> None:
        x = MARGIN
        for own, width in zip(lines, columns, strict=True):
            for number, line in enumerate(own):
                if line:
                    self._pdf.text(x + PADDING, self._y + (number + 0.75) * LINE, line)
            x += width
        self._y += height
        self._pdf.set_draw_color(*_SHADE)
        self._pdf.line(MARGIN, self._y, x, self._y)

    def _printable(self, text: str) -> str:
        """A text in which letters that the font lacks are visible."""
        if text.isascii():
            return text
        letters = self._pdf.fonts[_FONT.lower()].cmap
        return "".join(
            letter if letter == "\n" or ord(letter) in letters else _MISSING for letter in text
        )

    def _width(self, text: str) -> float:
        """The width of a line, as the sum of its letters."""
        known = self._widths
        total = 0.0
        for letter in text:
            width = known.get(letter)
            if width is None:
                width = known[letter] = float(self._pdf.get_string_width(letter))
            total += width
        return total

    def _lines(self, text: str, width: float) -> list[str]:
        """A text as lines that fit a column, broken between words where that is possible."""
        room = width - 2 * PADDING
        lines: list[str] = []
        for paragraph in self._printable(text).split("\n"):
            line, filled = "", 0.0
            for word in re.findall(r"\s*\S+|\s+$", paragraph):
                wide = self._width(word)
                if filled + wide <= room:
                    line, filled = line + word, filled + wide
                    continue
                if line:
                    lines.append(line)
                    word = word.lstrip()
                    wide = self._width(word)
                while wide > room:
                    part = self._fitting(word, room)
                    lines.append(part)
                    word = word[len(part) :]
                    wide = self._width(word)
                line, filled = word, wide
            lines.append(line)
        return lines

    def _fitting(self, word: str, room: float) -> str:
        filled = 0.0
        for place, letter in enumerate(word):
            filled += self._width(letter)
            if filled > room and place:
                return word[:place]
        return word


def _rows(batch: "pa.Table") -> list[list[str]]:
    """The rows of a batch as texts; null is empty."""
    columns = [
        [_UNPRINTABLE.sub(" ", value.replace("\r\n", "\n")) if value else "" for value in column]
        for column in (each.to_pylist() for each in batch.columns)
    ]
    return [list(row) for row in zip(*columns, strict=True)]
