"""`answerdeck deploy`: the files that run an installation elsewhere, with secrets of their own."""

from __future__ import annotations

import hashlib
import secrets
from pathlib import Path
from typing import Annotated

import typer

from console.commands.screen import wrong
from console.deploy.proxy import FILES, configuration

Out = Annotated[Path, typer.Option("--out", help="Folder for the files; made when it is not there.")]
_PASSWORDS = 0o600
_COMPOSE_ENV = """\
# What the containers are configured with; every key of the configuration may stand here.
ANSWERDECK_LEDGER=postgresql://answerdeck@postgres:5432/answerdeck
ANSWERDECK_SESSIONS=redis://valkey:6379
ANSWERDECK_DATA_DIR=/data
ANSWERDECK_SERVER__HOST=0.0.0.0
ANSWERDECK_SERVER__TRUSTED_PROXIES=["172.30.83.0/24"]
ANSWERDECK_KNOWLEDGE__PLACE=s3://answerdeck/knowledge
AWS_ENDPOINT=http://objects:7070
AWS_ALLOW_HTTP=true
AWS_REGION=us-east-1
"""
_SYSTEMD_ENV = """\
# Belongs to /etc/answerdeck/answerdeck.env; every key of the configuration may stand here.
ANSWERDECK_DATA_DIR=/var/lib/answerdeck
ANSWERDECK_SERVER__HOST=127.0.0.1
OPENBLAS_NUM_THREADS=1
"""


def compose(out: Out) -> None:
    """Write what runs the chat, PostgreSQL, Valkey, a bucket and nginx in containers on one machine."""
    key, line = _key()
    password, access, secret = secrets.token_urlsafe(24), secrets.token_hex(10), secrets.token_hex(20)
    passwords = f"POSTGRES_PASSWORD={password}\nPGPASSWORD={password}\n"
    bucket = f"AWS_ACCESS_KEY_ID={access}\nAWS_SECRET_ACCESS_KEY={secret}\n"
    root = f"ROOT_ACCESS_KEY={access}\nROOT_SECRET_KEY={secret}\n"
    texts = {
        "Containerfile": _text("Containerfile"),
        "compose.yaml": _text("compose.yaml"),
        "nginx.conf": configuration(["answerdeck:7860"]),
        "answerdeck.env": _COMPOSE_ENV,
        "secrets.env": f"{line}{passwords}{bucket}{root}",
    }
    _write(out, texts)
    print(f"Build the image in the checkout: podman build -f {out}/Containerfile -t answerdeck .")
    print(f"Start it: cd {out} && podman compose up -d; then http://127.0.0.1:8080")
    _tell(key)


def kubernetes(out: Out) -> None:
    """Write a Containerfile and manifests for replicas that share engines; secrets by reference."""
    key, line = _key()
    texts = {
        "Containerfile": _text("Containerfile"),
        "kubernetes.yaml": _text("kubernetes.yaml"),
        "secrets.env": f"{line}PGPASSWORD=\nAWS_ACCESS_KEY_ID=\nAWS_SECRET_ACCESS_KEY=\n",
    }
    _write(out, texts)
    print(f"Put the password of PostgreSQL and the keys of the bucket into {out}/secrets.env, then:")
    print(f"  kubectl create secret generic answerdeck --from-env-file={out}/secrets.env")
    print(f"  kubectl apply -f {out}/kubernetes.yaml")
    _tell(key)


def systemd(out: Out) -> None:
    """Write a hardened unit for a checkout in /opt/answerdeck, its environment, and nginx's part."""
    key, line = _key()
    texts = {
        "answerdeck.service": _text("answerdeck.service"),
        "nginx.conf": configuration(["127.0.0.1:7860"]),
        "answerdeck.env": _SYSTEMD_ENV,
        "secrets.env": line,
    }
    _write(out, texts)
    print(f"Copy {out}/*.env to /etc/answerdeck (mode 600), the unit to /etc/systemd/system, then:")
    print("  useradd --system answerdeck; systemctl daemon-reload; systemctl enable --now answerdeck")
    _tell(key)


def _text(name: str) -> str:
    return (FILES / name).read_text("utf-8")


def _key() -> tuple[str, str]:
    """Make the key of a first admin; returns it, and the line that lets it in."""
    key = secrets.token_urlsafe(24)
    digest = hashlib.sha256(key.encode()).hexdigest()
    return key, f"ANSWERDECK_AUTH__KEYS=admin:admin:{digest}\n"


def _write(out: Path, texts: dict[str, str]) -> None:
    """Write all files, or none when one of them is there already: it may hold the only secrets."""
    there = [name for name in texts if (out / name).exists()]
    if there:
        raise wrong(f"{out} holds {', '.join(there)} already; give another folder, or move them away")
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            path = out / name
            path.touch(_PASSWORDS if name == "secrets.env" else 0o644)
            path.write_text(text, "utf-8")
            print(path)
    except OSError as error:
        raise wrong(f"--out {str(out)!r}: {error.strerror}") from None


def _tell(key: str) -> None:
    print(f"The first admin's key, shown this once: {key}")
