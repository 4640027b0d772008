"""Read CePO's flags by the types of its settings: booleans by words, literals as choices, and optional ones at all."""

from __future__ import annotations

import libcst as cst
import libcst.matchers as m
from tree import Checkout, dotted

READERS = '''
def parse_bool(text: str) -> bool:
    """
    Read the value of a boolean flag. With type=bool argparse takes every text for true, "False" among them.
    """
    if text.lower() in ('true', '1', 'yes'):
        return True
    if text.lower() in ('false', '0', 'no', ''):
        return False
    raise argparse.ArgumentTypeError(f"expected true or false, not {text!r}")

def argument_options(field_type: Any) -> Dict[str, Any]:
    """
    Return the options with which add_argument reads a value of this type.
    """
    if type(None) in get_args(field_type):  # Optional[...]: a flag that is given has a value
        field_type = next(arg for arg in get_args(field_type) if arg is not type(None))
    if get_origin(field_type) is Literal:
        return {'choices': get_args(field_type)}
    return {'type': parse_bool if field_type is bool else field_type}
'''


def change(checkout: Checkout) -> None:
    """Edit optillm/server.py, and the README's line about the kinds of ratings."""
    source = checkout.source("optillm/server.py")
    types = [cst.ImportAlias(cst.Name(name)) for name in ("Literal", "get_args", "get_origin")]
    source.edit(
        "",
        m.ImportFrom(module=m.Name("typing")),
        lambda line: line.with_changes(
            names=[alias.with_changes(comma=cst.MaybeSentinel.DEFAULT) for alias in (*line.names, *types)]
        ),
    )
    options = cst.ensure_type(source.expression("f(**argument_options(field.type))"), cst.Call).args[0]
    source.edit(
        "parse_args",
        m.Arg(keyword=m.Name("type"), value=dotted("field.type")),
        lambda arg: options.with_changes(comma=arg.comma),
    )
    source.insert_before("parse_args", READERS)
    checkout.rewrite(
        "README.md",
        r'^(\| `--cepo_bestofn_rating_type` .*"absolute") or ("pairwise")',
        r'\1, \2 or "majority"',
    )
