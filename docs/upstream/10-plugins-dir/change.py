"""Let `--plugins-dir` and OPTILLM_PLUGINS_DIR take effect: plugins are loaded before the flags are parsed."""

from __future__ import annotations

from checkout import Checkout

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
    """Edit optillm/server.py, and the table of parameters in README.md."""
    source = checkout.source("optillm/server.py")
    source.add_after("load_plugins", r"local_plugin_dir = os\.path\.join", ITSELF)
    source.add_before("main", EARLY)
    setting = r"\1server_config['plugins_dir'] = get_plugins_dir()\n\g<0>"
    source.sub("main", r"^( +)load_plugins\(\)", setting)
    checkout.sub("README.md", r"^(\| `--optillm-api-key` .*\n)", rf"\1{ROW}\n")
