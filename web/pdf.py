"""PDF documents. The same content always results in the same bytes, because they contain no time or random value.

This module describes a document; a separate process with low priority renders it (`web.pdf_maker`), so that documents
don't slow down other requests.
"""

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from web.bounded import LOW_PRIORITY
from web.documents import TooManyDocuments

PROJECT = Path(__file__).resolve().parent.parent
RENDER_SECONDS_MAX = 20.0


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph of plain text, `size` points high."""

    content: str
    size: float = 9.5
    bold: bool = False
    muted: bool = False


@dataclass(frozen=True, slots=True)
class Gap:
    """Vertical space, in points."""

    points: float = 12


@dataclass(frozen=True, slots=True)
class Table:
    """A table of text.

    Attributes:
        rows: The cells of each row.
        widths: The widths of the columns, relative to each other.
        right_aligned_from: The first right-aligned column, counted from 0. Those after it are right-aligned too.
        head: Whether the first row is the header.
        bold: The numbers of the rows in bold, from 0.
    """

    rows: Sequence[Sequence[str]]
    widths: Sequence[float]
    right_aligned_from: int
    head: bool = True
    bold: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Room:
    """A page break, if less than this height is left on the page, in points."""

    points: float


Part = Text | Gap | Table | Room
PRINTABLE = re.compile("[ -~\u00a0-\u00ac\u00ae-\u0148\u014a-\u01c3\u1e00-\u1e9b\u1ef2-\u1eff–—‘-‚“-„…−]*")
HEADING_ROOM = 80  # for a heading and the first lines of what is below it


def printable(text: str, otherwise: str) -> str:
    """Return a text if the font of documents has all its characters (Latin letters), or else the other one.

    A character that the font does not have would be left out.
    """
    return text if PRINTABLE.fullmatch(text) else otherwise


def heading(content: str) -> list[Part]:
    """Return the heading of a section. It is never the last line of a page."""
    return [Room(HEADING_ROOM), Text(content, size=12, bold=True), Gap(4)]


def document(title: str, subtitle: str, story: Sequence[Part], footer: str) -> bytes:
    """Return a Letter-size PDF with our letterhead at the top of each page, and `footer` and the page number below.

    Call it from a page that is decorated with `documents.in_turn`.

    Raises:
        TooManyDocuments: It took longer than RENDER_SECONDS_MAX.
    """
    description = {
        "title": title,
        "subtitle": subtitle,
        "story": [(type(part).__name__, asdict(part)) for part in story],
        "footer": footer,
    }
    try:
        rendered = subprocess.run(
            ["nice", "-n", str(LOW_PRIORITY), sys.executable, "-m", "web.pdf_maker"],
            input=json.dumps(description).encode(),
            stdout=subprocess.PIPE,
            cwd=PROJECT,
            env={},
            timeout=RENDER_SECONDS_MAX,
            check=True,
        )
    except subprocess.TimeoutExpired as error:
        raise TooManyDocuments from error
    return rendered.stdout
