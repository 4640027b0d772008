"""Load the plugins of installed packages, from the entry point group optillm.plugins."""

from __future__ import annotations

from textwrap import indent

from checkout import Checkout

# The body is moved from the loop over files, which calls the function instead.
REGISTER = '''
def register_plugin(module: Any, module_name: str, source: str):
    """
    Make a module with SLUG and run an approach, in place of one of the same slug.
    """
'''

INSTALLED = """
# Load the plugins of installed packages; those in directories override them
for entry_point in entry_points(group='optillm.plugins'):
    try:
        register_plugin(entry_point.load(), entry_point.value, "installed")
    except Exception as e:
        logger.error(f"Error loading installed plugin {entry_point.name} = {entry_point.value}: {str(e)}")
"""

README = """\
Installed packages can bring plugins too. A package names a module with `SLUG` and `run` as an entry point, and
`pip install` is all that its users have to do:

```toml
[project.entry-points."optillm.plugins"]
my_plugin = "my_package.my_plugin"
```

A plugin in a directory (`optillm/plugins` in the package or the working directory) with the same slug is used instead.

"""


def change(checkout: Checkout) -> None:
    """Edit optillm/server.py, and README.md after its table of plugins."""
    source = checkout.source("optillm/server.py")
    source.sub("", r"^from importlib\.metadata import ", r"\g<0>entry_points, ")
    call = "register_plugin(module, module_name, source)\n"
    body = source.replace("load_plugins", r"if hasattr\(module, .* and ", call)
    source.add_after("load_plugins", "if local_plugin_dir != ", INSTALLED)
    source.add_before("load_plugins", REGISTER + indent(body, "    "))
    checkout.sub("README.md", "^(?=We support all major LLM providers)", README)
