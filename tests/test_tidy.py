"""House rules that a machine can check; docs/explanation/architecture.md has the reasons."""

import ast
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
APPS = ("web", "accounts", "exchange", "trades", "feed", "webhooks", "alpaca_api", "office", "brokerage")
AROUND = ("local", "chaos", "benchmarks", "cluster")  # what runs, breaks and measures the brokerage from outside
FUNCTION_LINES_MAX = 50
FILE_LINES_MAX = 420
SCREEN_LINES = 60
CORE_SCREENS_MAX = 10
VAGUE = {"utils", "util", "helpers", "helper", "common", "core", "services", "signals", "exceptions", "misc"}
# Overridden methods say what the framework's own documentation says.
OF_FRAMEWORKS = {"handle", "add_arguments", "to_internal_value", "to_representation", "authenticate_header", "collect"}
OF_FRAMEWORKS |= {"get_cache_key", "allow_request", "get_authenticators", "get_permissions", "permission_denied"}
OF_FRAMEWORKS |= {"process_exception", "convert_known_exceptions", "report_exception", "format_error_response", "run"}
OF_FRAMEWORKS |= {"format_exception", "get_security_definition", "get_by_natural_key", "create_superuser", "initial"}
OF_FRAMEWORKS |= {"get_authenticate_header", "parse", "ready", "has_permission"}

DECLARED = {"TextChoices", "Serializer", "StrictSerializer", "BaseCommand", "PageQuery", "APIException", "AppConfig"}


def modules(*apps: str) -> list[Path]:
    """Python files of these apps, without tests and migrations."""
    found = [path for app in apps for path in sorted((ROOT / app).rglob("*.py"))]
    return [path for path in found if not {"migrations", "peers"} & set(path.relative_to(ROOT).parts)]


OURS = modules(*APPS, *AROUND)
every_module = pytest.mark.parametrize("path", OURS, ids=lambda path: str(path.relative_to(ROOT)))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
every_test = pytest.mark.parametrize("path", TESTS, ids=lambda path: str(path.relative_to(ROOT)))


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def calls(tree: ast.AST) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield node


def called(call: ast.Call) -> str:
    return ast.unparse(call.func)


def code_lines(path: Path) -> int:
    """Lines of a file that hold code: comments, docstrings, blank lines not counted."""
    text = path.read_text()
    lines: set[int] = set()
    skipped = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in skipped:
            lines |= set(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node, clean=False):
            docstring = node.body[0]
            lines -= set(range(docstring.lineno, (docstring.end_lineno or 0) + 1))
    return len(lines)


@every_module
def test_no_module_has_a_name_for_whatever(path: Path) -> None:
    assert path.stem not in VAGUE
    assert path.parent.name not in VAGUE


def undocumented(node: ast.AST, prefix: str = "") -> Iterator[str]:
    """Public classes, functions and methods without a docstring.

    What is declared for a framework speaks for itself, as do functions of one statement and methods without arguments.
    """
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef):
            if child.name == "Meta" or child.name.startswith("_"):
                continue
            bases = {ast.unparse(base).split("[")[0].split(".")[-1] for base in child.bases}
            plain = bases & DECLARED or any(base.endswith(("Admin", "Inline")) for base in bases)
            if not prefix and not plain and not ast.get_docstring(child):
                yield child.name
            if not plain:
                yield from undocumented(child, f"{child.name}.")
        elif isinstance(child, ast.FunctionDef) and not child.name.startswith("_"):
            takes = len(child.args.args) + len(child.args.kwonlyargs)
            trivial = len(child.body) == 1 or (prefix and takes <= 1)
            receives = any(".connect" in ast.unparse(decorator) for decorator in child.decorator_list)
            if not trivial and not receives and child.name not in OF_FRAMEWORKS and not ast.get_docstring(child):
                yield prefix + child.name


