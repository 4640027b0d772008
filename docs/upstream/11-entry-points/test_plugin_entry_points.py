#!/usr/bin/env python3
"""
Tests for the plugins of installed packages, which are found by their entry points
"""

import os
import sys

import pytest

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import optillm.server as server

PLUGIN = """
SLUG = '{slug}'

def run(system_prompt, initial_query, client, model):
    return '{answer}', 0
"""


@pytest.fixture(autouse=True)
def restored():
    """Leave the server's plugins as they were"""
    plugins = server.plugin_approaches.copy()
    yield
    server.plugin_approaches.clear()
    server.plugin_approaches.update(plugins)


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a package of one module that names itself as a plugin"""
    site = tmp_path / "site-packages"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))

    def package(name, code):
        (site / f"{name}.py").write_text(code)
        info = site / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[optillm.plugins]\n{name} = {name}\n")

    yield package
    for path in site.glob("*.py"):
        sys.modules.pop(path.stem, None)


def answer(slug):
    """What a plugin says"""
    return server.plugin_approaches[slug]("", "?", None, "model")[0]


def test_plugin_of_an_installed_package(install):
    install("optillm_test_installed", PLUGIN.format(slug="test_installed", answer="installed"))
    server.load_plugins()
    assert answer("test_installed") == "installed"
    operation, approaches, model = server.parse_combined_approach(
        "test_installed-model", server.known_approaches, server.plugin_approaches
    )
    assert (operation, approaches, model) == ("SINGLE", ["test_installed"], "model")


def test_plugins_of_the_package_are_loaded_as_well(install):
    server.load_plugins()
    before = set(server.plugin_approaches)
    install("optillm_test_another", PLUGIN.format(slug="test_another", answer="another"))
    server.load_plugins()
    assert set(server.plugin_approaches) == before | {"test_another"}


def test_directory_wins(install, tmp_path, monkeypatch):
    install("optillm_test_clash", PLUGIN.format(slug="test_clash", answer="installed"))
    directory = tmp_path / "optillm" / "plugins"
    directory.mkdir(parents=True)
    (directory / "clash_plugin.py").write_text(PLUGIN.format(slug="test_clash", answer="directory"))
    monkeypatch.chdir(tmp_path)
    server.load_plugins()
    assert answer("test_clash") == "directory"


def test_plugin_that_fails_is_logged_and_skipped(install, caplog):
    install("optillm_test_broken", "raise ImportError('a package is missing')")
    install("optillm_test_whole", PLUGIN.format(slug="test_whole", answer="whole"))
    server.load_plugins()
    assert answer("test_whole") == "whole"
    (line,) = [record.getMessage() for record in caplog.records if "optillm_test_broken" in record.getMessage()]
    assert "a package is missing" in line


def test_module_without_run_is_no_plugin(install, caplog):
    install("optillm_test_empty", "SLUG = 'test_empty'")
    server.load_plugins()
    assert "test_empty" not in server.plugin_approaches
    assert "optillm_test_empty" in caplog.text


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
