"""The files in `deploy/` match the code and are valid, checked offline."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import psycopg
import pytest
import yaml
from django import forms
from django.conf import settings
from django.db import connection
from django.urls import URLResolver, get_resolver

from brokerage.error_codes import SOURCE
from cluster.nodes import NODES
from cluster.programs import Programs, Secrets
from local.folder import Folder
from local.postgresql import binaries
from tests.settings import POSTGRESQL_DIR

DEPLOY: Path = settings.BASE_DIR / "deploy"
PROCFILE = (settings.BASE_DIR / "Procfile").read_text()
KINDS = ("web", "lanes", "sweep", "stream")
OPERATORS = {
    "postgresql.cnpg.io/v1": "cloudnative-pg/cluster.json",
    "rabbitmq.com/v1beta1": "rabbitmq-cluster-operator/rabbitmqcluster.json",
}
"""The APIs of operators, whose schemas Kubernetes does not have -> the schema, in tests/deploy/operators."""


def documents(folder: Path) -> list[tuple[Path, dict[str, Any]]]:
    return [(path, item) for path in sorted(folder.glob("*.yaml")) for item in yaml.safe_load_all(path.read_text())]


def operator_schema(api: str) -> dict[str, Any]:
    """Return the schema of an operator's resource, in which unknown fields are an error."""
    schema = json.loads((Path(__file__).parent / "operators" / OPERATORS[api]).read_text())
    _refuse_unknown_fields(schema)
    return schema


def _refuse_unknown_fields(schema: Any) -> None:
    if isinstance(schema, dict):
        if "properties" in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
            schema.setdefault("additionalProperties", False)
        for part in schema.values():
            _refuse_unknown_fields(part)
    elif isinstance(schema, list):
        for part in schema:
            _refuse_unknown_fields(part)


def settings_of(text: str) -> set[str]:
    return set(re.findall(r"^#?([A-Z][A-Z_]+)=", text, re.MULTILINE))


EXAMPLE = settings_of((DEPLOY / ".env.example").read_text())


def test_the_example_environment_has_every_setting_and_no_other() -> None:
    source = "".join(path.read_text() for path in (settings.BASE_DIR / "brokerage").glob("settings*.py"))
    pattern = r"""\b(?:env|environment)(?:\.\w+)?\(\s*["']([A-Z_]+)["']"""
    known = set(re.findall(pattern, source)) - {"HONCHO_PROCESS_NAME"}
    assert known - EXAMPLE == set()
    of_the_procfile = {"BIND", "PORT", "STREAM_PORT", "WEB_WORKERS"}
    assert EXAMPLE - known - of_the_procfile - {"OTEL_EXPORTER_OTLP_ENDPOINT"} == set()


def test_the_cluster_sets_only_settings_of_the_example(tmp_path: Path) -> None:
    environment = Programs(tmp_path, Secrets(), tmp_path, tmp_path, 0).brokerage_environment(NODES["web1"])
    assert environment.keys() - EXAMPLE - {"PATH", "HOME", "LANG", "PYTHONUNBUFFERED"} == set()


@pytest.mark.parametrize("kind", KINDS)
def test_each_process_has_a_unit_a_service_and_a_deployment(kind: str) -> None:
    assert re.search(rf"^{kind}:", PROCFILE, re.MULTILINE)
    assert f"deploy/run {kind}\n" in (DEPLOY / f"systemd/brokerage-{kind}.service").read_text()
    assert yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"][kind]["command"] == [kind]
    (deployment,) = [item for _, item in documents(DEPLOY / "kubernetes") if item.get("kind") == "Deployment"
                     and item["metadata"]["name"] == kind]  # fmt: skip
    assert deployment["spec"]["template"]["spec"]["containers"][0]["args"] == [kind]


@pytest.mark.process
@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
@pytest.mark.parametrize("unit", sorted((DEPLOY / "systemd").glob("brokerage-*.service")), ids=lambda path: path.name)
def test_units_are_valid_and_sandboxed(unit: Path) -> None:
    process = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=35", str(unit)], capture_output=True, text=True
    )
    assert "Unknown" not in process.stderr, process.stderr
    if unit.stem != "brokerage-backup":
        assert process.returncode == 0, process.stdout[-300:]


@pytest.mark.parametrize(
    ("path", "document"),
    documents(DEPLOY / "kubernetes"),
    ids=lambda value: value.name if isinstance(value, Path) else "",
)
def test_manifests_match_kubernetes_schemas(path: Path, document: dict[str, Any]) -> None:
    if document["kind"] == "Kustomization":  # kustomize's own format; the next test reads it
        return
    assert document["metadata"]["name"]
    if (api := document["apiVersion"]) in OPERATORS:
        jsonschema.validate(document, operator_schema(api), jsonschema.Draft202012Validator)
    else:
        kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)


@pytest.mark.parametrize("api", OPERATORS)
def test_schemas_of_operators_refuse_unknown_fields_and_wrong_types(api: str) -> None:
    (manifest,) = [item for _, item in documents(DEPLOY / "kubernetes") if item["apiVersion"] == api]
    for broken in ({"replicass": 3}, {"affinity": "required"}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**manifest, "spec": manifest["spec"] | broken}, operator_schema(api))


def test_the_kustomization_names_every_manifest() -> None:
    named = set(yaml.safe_load((DEPLOY / "kubernetes/kustomization.yaml").read_text())["resources"])
    assert named == {path.name for path in (DEPLOY / "kubernetes").glob("*.yaml")} - {"kustomization.yaml"}


