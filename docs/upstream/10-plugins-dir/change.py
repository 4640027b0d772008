"""Let `--plugins-dir` and OPTILLM_PLUGINS_DIR take effect: plugins are loaded before the flags are parsed."""

from __future__ import annotations

import libcst.matchers as m
from tree import Checkout, assignment, call

EARLY = '''
def get_plugins_dir() -> str:
    """
    Return the plugins directory of the command line, or of the environment.

    It is read ahead of the other arguments: the plugins in it are among the choices of --approach.
    """
    default = os.environ.get("OPTILLM_PLUGINS_DIR", server_config.get("plugins_dir", ""))
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--plugins-dir", default=default)
    args, _ = parser.parse_known_args()
    return args.plugins_dir
'''

ITSELF = """
# A plugins directory may also be the one with the files in it
if server_config.get("plugins_dir", "") != "" and not os.path.isdir(local_plugin_dir):
    local_plugin_dir = current_dir
"""

ROW = '| `--plugins-dir`          | Directory of your plugins, or with `optillm/plugins` in it      | `""`            |'


def change(checkout: Checkout) -> None:
    """Edit optillm/server.py, and the README's table of parameters."""
    source = checkout.source("optillm/server.py")
    source.edit(
        "load_plugins",
        assignment("local_plugin_dir", call("os.path.join")),
        lambda line: [line, *source.statements(ITSELF)],
    )
    source.insert_before("main", EARLY)
    (setting,) = source.statements("server_config['plugins_dir'] = get_plugins_dir()")
    source.edit(
        "main",
        m.SimpleStatementLine([m.Expr(call("load_plugins"))]),
        lambda line: [setting.with_changes(leading_lines=line.leading_lines), line.with_changes(leading_lines=())],
    )
    checkout.rewrite("README.md", r"^(\| `--optillm-api-key` .*\n)", rf"\1{ROW}\n")
