from __future__ import annotations

import tomllib
from pathlib import Path

from console import launch
from pipeline.settings import load_settings


def test_the_command_serves_this_machine_only_and_calls_nobody(tmp_path: Path) -> None:
    settings = load_settings(data_dir=tmp_path)
    command = launch.command(settings)
    assert command[1:4] == ["-m", "streamlit", "run"]
    assert Path(command[4]).is_file()
    for flag in (
        "--server.address=127.0.0.1",
        f"--server.port={settings.server.console_port}",
        "--server.headless=true",
        "--server.fileWatcherType=none",
        "--server.maxUploadSize=5",
        "--browser.gatherUsageStats=false",
        "--runner.magicEnabled=false",
        "--client.showErrorDetails=none",
        "--client.toolbarMode=viewer",
    ):
        assert flag in command


def test_lists_become_a_flag_for_each_item(tmp_path: Path) -> None:
    command = launch.command(load_settings(data_dir=tmp_path))
    assert "--server.allowedHosts=localhost" in command
    assert "--server.allowedHosts=127.0.0.1" in command


def test_the_environment_names_the_data_folder_and_the_ports(tmp_path: Path) -> None:
    settings = load_settings(data_dir=tmp_path)
    environment = launch.environment(settings)
    assert environment["ANSWERDECK_DATA_DIR"] == str(tmp_path)
    assert environment["ANSWERDECK_SERVER__PORT"] == str(settings.server.port)


def test_streamlit_knows_every_key_and_both_themes_name_the_same_colours() -> None:
    from streamlit import config

    flags = tomllib.loads((launch.FOLDER / "streamlit.toml").read_text())
    known = config.get_config_options()
    assert [key for key, _ in launch._flat(flags) if key not in known] == []
    missing = flags["theme"]["light"].keys() ^ flags["theme"]["dark"].keys()
    assert missing == {"greenTextColor", "redTextColor"}