def test_the_image_contains_every_package_that_it_compiles() -> None:
    text = (DEPLOY / "Containerfile").read_text()
    compiled = re.search(r"compileall -q (.*?) \\", text)
    assert compiled is not None
    for name in compiled[1].split():
        assert (settings.BASE_DIR / name / "__init__.py").exists(), name
    assert "-r requirements.txt" in text
    removed = re.search(r"rm -rf (.*)", text)
    assert removed is not None
    assert SOURCE.relative_to(settings.BASE_DIR).parts[0] not in removed[1].split(), "a page is rendered from it"
    assert re.search(r"^USER 10001$", text, re.MULTILINE)


@pytest.mark.process
@pytest.mark.parametrize(
    "script", ["run", *(f"backup/{n}" for n in ("archive-wal", "fetch-wal", "base-backup", "restore"))]
)
def test_scripts_are_executable_and_parse(script: str) -> None:
    path = DEPLOY / script
    assert os.access(path, os.X_OK)
    subprocess.run(["sh", "-n", str(path)], check=True)


@pytest.mark.process
@pytest.mark.skipif(not Path("/usr/sbin/haproxy").exists(), reason="HAProxy is not installed")
def test_the_balancer_accepts_its_configuration(tmp_path: Path) -> None:
    env = {"LISTEN": "127.0.0.1:1", "STATS_SOCKET": str(tmp_path / "s"), "RUN_USER": "root", "RUN_GROUP": "root"}
    for servers in ({}, {"WEB_3": "127.0.0.1:2", "STREAM_2": "127.0.0.1:3"}):
        process = subprocess.run(
            ["/usr/sbin/haproxy", "-c", "-f", str(DEPLOY / "haproxy.cfg")],
            env=env | servers,
            capture_output=True,
            text=True,
        )
        assert process.returncode == 0, process.stderr


def test_the_balancer_has_every_address_that_takes_a_password() -> None:
    """These requests have their own threads, which no other request uses."""
    rules = re.findall(r"acl path_password path,url_dec -m (\w+) (.+)", (DEPLOY / "haproxy.cfg").read_text())
    exact = {address for match, addresses in rules if match == "str" for address in addresses.split()}
    prefixes = tuple(address for match, addresses in rules if match == "beg" for address in addresses.split())
    password_addresses: set[str] = set()
    for address, view in views(get_resolver()):
        fields = getattr(getattr(getattr(view, "view_class", None), "form_class", None), "base_fields", {}).values()
        if address.startswith("/account/") and any(isinstance(field.widget, forms.PasswordInput) for field in fields):
            password_addresses.add(address)
    password_addresses.add("/account/signup/")  # allauth adds the password to this form later
    assert {"/account/login/", "/account/password/change/"} <= password_addresses
    others = {address for address in password_addresses if not address.startswith(prefixes)}
    assert others == exact - {"/api/v1/tokens"}
    assert prefixes == ("/account/password/",)


def views(resolver: URLResolver, prefix: str = "/") -> Iterator[tuple[str, Any]]:
    for pattern in resolver.url_patterns:
        path = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from views(pattern, path)
        else:
            yield path, pattern.callback


@pytest.mark.process
def test_a_broker_counts_as_hanging_only_if_a_peer_responds_and_it_does_not() -> None:
    def hangs(*hosts: str) -> bool:
        command = [sys.executable, str(DEPLOY / "rabbitmq-hangs"), *hosts]
        return subprocess.run(command, env={"PATIENCE_SECONDS": "0.5"}).returncode == 0

    with socket.create_server(("127.0.0.1", 0)) as serving, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        serves, down = (f"127.0.0.1:{server.getsockname()[1]}" for server in (serving, closed))
        assert hangs(down, serves)
        assert hangs(down, down, serves)
        assert not hangs(serves, serves)
        assert not hangs(serves, down)
        assert not hangs(down, down)


@pytest.mark.process
def test_the_roles_are_created_without_privileges(tmp_path: Path) -> None:
    keys = Folder(POSTGRESQL_DIR).keys()
    database = connection.settings_dict
    server = f"postgres://postgres:{keys.postgres_admin_password}@{database['HOST']}:{database['PORT']}/postgres"
    process = subprocess.run(
        [binaries() / "psql", "-v", "ON_ERROR_STOP=1", "-f", DEPLOY / "roles.sql", server],
        env={"OWNER_PASSWORD": "o'wner", "RUNTIME_PASSWORD": "r"},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    with psycopg.connect(server) as admin:
        roles = admin.execute("SELECT rolname, rolsuper, rolcreaterole FROM pg_roles WHERE rolname LIKE 'brokerage%'")
        assert sorted(roles.fetchall()) == [("brokerage", False, False), ("brokerage_runtime", False, False)]
    role = f"brokerage_runtime:{keys.postgres_runtime_password}"
    psycopg.connect(f"postgres://{role}@{database['HOST']}:{database['PORT']}/brokerage").close()


def test_only_migrate_has_the_owners_password() -> None:
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    assert {name for name, service in services.items() if "owner.env" in service["env_file"]} == {"migrate"}
    secrets = {
        path.name: re.findall(r"secretRef:\n +name: (\S+)", path.read_text())
        for path in (DEPLOY / "kubernetes").glob("*.yaml")
    }
    assert [name for name, named in secrets.items() if "brokerage-owner" in named] == ["migrate.yaml"]
    assert settings_of((DEPLOY / "owner.env.example").read_text()) == {"MIGRATE_DATABASE_URL"}
    assert "\nMIGRATE_DATABASE_URL=" not in (DEPLOY / ".env.example").read_text()


def test_the_example_environment_sets_the_number_of_proxies() -> None:
    text = (DEPLOY / ".env.example").read_text()
    assert "\nNUM_PROXIES=1\n" in text
    assert "\nTRUSTED_PROXY_COUNT=1\n" in text