@every_module
def test_what_is_public_says_what_it_does(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert list(undocumented(tree)) == []
    assert ast.get_docstring(tree) or not tree.body


@pytest.mark.parametrize("path", modules("accounts", "trades"), ids=lambda path: str(path.relative_to(ROOT)))
def test_money_is_no_float(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and called(node) == "float":
            # An instant before all others is the one float that is no figure.
            assert [ast.unparse(argument) for argument in node.args] == ["'-inf'"], f"line {node.lineno}"
        assert "FloatField" not in (node.attr if isinstance(node, ast.Attribute) else "")


@every_module
def test_a_verb_owns_its_transaction(path: Path) -> None:
    for call in calls(ast.parse(path.read_text())):
        if called(call) in {"transaction.atomic", "atomic"} and path.name != "customers.py":
            assert "durable=True" in ast.unparse(call), f"line {call.lineno}"


@every_module
def test_only_commands_print(path: Path) -> None:
    if "commands" not in path.parts and path.relative_to(ROOT).parts[0] not in AROUND:
        assert not [call.lineno for call in calls(ast.parse(path.read_text())) if called(call) == "print"]


@pytest.mark.parametrize("path", [*OURS, *TESTS], ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_is_left_to_do(path: Path) -> None:
    assert not re.findall(r"\b(?:TO" r"DO|FIX" r"ME|XX" r"X)\b", path.read_text())


def test_books_are_locked_in_one_place_only() -> None:
    places = [
        f"{path.relative_to(ROOT)}:{function.name}"
        for path in OURS
        for function in functions(ast.parse(path.read_text()))
        for call in calls(function)
        if called(call).endswith("select_for_update")
    ]
    assert places == ["accounts/ledger.py:open_books"]


def private_names(tree: ast.AST) -> Iterator[str]:
    """Names with an underscore in front that a module defines: functions, classes, variables and attributes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr


PRIVATE = {name for path in OURS for name in private_names(ast.parse(path.read_text())) if re.match(r"_[A-Za-z]", name)}
PRIVATE -= {"_replace", "_running", "_base_url"}  # a named tuple's and an Alpaca client's, by the same names


def names_reached_for(tree: ast.AST) -> Iterator[str]:
    """Names that a test imports, patches, or takes from an object that is not its own."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) not in {"self", "cls"}:
            yield node.attr
        elif isinstance(node, ast.Call) and called(node).split(".")[-1] in {"setattr", "patch", "object"}:
            words = [argument.value for argument in node.args if isinstance(argument, ast.Constant)]
            yield from (str(word).split(".")[-1] for word in words)


@every_test
def test_tests_come_through_the_public_door(path: Path) -> None:
    assert not PRIVATE & set(names_reached_for(ast.parse(path.read_text())))


@every_test
def test_rows_come_from_factories(path: Path) -> None:
    for call in calls(ast.parse(path.read_text())):
        if called(call).endswith((".objects.create", ".objects.bulk_create")):
            assert "Factory" in ast.unparse(call), f"line {call.lineno}: make the row by tests/factories.py"


@pytest.mark.parametrize("path", [*OURS, *TESTS], ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_has_one_subject(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= FILE_LINES_MAX


@every_module
def test_a_function_fits_on_a_screen(path: Path) -> None:
    for function in functions(ast.parse(path.read_text())):
        assert (function.end_lineno or 0) - function.lineno < FUNCTION_LINES_MAX, function.name


MAY_BE_DELETED = (
    "Closure.",
    "Mail.",
    "tokens_of",
    "Notice.",
    "Token.",
    "pipe",
    "of_id(",
    "of_name(",
    "mine(",
    "super()",
    "UserSession.",
    "Authenticator.",
    "SavedFilter.",
    "EmailAddress.",
    "Watchlist.",
    "Webhook.",
    "Configuration.",
)


@every_module
def test_books_are_never_deleted_from(path: Path) -> None:
    for call in calls(ast.parse(path.read_text())):
        if called(call).endswith(".delete"):
            on = ast.unparse(call.func)
            assert any(word in on for word in MAY_BE_DELETED), f"{on} in line {call.lineno}"


def test_the_heart_can_be_read_at_one_sitting() -> None:
    heart = [ROOT / "trades" / f"{name}.py" for name in "lane place turn settle execute report sweep".split()]
    assert sum(map(code_lines, heart)) <= CORE_SCREENS_MAX * SCREEN_LINES


@pytest.mark.process
def test_imports_go_one_way() -> None:
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.process
def test_no_file_knows_where_it_lies() -> None:
    kept = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True
    )
    names = kept.stdout.splitlines() or [str(path.relative_to(ROOT)) for path in OURS]
    absolute = re.compile(rb"(?<![\w.~/-])/(?:work|root|home)/\w")
    paths = [ROOT / name for name in names if (ROOT / name).is_file() and not name.endswith((".xz", ".png", ".woff2"))]
    assert [str(path.relative_to(ROOT)) for path in paths if absolute.search(path.read_bytes())] == []
