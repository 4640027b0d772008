"""Load the plugins of installed packages: modules with SLUG and run, named in the entry point group optillm.plugins."""

from __future__ import annotations

import libcst as cst
import libcst.matchers as m
from tree import Checkout, call, within

# The body is that of the loop over files, which calls it now.
REGISTER = '''
def register_plugin(module: Any, module_name: str, source: str):
    """
    Make a module with SLUG and run an approach, in place of one of the same slug.
    """
    pass
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
    """Edit optillm/server.py, and the README after its table of plugins."""
    source = checkout.source("optillm/server.py")
    source.add_import("importlib.metadata", "entry_points")
    registering: list[cst.BaseStatement] = []
    registered = source.statements("register_plugin(module, module_name, source)")
    source.edit(
        "load_plugins",
        m.If(test=m.BooleanOperation(within(call("hasattr")), m.And()), orelse=m.Else()),
        lambda check: registering.append(check.with_changes(leading_lines=())) or registered,
    )
    source.edit(
        "load_plugins",
        m.For(body=within(call("glob.glob"))),
        lambda loop: [*source.statements(INSTALLED), loop],
    )
    source.insert_before("load_plugins", REGISTER)
    source.edit("register_plugin", m.SimpleStatementLine([m.Pass()]), lambda _: registering)
    checkout.rewrite("README.md", r"^(?=We support all major LLM providers)", README)
