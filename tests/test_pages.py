"""What the pages beside the code promise: commands and keys, licences, locks, a short changelog."""

from __future__ import annotations

import re
import subprocess
import tomllib

import pytest

from tests.house import ROOMS, ROOT


def test_the_top_level_holds_nothing_else() -> None:
    listed = subprocess.run(["git", "ls-files"], capture_output=True, text=True, cwd=ROOT, check=True).stdout
    names = {name.split("/")[0] for name in listed.splitlines()}
    files = {"README.md", "pyproject.toml", "Makefile", "LICENSE", "CHANGELOG.md"}
    assert {name for name in names if not name.startswith(".")} == {*ROOMS, "tests", *files}
    assert "uv.lock" not in names


def test_locks_are_pinned_hashed_and_name_no_address() -> None:
    for lock in (ROOT / ".ci").glob("requirements*.txt"):
        text = lock.read_text()
        assert "://" not in text
        pins = re.findall(r"^[a-z0-9][^\s]*==\S+ \\$", text, re.MULTILINE)
        assert len(pins) == text.count("==")
        assert "--hash=sha256:" in text


def test_the_changelog_is_short_and_says_what_a_user_notices() -> None:
    lines = [line for line in (ROOT / "CHANGELOG.md").read_text().splitlines() if line.startswith("- ")]
    assert lines
    assert [line for line in lines if len(line[2:].split()) > 25] == []


@pytest.mark.parametrize("page", ["README.md", *(f"{room}/README.md" for room in ROOMS)])
def test_links_and_pictures_of_a_page_exist(page: str) -> None:
    text = (ROOT / page).read_text()
    targets = re.findall(r"\]\((?!https?://|#)([^)\s]+)\)", text)
    missing = [target for target in targets if not (ROOT / page).parent.joinpath(target).exists()]
    assert not missing


def test_the_readmes_name_only_commands_and_keys_that_exist() -> None:
    from typer.main import get_command

    from console.cli import app
    from pipeline.settings import Settings, _keys

    root = get_command(app)
    known = _keys(Settings, "")
    wrong = []
    for page in [ROOT / "README.md", *(ROOT / room / "README.md" for room in ROOMS)]:
        text = page.read_text()
        for line in re.findall(r"answerdeck ((?:[a-z]+ ?){1,2})", text):
            words = line.split()
            command = root.commands.get(words[0])  # type: ignore[attr-defined]  # a group has commands
            inner = getattr(command, "commands", None)
            if command is None or (inner and len(words) > 1 and words[1] not in inner):
                wrong.append(f"{page.name}: answerdeck {line}")
        for key in re.findall(r"ANSWERDECK_([A-Z_]+)", text):
            if key.lower().replace("__", ".") not in known:
                wrong.append(f"{page.name}: ANSWERDECK_{key}")
    assert not wrong


def test_shipped_data_names_its_licence() -> None:
    notice = (ROOT / "pipeline/knowledge/NOTICE").read_text()
    assert "vocab.txt" in notice and "Apache License 2.0" in notice
    for path in (ROOT / "evalsets/sets").glob("*.toml"):
        about = tomllib.loads(path.read_text())
        assert about.get("licence"), path.name
        assert about.get("source"), path.name


def test_no_corpus_of_others_is_in_the_repository() -> None:
    names = {"xstest", "jailbreak", "bipia", "benign", "begin", "mtrag", "clapnq", "ragtruth", "ailuminate"}
    names |= {"advbench", "clinc150", "harmbench", "jailbreakbench", "gnome"}
    data = [
        path
        for room in ROOMS
        for path in (ROOT / room).rglob("*")
        if path.suffix in (".jsonl", ".tsv", ".csv", ".toml", ".parquet")
    ]
    paths = [path.relative_to(ROOT).as_posix().lower() for path in data]
    assert [path for path in paths if any(name in path for name in names)] == []
    for path in (ROOT / "evalsets/sets").glob("*.toml"):
        about = tomllib.loads(path.read_text())
        if "title" in about:
            assert about["owner"] == "Answerdeck" and about["licence"] in ("Apache-2.0", "MIT"), path.name
    assert not list((ROOT / "evalsets").rglob("NOTICE*"))
