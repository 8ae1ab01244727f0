"""The documentation matches the code: links resolve, and commands, files, settings and decisions exist."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.apps import apps
from django.core.management import get_commands

from trades.models import Reason

ROOT = Path(__file__).resolve().parent.parent
PAGES = [
    ROOT / name
    for name in subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    if (ROOT / name).is_file()
]
WORDS_OF_OUR_OWN_MAX = 32
FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FILE = re.compile(r"[\w.-]+(?:/[\w.*-]+)*/[\w.-]+\.(?:py|html|css|js|ya?ml|cfg|md|toml|txt|csv|json)")
MADE_WHILE_RUNNING = ("var/", "etc/")

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def prose(page: Path) -> str:
    """Return the text of a page without its code blocks."""
    return FENCE.sub("", page.read_text())


def code(page: Path) -> Iterator[str]:
    """Yield the code on a page: the lines of code blocks, and text in backticks."""
    for language, block in FENCE.findall(page.read_text()):
        if language in {"sh", "console", ""}:
            yield from block.splitlines()
    yield from re.findall(r"`([^`\n]+)`", prose(page))


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives a page's headings."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@every_page
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in LINK.findall(prose(page)):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), target


@every_page
def test_every_command_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for text in code(page):
        assert set(re.findall(r"(?:^|[ ;&(])make ([a-z][a-z-]*)", text)) <= targets, text
        assert set(re.findall(r"manage\.py ([a-z]\w*)", text)) <= set(get_commands()), text


@every_page
def test_every_file_exists(page: Path) -> None:
    for name in re.findall(r"`([^`\n]+)`", prose(page)):
        path = name.partition("::")[0]
        if FILE.fullmatch(path) and not path.startswith(MADE_WHILE_RUNNING):
            near = (ROOT, page.parent)
            assert any(list(folder.glob(path)) for folder in near), name


TUTORIALS = [ROOT / "docs/tutorial" / name for name in ("first-trade-by-page.md", "first-day-as-staff.md")]


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_every_label_that_a_tutorial_names_is_on_a_page(page: Path) -> None:
    labels = set(re.findall(r"\*\*([^*]+)\*\*", page.read_text()))
    sources = [file for kind in ("html", "py") for file in ROOT.glob(f"[a-su-z]*/**/*.{kind}")]
    shown = "".join(file.read_text() for file in [*sources, *(ROOT / "templates").rglob("*.html")])
    assert len(labels) >= 10
    assert {label for label in labels if label not in shown} == set()


def test_every_page_that_the_code_names_exists() -> None:
    for file in sorted(ROOT.glob("[a-z]*/**/*.py")):
        for name in re.findall(r"\bdocs/[\w/-]+\.(?:md|ya?ml|cfg)\b", file.read_text()):
            assert (ROOT / name).exists(), f"{file.relative_to(ROOT)} names {name}"


def test_every_log_event_that_is_explained_is_logged() -> None:
    rows = re.findall(
        r"^\| (`.+?) \| (?:web|lanes|sweep)", (ROOT / "docs/how-to/debug-a-trade.md").read_text(), re.MULTILINE
    )
    events = {event for row in rows for event in re.findall(r"`([^`]+)`", row)}
    logged = "".join(file.read_text() for file in (ROOT / "trades").rglob("*.py"))
    assert len(events) >= 8
    assert {event for event in events if f'"{event}"' not in logged} == set()


def test_every_page_can_be_reached() -> None:
    linked = {
        (page.parent / target.partition("#")[0]).resolve() for page in PAGES for target in LINK.findall(prose(page))
    }
    folders = {path / "README.md" for path in linked if path.is_dir()}
    unlinked = [page for page in PAGES if page.is_relative_to(ROOT / "docs") and page not in linked | folders]
    assert unlinked == []


def test_every_setting_is_described() -> None:
    read = set(
        re.findall(r"\benv(?:ironment)?(?:\.\w+)?\(\s*\"([A-Z_]+)\"", (ROOT / "brokerage/settings.py").read_text())
    )
    described = set(re.findall(r"`([A-Z_]+)`", (ROOT / "docs/reference/settings.md").read_text()))
    assert len(read) > 25
    assert read - described == set()


def test_every_reason_code_is_described() -> None:
    section = (ROOT / "docs/reference/error-codes.md").read_text().partition("## Reason codes of rejected trades")[2]
    described = set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))
    assert described == set(Reason.values)


def test_documented_constraints_and_triggers_exist() -> None:
    table = (ROOT / "docs/explanation/architecture.md").read_text().partition("| invariant | enforced by |")[2]
    named = set(re.findall(r"`([a-z]+(?:_[a-z]+)+)`", table.partition("\n\n")[0]))
    existing = {
        rule.name
        for model in apps.get_models()
        for rule in (*model._meta.constraints, *model._meta.indexes, *getattr(model._meta, "triggers", ()))
    }
    assert len(named) >= 12
    assert named - existing == set()


DECISIONS = sorted((ROOT / "docs/explanation/adr").glob("[0-9]*.md"))


@pytest.mark.parametrize("record", DECISIONS, ids=lambda record: record.stem)
def test_a_decision_has_status_date_tags_and_its_place_in_the_list(record: Path) -> None:
    text = record.read_text()
    number, title = re.match(r"# (\d+)\. (.+)\n", text).groups()  # type: ignore[union-attr]
    assert record.name.startswith(f"{int(number):04}-")
    assert re.search(r"^\* Status: (?:proposed|accepted|superseded by ADR \d+)$", text, re.MULTILINE)
    date = re.search(r"^\* Date: (\d{4}-\d\d-\d\d)$", text, re.MULTILINE)
    tags = re.search(r"^\* Tags: (.+)$", text, re.MULTILINE)
    assert date
    assert tags
    row = f"| {number} | [{title}]({record.name}) | {date[1]} | {tags[1]} |"
    assert row in (record.parent / "README.md").read_text()


def test_decisions_are_numbered_without_a_gap() -> None:
    assert [int(record.name[:4]) for record in DECISIONS] == list(range(1, len(DECISIONS) + 1))


def test_the_glossary_has_each_word_once() -> None:
    words = re.findall(r"^\*\*(.+?)\.\*\*", (ROOT / "docs/glossary.md").read_text(), re.MULTILINE)
    assert len(set(words)) == len(words)
    assert 20 <= len(words) <= WORDS_OF_OUR_OWN_MAX


def test_the_changelog_has_what_is_not_released_and_this_version() -> None:
    version = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    headings = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert version
    assert headings[0] == "Unreleased"
    assert version[1] in headings
