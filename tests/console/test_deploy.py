"""The files that run an installation elsewhere: valid, and with settings that exist."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from console.binding import exposed
from console.cli import app
from pipeline.auth import Keys
from pipeline.http.metrics import _GAUGES
from pipeline.settings import load_settings
from tests.databases import ROOT

KINDS = ("compose", "kubernetes", "systemd")


def deploy(kind: str, out: Path) -> Result:
    return CliRunner().invoke(app, ("deploy", kind, "--out", str(out)))


@pytest.fixture(params=KINDS)
def written(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, str]:
    """The folder of each kind, and what the command said."""
    done = deploy(request.param, tmp_path / "out")
    assert done.exit_code == 0, done.output
    return tmp_path / "out", done.output


def environment(path: Path) -> dict[str, str]:
    lines = (line for line in path.read_text().splitlines() if line and not line.startswith("#"))
    return dict(line.split("=", 1) for line in lines)


def everything(folder: Path) -> dict[str, str]:
    """Return all variables the files set for the program, wherever they stand."""
    values: dict[str, str] = {}
    for path in folder.glob("*.env"):
        values |= environment(path)
    for document in manifests(folder):
        values |= document.get("data", {}) if document["kind"] == "ConfigMap" else {}
    if (folder / "Containerfile").exists():
        values |= dict(re.findall(r"\b(ANSWERDECK_\w+)=(\S+)", (folder / "Containerfile").read_text()))
    return values


def manifests(folder: Path) -> list[dict[str, Any]]:
    path = folder / "kubernetes.yaml"
    return list(yaml.safe_load_all(path.read_text())) if path.exists() else []


def test_the_environment_is_one_that_settings_load(
    written: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, said = written
    values = everything(folder)
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    settings = load_settings()
    assert exposed(settings, settings.server.host) == []
    assert str(settings.data_dir) == values["ANSWERDECK_DATA_DIR"]
    key = said.strip().rpartition(": ")[2]
    admin = Keys(settings.auth.keys.get_secret_value()).person(key)
    assert admin is not None and admin.role == "admin"
    assert all(key not in path.read_text() for path in folder.iterdir())


def test_secrets_are_for_their_owner_and_never_overwritten(written: tuple[Path, str]) -> None:
    folder, _ = written
    before = (folder / "secrets.env").read_text()
    assert stat.S_IMODE((folder / "secrets.env").stat().st_mode) == 0o600
    for kind in KINDS:
        again = deploy(kind, folder)
        assert again.exit_code == 2 and "secrets.env" in again.output
    assert (folder / "secrets.env").read_text() == before


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = deploy("compose", tmp_path / "file" / "out")
    assert done.exit_code == 2 and "Not a directory" in done.output


def test_compose_fits_its_specification(tmp_path: Path) -> None:
    from compose_spec import PyCompose

    deploy("compose", tmp_path)
    text = (tmp_path / "compose.yaml").read_text()
    PyCompose.from_yaml(text).validate()
    services = yaml.safe_load(text)["services"]
    assert set(services) == {"answerdeck", "bucket", "objects", "postgres", "valkey", "nginx"}
    assert services["answerdeck"]["read_only"] and services["answerdeck"]["cap_drop"] == ["ALL"]
    assert services["answerdeck"]["env_file"] == ["answerdeck.env", "secrets.env"]
    assert (
        services["objects"]["networks"]
        == services["postgres"]["networks"]
        == services["valkey"]["networks"]
        == ["inside"]
    )
    assert [name for name, one in services.items() if "ports" in one] == ["nginx"]


def test_compose_makes_the_bucket_that_the_documents_go_to(tmp_path: Path) -> None:
    deploy("compose", tmp_path)
    services = yaml.safe_load((tmp_path / "compose.yaml").read_text())["services"]
    values, secrets = (environment(tmp_path / name) for name in ("answerdeck.env", "secrets.env"))
    program = services["bucket"]["entrypoint"][2]
    compile(program, "bucket", "exec")
    bucket = values["ANSWERDECK_KNOWLEDGE__PLACE"].split("/")[2]
    assert f'create_dir("{bucket}")' in program
    assert values["AWS_ENDPOINT"] == "http://objects:7070"
    assert secrets["AWS_SECRET_ACCESS_KEY"] == secrets["ROOT_SECRET_KEY"] != secrets["PGPASSWORD"]


def test_compose_believes_its_proxy_alone(tmp_path: Path) -> None:
    deploy("compose", tmp_path)
    networks = yaml.safe_load((tmp_path / "compose.yaml").read_text())["networks"]
    (subnet,) = (row["subnet"] for row in networks["outside"]["ipam"]["config"])
    trusted = environment(tmp_path / "answerdeck.env")["ANSWERDECK_SERVER__TRUSTED_PROXIES"]
    assert json.loads(trusted) == [subnet]


def test_manifests_fit_the_published_schemas(tmp_path: Path) -> None:
    why = "kubernetes-validate is not installed: its schemas of all versions take 108 MB"
    kubernetes_validate = pytest.importorskip("kubernetes_validate", reason=why)
    deploy("kubernetes", tmp_path)
    documents = manifests(tmp_path)
    assert documents
    for document in documents:
        kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)


def test_manifests_run_replicas_without_rights(tmp_path: Path) -> None:
    deploy("kubernetes", tmp_path)
    by_kind = {document["kind"]: document for document in manifests(tmp_path)}
    assert set(by_kind) == {
        "ConfigMap",
        "Service",
        "StatefulSet",
        "PodDisruptionBudget",
        "HorizontalPodAutoscaler",
        "NetworkPolicy",
    }
    spec = by_kind["StatefulSet"]["spec"]
    pod = spec["template"]["spec"]
    (container,) = pod["containers"]
    scaled = by_kind["HorizontalPodAutoscaler"]["spec"]
    assert spec["replicas"] == scaled["minReplicas"] == 2
    assert by_kind["PodDisruptionBudget"]["spec"]["minAvailable"] < spec["replicas"]
    assert scaled["scaleTargetRef"]["name"] == by_kind["StatefulSet"]["metadata"]["name"]
    (metric,) = scaled["metrics"]
    assert metric["pods"]["metric"]["name"].removeprefix("answerdeck_") in _GAUGES
    assert pod["securityContext"]["runAsNonRoot"] and not pod["automountServiceAccountToken"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert {"secretRef": {"name": "answerdeck"}} in container["envFrom"]
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert "password" not in (tmp_path / "kubernetes.yaml").read_text().lower().replace("passwords", "")


def test_the_image_is_made_of_what_is_there(tmp_path: Path) -> None:
    deploy("compose", tmp_path)
    text = (tmp_path / "Containerfile").read_text()
    last = text.rpartition("FROM ")[2]
    assert "USER 10001" in last and "pip install" not in last
    for path in (".ci/requirements.txt", ".ci/requirements-dev.txt"):
        assert path in text and (ROOT / path).exists()
    pinned = (ROOT / ".ci/requirements-dev.txt").read_text()
    pins = re.findall(r"^[\w.-]+==\S+", pinned, re.MULTILINE)
    assert {pin.partition("==")[0] for pin in pins} >= {"psycopg", "psycopg-binary", "redis"}


def test_the_image_leaves_out_what_nothing_reads_and_no_more(tmp_path: Path) -> None:
    """The step is the Containerfile's own, run over a folder that stands for the image's packages."""
    deploy("compose", tmp_path)
    (step,) = re.findall(
        r"^RUN cd /opt\S+ \\\n((?: .*\n)+)", (tmp_path / "Containerfile").read_text(), re.MULTILINE
    )
    gone = ["pandas/tests/a.py", "numpy/lib/tests/b.py", "pyarrow/include/c.h", "gradio/x.js.map"]
    gone += ["pydeck/nbextension/d.js", "pyarrow/libarrow_flight.so.2600", "pyarrow/_flight.abi.so"]
    stays = ["pandas/testing.py", "pyarrow/libarrow_substrait.so.2600", "pydeck/bindings/e.py", "gradio/x.js"]
    packages = tmp_path / "site-packages"
    for name in [*gone, *stays]:
        (packages / name).parent.mkdir(parents=True, exist_ok=True)
        (packages / name).touch()
    subprocess.run(["/bin/sh", "-ec", "true" + step], cwd=packages, check=True)
    assert sorted(stays) == sorted(str(f.relative_to(packages)) for f in packages.rglob("*") if f.is_file())
    arrow = importlib.util.find_spec("pyarrow")
    assert arrow is not None and arrow.origin is not None
    (core,) = Path(arrow.origin).parent.glob("lib.*.so")
    needs = set(re.findall(rb"libarrow_[a-z_]+", core.read_bytes()))
    assert b"libarrow_substrait" in needs and not any(b"flight" in name for name in needs)


def test_nginx_streams_and_believes_nobody(tmp_path: Path) -> None:
    for kind, upstream in (("compose", "answerdeck:7860"), ("systemd", "127.0.0.1:7860")):
        deploy(kind, tmp_path / kind)
        text = (tmp_path / kind / "nginx.conf").read_text()
        lines = [line.partition("#")[0].strip() for line in text.splitlines()]
        assert f"server {upstream} max_fails=3 fail_timeout=2s;" in lines
        assert {"proxy_buffering off;", "proxy_set_header X-Forwarded-For $remote_addr;"} <= set(lines)
        assert not any(line.startswith("set_real_ip_from") for line in lines)
        assert text.count("{") == text.count("}")


def test_the_unit_is_one_that_systemd_takes(tmp_path: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed here")
    deploy("systemd", tmp_path)
    unit = tmp_path / "answerdeck.service"
    text = unit.read_text().replace("/opt/answerdeck/.venv/bin/answerdeck up", "/bin/true")
    unit.write_text(text)
    seen = subprocess.run([program, "verify", str(unit)], capture_output=True, text=True, check=False)
    ours = [line for line in seen.stderr.splitlines() if "answerdeck" in line]
    assert ours == []
