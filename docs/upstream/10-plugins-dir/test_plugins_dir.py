#!/usr/bin/env python3
"""
Tests for the directory of plugins that --plugins-dir and OPTILLM_PLUGINS_DIR name
"""

import os
import sys

import pytest

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import optillm.server as server


@pytest.fixture(autouse=True)
def restored(monkeypatch):
    """Leave the server as it was"""
    config, plugins = server.server_config.copy(), server.plugin_approaches.copy()
    monkeypatch.delenv("OPTILLM_PLUGINS_DIR", raising=False)
    yield
    for mapping, before in [(server.server_config, config), (server.plugin_approaches, plugins)]:
        mapping.clear()
        mapping.update(before)


class Parsed(Exception):
    """The server has loaded its plugins and parsed its arguments, which it carries"""


@pytest.fixture
def start(monkeypatch):
    """Start the server with these arguments, as far as it parses them"""
    parse_args = server.parse_args

    def stop():
        raise Parsed(parse_args())

    def main(*arguments):
        monkeypatch.setattr(sys, "argv", ["optillm", *arguments])
        with pytest.raises(Parsed) as parsed:
            server.main()
        return parsed.value.args[0]

    monkeypatch.setattr(server, "parse_args", stop)
    return main


def put_plugin(directory, slug):
    """Write a plugin's file"""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / f"{slug}_plugin.py").write_text(f"SLUG = '{slug}'\ndef run(*_):\n    return '{slug}', 0\n")
    return str(directory)


def test_flag(start, tmp_path):
    args = start("--plugins-dir", put_plugin(tmp_path, "mine"))
    assert server.plugin_approaches["mine"]() == ("mine", 0)
    assert args.plugins_dir == str(tmp_path)


def test_plugins_of_the_package_are_loaded_as_well(start, tmp_path):
    start()
    before = set(server.plugin_approaches)
    start("--plugins-dir", put_plugin(tmp_path, "mine"))
    assert set(server.plugin_approaches) == before | {"mine"}


def test_environment(start, tmp_path, monkeypatch):
    monkeypatch.setenv("OPTILLM_PLUGINS_DIR", put_plugin(tmp_path, "mine"))
    start()
    assert "mine" in server.plugin_approaches


def test_flag_wins(start, tmp_path, monkeypatch):
    monkeypatch.setenv("OPTILLM_PLUGINS_DIR", put_plugin(tmp_path / "one", "one"))
    start(f"--plugins-dir={put_plugin(tmp_path / 'two', 'two')}")
    assert "two" in server.plugin_approaches
    assert "one" not in server.plugin_approaches


def test_project_directory(start, tmp_path):
    put_plugin(tmp_path / "optillm" / "plugins", "mine")
    start("--plugins-dir", str(tmp_path))
    assert "mine" in server.plugin_approaches


def test_plugin_can_be_the_approach(start, tmp_path):
    assert start("--approach", "mine", "--plugins-dir", put_plugin(tmp_path, "mine")).approach == "mine"


def test_working_directory_without_it(start, tmp_path, monkeypatch):
    put_plugin(tmp_path, "beside")
    put_plugin(tmp_path / "optillm" / "plugins", "mine")
    monkeypatch.chdir(tmp_path)
    start()
    assert "mine" in server.plugin_approaches
    assert "beside" not in server.plugin_approaches


def test_directory_that_is_not_there(start, tmp_path):
    start("--plugins-dir", str(tmp_path / "none"))
    assert server.plugin_approaches


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
