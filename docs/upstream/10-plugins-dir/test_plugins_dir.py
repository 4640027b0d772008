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


@pytest.fixture
def start(monkeypatch):
    """Start the server, up to where it would listen, and return the plugins that it has"""
    monkeypatch.setattr(server.app, "run", lambda **_: None)

    def main(*arguments):
        monkeypatch.setattr(sys, "argv", ["optillm", *arguments])
        server.main()
        return server.plugin_approaches

    return main


def put_plugin(directory, slug):
    """Write a plugin's file"""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / f"{slug}_plugin.py").write_text(f"SLUG = '{slug}'\ndef run(*_):\n    return '{slug}', 0\n")
    return str(directory)


def test_flag(start, tmp_path):
    plugins = start("--plugins-dir", put_plugin(tmp_path, "mine"))
    assert plugins["mine"]() == ("mine", 0)
    assert "readurls" in plugins or len(plugins) > 1  # those of the package are there as well


def test_environment(start, tmp_path, monkeypatch):
    monkeypatch.setenv("OPTILLM_PLUGINS_DIR", put_plugin(tmp_path, "mine"))
    assert "mine" in start()


def test_flag_wins(start, tmp_path, monkeypatch):
    monkeypatch.setenv("OPTILLM_PLUGINS_DIR", put_plugin(tmp_path / "one", "one"))
    plugins = start(f"--plugins-dir={put_plugin(tmp_path / 'two', 'two')}")
    assert "two" in plugins
    assert "one" not in plugins


def test_project_directory(start, tmp_path):
    put_plugin(tmp_path / "optillm" / "plugins", "mine")
    assert "mine" in start("--plugins-dir", str(tmp_path))


def test_plugin_can_be_the_approach(start, tmp_path):
    start("--approach", "mine", "--plugins-dir", put_plugin(tmp_path, "mine"))
    assert server.server_config["approach"] == "mine"


def test_working_directory_without_it(start, tmp_path, monkeypatch):
    put_plugin(tmp_path, "beside")
    put_plugin(tmp_path / "optillm" / "plugins", "mine")
    monkeypatch.chdir(tmp_path)
    plugins = start()
    assert "mine" in plugins
    assert "beside" not in plugins


def test_directory_that_is_not_there(start, tmp_path):
    assert start("--plugins-dir", str(tmp_path / "none"))


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
