"""Render a PDF: `python -m web.pdf_maker` reads a description from stdin and writes the PDF to stdout.

It runs in its own process, because a long document takes seconds of CPU time, which would block all threads of a web
process. It imports neither Django nor the settings.
"""

import json
import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from reportlab.lib.colors import Color, HexColor
from reportlab.lib.enums import TA_RIGHT
from reportlab.lib.pagesizes import LETTER
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import CondPageBreak, Flowable, Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

FONTS = Path(__file__).parent / "fonts"
INK, MUTED, RULE, GREEN = HexColor("#111513"), HexColor("#5b6460"), HexColor("#d9dedb"), HexColor("#08702a")
PLAIN, BOLD = "Inter", "Inter-SemiBold"
MARGIN = 20 * mm
FRAME_PADDING = 6  # points: ReportLab's default, subtracted so that the content begins at the margin


def text(content: str, size: float, bold: bool = False, muted: bool = False, right: bool = False) -> Paragraph:
    """Return a paragraph of plain text."""
    style = ParagraphStyle(
        "text",
        fontName=BOLD if bold else PLAIN,
        fontSize=size,
        leading=size * 1.4,
        textColor=MUTED if muted else INK,
        alignment=TA_RIGHT if right else 0,
    )
    return Paragraph(escape(content), style)


def table(rows: list[list[str]], widths: list[float], right_aligned_from: int, head: bool, bold: list[int]) -> Table:
    """Return a table of text, as `web.pdf.Table` describes it."""
    page = LETTER[0] - 2 * MARGIN
    cells = [
        [
            text(
                cell,
                8 if head and number == 0 else 9,
                bold=number in bold,
                muted=head and number == 0,
                right=column >= right_aligned_from,
            )
            for column, cell in enumerate(row)
        ]
        for number, row in enumerate(rows)
    ]
    style: list[Any] = [
        ("LINEBELOW", (0, 0), (-1, -1), 0.4, RULE),
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("LEFTPADDING", (0, 0), (0, -1), 0),
        ("RIGHTPADDING", (-1, 0), (-1, -1), 0),
        ("TOPPADDING", (0, 0), (-1, -1), 3),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 4),
    ]
    total = sum(widths)
    columns = [page * width / total for width in widths]
    flowable = Table(cells, colWidths=columns, repeatRows=1 if head else 0, hAlign="LEFT")
    flowable.setStyle(TableStyle(style))
    return flowable


def gap(points: float) -> Spacer:
    """Return vertical space."""
    return Spacer(1, points)


def room(points: float) -> CondPageBreak:
    """Return a page break that takes effect if less than this height is left on the page, in points."""
    return CondPageBreak(points)


PARTS: dict[str, Callable[..., Flowable]] = {"Text": text, "Table": table, "Gap": gap, "Room": room}


def document(title: str, subtitle: str, story: list[tuple[str, dict[str, Any]]], footer: str) -> bytes:
    """Return a Letter-size PDF with our letterhead at the top of each page, and `footer` and the page number below.

    Args:
        story: The type of each part (a key of PARTS) and its arguments.
    """
    pdfmetrics.registerFont(TTFont(PLAIN, FONTS / "inter-regular.ttf"))
    pdfmetrics.registerFont(TTFont(BOLD, FONTS / "inter-semibold.ttf"))

    def frame(canvas: Canvas, layout: SimpleDocTemplate) -> None:
        width, height = LETTER
        canvas.saveState()
        _mark(canvas, MARGIN, height - MARGIN - 2, GREEN)
        canvas.setFont(BOLD, 11)
        canvas.setFillColor(INK)
        canvas.drawString(MARGIN + 20, height - MARGIN, "Brokerage")
        canvas.setFont(PLAIN, 7.5)
        canvas.setFillColor(MUTED)
        canvas.drawString(MARGIN, MARGIN - 18, footer)
        canvas.drawRightString(width - MARGIN, MARGIN - 18, f"Page {layout.page}")
        canvas.restoreState()

    into = BytesIO()
    layout = SimpleDocTemplate(
        into,
        pagesize=LETTER,
        invariant=1,
        title=title,
        author="Brokerage",
        leftMargin=MARGIN - FRAME_PADDING,
        rightMargin=MARGIN - FRAME_PADDING,
        topMargin=MARGIN + 26,
        bottomMargin=MARGIN,
    )
    head = [text(title, 18, bold=True), gap(2), text(subtitle, 9.5, muted=True), gap(16)]
    layout.build(
        [*head, *(PARTS[name](**arguments) for name, arguments in story)], onFirstPage=frame, onLaterPages=frame
    )
    return into.getvalue()


def _mark(canvas: Canvas, x: float, y: float, color: Color) -> None:
    canvas.setStrokeColor(color)
    canvas.setLineWidth(1.6)
    canvas.setLineJoin(1)
    path = canvas.beginPath()
    path.moveTo(x, y)
    for dx, dy in ((4.5, 4.5), (8, 1.5), (13, 8)):
        path.lineTo(x + dx, y + dy)
    path.moveTo(x + 9, y + 8)
    path.lineTo(x + 13, y + 8)
    path.lineTo(x + 13, y + 4)
    canvas.drawPath(path)


if __name__ == "__main__":
    sys.stdout.buffer.write(document(**json.load(sys.stdin)))
