"""Read CePO's flags by the types of its settings: booleans as words, literals as choices, and optional ones."""

from __future__ import annotations

from checkout import Checkout

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
    """Edit optillm/server.py, and the rating types in README.md."""
    source = checkout.source("optillm/server.py")
    source.sub("", "^from typing import .*$", r"\g<0>, Literal, get_args, get_origin")
    source.sub("parse_args", r"type=field\.type,", "**argument_options(field.type),")
    source.add_before("parse_args", READERS)
    checkout.sub(
        "README.md", r'^(\| `--cepo_bestofn_rating_type` .*"absolute") or ("pairwise")', r'\1, \2 or "majority"'
    )
