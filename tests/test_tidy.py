"""The rules of CONTRIBUTING.md that a machine can check."""

import ast
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
APPS = ("web", "accounts", "exchange", "trades", "feed", "webhooks", "alpaca_api", "office", "brokerage")
AROUND = ("local", "chaos", "benchmarks", "cluster")  # packages that run, break and measure the brokerage from outside
FUNCTION_LINES_MAX = 50
FILE_LINES_MAX = 420
SCREEN_LINES = 60
CORE_SCREENS_MAX = 10
VAGUE = {"utils", "util", "helpers", "helper", "common", "core", "services", "signals", "exceptions", "misc"}
# Overridden methods are documented by their framework.
FRAMEWORK_METHODS = {
    "handle", "add_arguments", "to_internal_value", "to_representation", "authenticate_header", "collect",
    "get_cache_key", "allow_request", "get_authenticators", "get_permissions", "permission_denied", "process_exception",
    "convert_known_exceptions", "report_exception", "format_error_response", "run", "format_exception",
    "get_security_definition", "get_by_natural_key", "create_superuser", "initial", "get_authenticate_header", "parse",
    "ready", "has_permission",
}  # fmt: skip

DECLARATIVE_BASES = {
    "TextChoices", "Serializer", "StrictSerializer", "BaseCommand", "PageQuery", "APIException", "AppConfig",
}  # fmt: skip


def modules(*apps: str) -> list[Path]:
    """Return the Python files of these packages, without tests and migrations."""
    paths = [path for app in apps for path in sorted((ROOT / app).rglob("*.py"))]
    return [path for path in paths if not {"migrations", "peers"} & set(path.relative_to(ROOT).parts)]


OURS = modules(*APPS, *AROUND)
TESTS = sorted((ROOT / "tests").rglob("*.py"))


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """Yield every call with the source text of the called function."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


@dataclass(frozen=True)
class Source:
    """A Python file, parsed once for all rules, because parsing takes most of the time."""

    path: Path

    def __str__(self) -> str:
        return str(self.path.relative_to(ROOT))

    @property
    def app(self) -> str:
        return self.path.relative_to(ROOT).parts[0]

    @cached_property
    def text(self) -> str:
        return self.path.read_text()

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @cached_property
    def calls(self) -> list[tuple[str, ast.Call]]:
        return list(calls(self.tree))

    @property
    def functions(self) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield node


@pytest.fixture(scope="module")
def product() -> list[Source]:
    """Return every Python file except the tests."""
    return [Source(path) for path in OURS]


@pytest.fixture(scope="module")
def tests() -> list[Source]:
    return [Source(path) for path in TESTS]


def code_lines(path: Path) -> int:
    """Return the number of lines with code, without comments, docstrings and blank lines."""
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


def test_no_module_has_a_vague_name() -> None:
    assert [path for path in OURS if {path.stem, path.parent.name} & VAGUE] == []


def undocumented(node: ast.AST, prefix: str = "") -> Iterator[str]:
    """Yield public classes, functions and methods without a docstring.

    Declarations for a framework need none, nor do functions of one statement and methods without arguments.
    """
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef):
            if child.name == "Meta" or child.name.startswith("_"):
                continue
            bases = {ast.unparse(base).split("[")[0].split(".")[-1] for base in child.bases}
            is_declarative = bases & DECLARATIVE_BASES or any(base.endswith(("Admin", "Inline")) for base in bases)
            if not prefix and not is_declarative and not ast.get_docstring(child):
                yield child.name
            if not is_declarative:
                yield from undocumented(child, f"{child.name}.")
        elif isinstance(child, ast.FunctionDef) and not child.name.startswith("_"):
            parameters_count = len(child.args.args) + len(child.args.kwonlyargs)
            is_trivial = len(child.body) == 1 or (prefix and parameters_count <= 1)
            is_receiver = any(".connect" in ast.unparse(decorator) for decorator in child.decorator_list)
            if (
                not is_trivial
                and not is_receiver
                and child.name not in FRAMEWORK_METHODS
                and not ast.get_docstring(child)
            ):
                yield prefix + child.name


def test_public_things_have_docstrings(product: list[Source]) -> None:
    assert [f"{source}: {name}" for source in product for name in undocumented(source.tree)] == []
    assert [source for source in product if source.tree.body and not ast.get_docstring(source.tree)] == []


def test_money_is_never_float(product: list[Source]) -> None:
    for source in product:
        if source.app not in {"accounts", "trades"}:
            continue
        for name, call in source.calls:
            # Minus infinity, as an instant before all others, is the only allowed float.
            arguments = [ast.unparse(argument) for argument in call.args]
            assert name != "float" or arguments == ["'-inf'"], f"{source}:{call.lineno}"
        names = [node.attr for node in ast.walk(source.tree) if isinstance(node, ast.Attribute)]
        assert not [name for name in names if "FloatField" in name], source


def test_a_verb_owns_its_transaction(product: list[Source]) -> None:
    for source in product:
        for name, call in source.calls:
            if name in {"transaction.atomic", "atomic"} and source.path.name != "customers.py":
                assert "durable=True" in ast.unparse(call), f"{source}:{call.lineno}"


def test_only_commands_print(product: list[Source]) -> None:
    silent = [source for source in product if "commands" not in source.path.parts and source.app not in AROUND]
    assert [f"{source}:{call.lineno}" for source in silent for name, call in source.calls if name == "print"] == []


def test_no_todo_comments_are_left(product: list[Source], tests: list[Source]) -> None:
    todo = re.compile(r"\b(?:TO" r"DO|FIX" r"ME|XX" r"X)\b")
    assert [source for source in (*product, *tests) if todo.search(source.text)] == []


def test_books_are_locked_in_one_place_only(product: list[Source]) -> None:
    lock = re.compile(r"FROM accounts_balance\b[^\"]* FOR (?:NO KEY )?UPDATE")
    assert [str(source) for source in product if lock.search(source.text)] == ["accounts/ledger.py"]
    assert [str(source) for source in product if "select_for_update" in source.text] == []


def private_names(tree: ast.AST) -> Iterator[str]:
    """Yield the names that a module defines: functions, classes, variables and attributes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr


OTHERS_PRIVATE_NAMES = {"_replace", "_running", "_base_url"}  # those of named tuples and Alpaca's client


def names_reached_for(tree: ast.AST) -> Iterator[str]:
    """Yield names that a test imports, patches, or accesses on objects of other modules."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.Attribute):
            if not (isinstance(node.value, ast.Name) and node.value.id in {"self", "cls"}):
                yield node.attr
        elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in {"setattr", "patch", "object"}:
            words = [argument.value for argument in node.args if isinstance(argument, ast.Constant)]
            yield from (str(word).split(".")[-1] for word in words)


def test_tests_use_no_private_names(product: list[Source], tests: list[Source]) -> None:
    private = {name for source in product for name in private_names(source.tree) if re.match(r"_[A-Za-z]", name)}
    private -= OTHERS_PRIVATE_NAMES
    assert {str(source): names for source in tests if (names := private & set(names_reached_for(source.tree)))} == {}


CREATES_ROWS = tuple(f".objects.{name}" for name in ("create", "bulk_create", "get_or_create", "update_or_create"))


def test_rows_come_from_factories(tests: list[Source]) -> None:
    for source in tests:
        for name, call in source.calls:
            text = ast.unparse(call)
            if name.endswith(CREATES_ROWS) or "force_insert=True" in text:
                assert "Factory" in text, f"{source}:{call.lineno}: create the row with tests/factories.py"


def test_a_file_has_one_subject(product: list[Source], tests: list[Source]) -> None:
    assert [source for source in (*product, *tests) if len(source.text.splitlines()) > FILE_LINES_MAX] == []


def test_a_function_is_shorter_than_a_screen(product: list[Source]) -> None:
    long_functions = [
        f"{source}: {function.name}"
        for source in product
        for function in source.functions
        if (function.end_lineno or 0) - function.lineno >= FUNCTION_LINES_MAX
    ]
    assert long_functions == []


MAY_BE_DELETED = (
    "Closure.",
    "Mail.",
    "Notice.",
    "Token.",
    "pipe",
    "watchlist_by_id(",
    "watchlist_by_name(",
    "super()",
    "UserSession.",
    "Authenticator.",
    "SavedFilter.",
    "EmailAddress.",
    "Watchlist.",
    "Webhook.",
    "Configuration.",
)


def test_books_are_never_deleted_from(product: list[Source]) -> None:
    for source in product:
        for name, call in source.calls:
            if name.endswith(".delete"):
                assert any(word in name for word in MAY_BE_DELETED), f"{source}:{call.lineno}: {name}"


def test_the_core_modules_are_short() -> None:
    core_modules = [ROOT / "trades" / f"{name}.py" for name in "lane place turn settle execute report sweep".split()]
    assert sum(map(code_lines, core_modules)) <= CORE_SCREENS_MAX * SCREEN_LINES


@pytest.mark.process
def test_imports_go_one_way() -> None:
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    completed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert completed.returncode == 0, completed.stdout + completed.stderr


@pytest.mark.process
def test_no_file_has_an_absolute_path() -> None:
    completed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True
    )
    names = completed.stdout.splitlines() or [str(path.relative_to(ROOT)) for path in OURS]
    absolute_path = re.compile(rb"(?<![\w.~/-])/(?:work|root|home)/\w")
    paths = [ROOT / name for name in names if (ROOT / name).is_file() and not name.endswith((".xz", ".png", ".woff2"))]
    assert [str(path.relative_to(ROOT)) for path in paths if absolute_path.search(path.read_bytes())] == []
