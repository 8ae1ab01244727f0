"""PDF documents. The same content always makes the same bytes: no time and no random value goes into them.

A document is described here and made by a process of its own (`web.pdf_maker`), at a low priority: however many are
asked for, other requests go on.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from web.bounded import LOW_PRIORITY
from web.documents import TooManyDocuments

PROJECT = Path(__file__).resolve().parent.parent
MAKE_SECONDS_MAX = 20.0


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

    `rows` are the cells of each row, of which the first is the header if `head` is true; `widths` are those of the
    columns, relative to each other; the cells of column `right_aligned_from` and those after it are right-aligned.
    `bold` has the numbers of the rows in bold, from 0.
    """

    rows: Sequence[Sequence[str]]
    widths: Sequence[float]
    right_aligned_from: int
    head: bool = True
    bold: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Room:
    """Go on on the next page if less than this is left of the page, in points."""

    points: float


Part = Text | Gap | Table | Room
HEADING_ROOM = 80  # for a heading and the first lines of what is below it


def heading(content: str) -> list[Part]:
    """Return the heading of a section, which never stands alone at the end of a page."""
    return [Room(HEADING_ROOM), Text(content, size=12, bold=True), Gap(4)]


def document(title: str, subtitle: str, story: Sequence[Part], footer: str) -> bytes:
    """Return a Letter-size document with our letterhead on each page, and `footer` and the page number below.

    Call it in a turn of `web.documents`.

    Raises:
        TooManyDocuments: It was not made within MAKE_SECONDS_MAX.
    """
    described = {
        "title": title,
        "subtitle": subtitle,
        "story": [(type(part).__name__, asdict(part)) for part in story],
        "footer": footer,
    }
    try:
        made = subprocess.run(
            ["nice", "-n", str(LOW_PRIORITY), sys.executable, "-m", "web.pdf_maker"],
            input=json.dumps(described).encode(),
            stdout=subprocess.PIPE,
            cwd=PROJECT,
            env={},
            timeout=MAKE_SECONDS_MAX,
            check=True,
        )
    except subprocess.TimeoutExpired as error:
        raise TooManyDocuments from error
    return made.stdout
