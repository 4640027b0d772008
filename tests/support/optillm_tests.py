"""OptiLLM's own tests: which of them can run here, and how."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

AGAINST_A_SERVER = ("test_api_compatibility.py", "test_n_parameter.py")

# docker/uv.toml says which of OptiLLM's 37 requirements are installed here.
LEFT_OUT = {
    "test.py": "a script that compares approaches on a real API",
    "test_ci_quick.py": "a script without a test function: it runs while it is imported, and prints",
    "test_batching.py": "imports torch",
    "test_reasoning_integration.py": "imports torch",
    "test_reasoning_simple.py": "imports torch",
    "test_reasoning_tokens.py": "imports torch",
    "test_conversation_logging_server.py": "imports requests, and starts a server with a local model",
    "test_json_plugin.py": "needs outlines and torch; without them it tests mocks of its own, and fails",
    "test_mcp_plugin.py": "imports mcp",
    "test_privacy_plugin_performance.py": "needs spacy and presidio",
    "test_compact_plugin.py::TestEstimateTokens::test_empty_string": "needs tiktoken: without it no text is one token",
    "test_plugins.py::test_plugin_module_imports": "imports every plugin; some need selenium or scikit-learn",
    "test_plugins.py::test_plugin_approach_detection": "wants plugins that need scikit-learn, spacy, selenium and mcp",
    "test_plugins.py::test_plugin_subdirectory_imports": "needs selenium",
    "test_plugins.py::test_no_relative_import_errors": "needs selenium",
    "test_plugins.py::test_memory_plugin_structure": "needs scikit-learn",
    "test_plugins.py::test_memory_plugin_persistence": "needs scikit-learn",
    "test_plugins.py::test_web_search_plugin": "needs selenium",
    "test_plugins.py::test_deep_research_plugin": "needs selenium",
    "test_plugins.py::test_longcepo_plugin": "needs transformers",
    "test_plugins.py::test_spl_plugin": "needs scikit-learn",
    "test_plugins.py::test_mcp_plugin": "needs mcp",
    "test_plugins.py::test_router_plugin_caches_model": "needs torch",
    "test_plugins.py::test_router_plugin_cache_bundle_shape": "needs torch",
    "test_plugins.py::test_router_plugin_concurrent_single_load": "needs torch",
    "test_ssl_config.py::TestPluginSSLConfiguration::test_readurls_plugin_ssl_verify_disabled": "needs requests",
    "test_ssl_config.py::TestPluginSSLConfiguration::test_readurls_plugin_ssl_verify_enabled": "needs requests",
    "test_ssl_config.py::TestPluginSSLConfiguration::test_readurls_plugin_custom_cert_path": "needs requests",
}


def offline() -> list[str]:
    """The arguments that select those that need neither a server nor what is not installed here."""
    out = [f"--ignore={name}" if name.endswith(".py") else f"--deselect={name}" for name in LEFT_OUT]
    return [*out, *(f"--ignore={name}" for name in AGAINST_A_SERVER)]


def run(tests: Path, *arguments: str, environ: Mapping[str, str] | None = None) -> str:
    """Run OptiLLM's tests in their folder, with nothing of this project's settings for pytest; return the output."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", ".", "-ra"]
    done = subprocess.run(
        [*command, *arguments],
        cwd=tests,
        env=os.environ | {"HOME": str(tests.parent)} | dict(environ or {}),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def passed(output: str) -> int:
    """Return how many tests pytest says have passed, when none was skipped."""
    last = output.strip().splitlines()[-1]
    found = re.search(r"(\d+) passed", last)
    assert found, last
    assert "skipped" not in last
    return int(found[1])
