"""OptiLLM's CePO configuration: its fields, and one line of error for a bad file instead of OptiLLM's traceback."""

from __future__ import annotations

from pathlib import Path

import optillm.server as server
import pytest
import yaml

from optillm_cerebras_cepo.core.errors import BadConfiguration
from optillm_cerebras_cepo.host import configuration, plugin


def packaged() -> dict[str, object]:
    """Return the fields of OptiLLM's own file."""
    content = yaml.safe_load(Path(server.get_config_path()).read_text())
    assert isinstance(content, dict)
    return content


def check(path: Path, content: object, *flags: str) -> None:
    """Check a file with this content, as text or as fields."""
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    configuration.check_cepo_config(["--cepo_config_file", str(path), *flags])


def test_optillms_own_file_is_valid(tmp_path: Path) -> None:
    """With and without the flag, and with flags of other kinds."""
    configuration.check_cepo_config([])
    configuration.check_cepo_config(["--approach", "cepo_cerebras", "--port", "8080", "--cepo_bestofn_n", "2"])
    check(tmp_path / "c.yaml", packaged())


def test_an_unknown_field_is_named_with_a_suggestion(tmp_path: Path) -> None:
    """OptiLLM raises a TypeError of a constructor."""
    with pytest.raises(BadConfiguration, match=r"bestof_n \(did you mean bestofn_n\?\)"):
        check(tmp_path / "c.yaml", packaged() | {"bestof_n": 3})


def test_a_missing_field_is_named(tmp_path: Path) -> None:
    """Unless a flag sets it."""
    content = packaged()
    del content["planning_m"]
    with pytest.raises(BadConfiguration, match=r"missing field in .*c\.yaml: planning_m"):
        check(tmp_path / "c.yaml", content)
    check(tmp_path / "c.yaml", content, "--cepo_planning_m", "4")


@pytest.mark.parametrize("content", ["a: b: c", "", "- 1", "text", "\x00"])
def test_a_file_without_fields_is_refused(tmp_path: Path, content: str) -> None:
    """Invalid YAML, and YAML that is not a mapping."""
    with pytest.raises(BadConfiguration, match=r"c\.yaml"):
        check(tmp_path / "c.yaml", content)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    """With its path and the system's reason."""
    with pytest.raises(BadConfiguration, match=r"none\.yaml: No such file"):
        configuration.check_cepo_config(["--cepo_config_file", str(tmp_path / "none.yaml")])


def test_the_server_exits_with_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """OptiLLM's own start would end with a traceback."""
    monkeypatch.setattr("sys.argv", ["optillm", "--cepo_config_file", str(tmp_path / "none.yaml")])
    with pytest.raises(SystemExit, match=r"^cepo_cerebras: cannot read"):
        plugin.register()


@pytest.mark.parametrize(("text", "diverse"), [("False", False), ("no", False), ("true", True), ("", False)])
def test_false_flags_are_false(text: str, diverse: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """OptiLLM reads every non-empty text as true."""
    monkeypatch.setattr("sys.argv", ["optillm", "--cepo_use_plan_diversity", text])
    flags = {"cepo_config_file": server.get_config_path(), "cepo_use_plan_diversity": bool(text)}
    monkeypatch.setattr(server, "cepo_config", server.init_cepo_config(flags), raising=False)
    assert configuration.cepo_fields()["use_plan_diversity"] is diverse


def test_flags_and_file_are_the_base(monkeypatch: pytest.MonkeyPatch) -> None:
    """As OptiLLM's start has merged them; before it, the default file alone."""
    assert configuration.cepo_fields()["bestofn_n"] == 3
    config = server.init_cepo_config({"cepo_config_file": server.get_config_path(), "cepo_bestofn_n": 7})
    monkeypatch.setattr(server, "cepo_config", config, raising=False)
    assert configuration.cepo_fields()["bestofn_n"] == 7
