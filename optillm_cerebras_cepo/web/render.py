"""What a model wrote, as HTML: Markdown with formulas. The text is untrusted, and so is what the libraries make of it.

Raw HTML in the text stays text. The last step is a sanitiser (nh3) with the tags and attributes below; it is the one
that the safety of the page depends on.
"""

from __future__ import annotations

import html
from collections.abc import MutableMapping, Sequence
from typing import Any

import nh3
from markdown_it import MarkdownIt
from markdown_it.token import Token

from optillm_cerebras_cepo.web.formulas import formulas

MOST_TEXT = 50_000  # characters that are read as Markdown, in at most 2 s; the rest is shown as it is

# fmt: off
HTML_TAGS = {
    "a", "blockquote", "br", "code", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "s",
    "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
}
# Of MathML Core, without `annotation-xml`, `maction` and `semantics`: none that can contain HTML of another kind.
MATH_TAGS = {
    "math", "menclose", "mfrac", "mi", "mmultiscripts", "mn", "mo", "mover", "mpadded", "mphantom", "mroot", "mrow",
    "ms", "mspace", "msqrt", "mstyle", "msub", "msubsup", "msup", "mtable", "mtd", "mtext", "mtr", "munder",
    "munderover",
}
MATH_ATTRIBUTES = {
    "accent", "accentunder", "columnalign", "columnlines", "columnspacing", "depth", "display", "displaystyle", "fence",
    "form", "height", "largeop", "linethickness", "lspace", "mathcolor", "mathvariant", "maxsize", "minsize",
    "movablelimits", "notation", "rowlines", "rowspacing", "rspace", "scriptlevel", "separator", "stretchy",
    "symmetric", "voffset", "width",
}
# fmt: on
ATTRIBUTES = {
    "a": {"href", "title"},
    "ol": {"start"},
    "td": {"align"},
    "th": {"align"},
    **dict.fromkeys(MATH_TAGS, MATH_ATTRIBUTES),
}
SCHEMES = {"http", "https", "mailto"}
_CLEANER = nh3.Cleaner(
    tags=HTML_TAGS | MATH_TAGS,
    attributes=ATTRIBUTES,
    url_schemes=SCHEMES,
    url_relative="deny",  # a link of a model leads nowhere on this server
    link_rel="noopener noreferrer nofollow",
    set_tag_attribute_values={"a": {"target": "_blank"}},
    generic_attribute_prefixes=set(),
)


def render(text: str) -> str:
    """Return the text as a fragment of HTML with allowed tags and attributes only. Never raises."""
    text = text.encode("utf-8", "replace").decode()  # without halves of surrogate pairs
    shown, rest = text[:MOST_TEXT], text[MOST_TEXT:]
    try:
        found = _MARKDOWN.render(shown)
    except Exception:  # a defect of a library must not hide what the model wrote
        found = _plain(shown)
    return _CLEANER.clean(found + (_plain(rest) if rest else ""))


def _plain(text: str) -> str:
    return f"<pre>{html.escape(text)}</pre>"


def _markdown() -> MarkdownIt:
    """Return the parser: CommonMark with tables, struck text and formulas, without HTML."""
    markdown = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"]).use(formulas)
    markdown.add_render_rule("image", _link_to_image)
    for cell in ("th_open", "td_open"):
        markdown.add_render_rule(cell, _cell)
    return markdown


def _link_to_image(_: Any, tokens: Sequence[Token], index: int, __: Any, ___: MutableMapping[str, Any]) -> str:
    """Return a link: the page loads nothing from other hosts."""
    token = tokens[index]
    address = str(token.attrs.get("src", ""))
    return f'<a href="{html.escape(address)}">{html.escape(token.content or address)}</a>'


def _cell(renderer: Any, tokens: Sequence[Token], index: int, options: Any, env: MutableMapping[str, Any]) -> str:
    """Return a cell whose alignment is an attribute: the page's policy allows no style in HTML."""
    token = tokens[index]
    style = str(token.attrs.pop("style", ""))
    if style:
        token.attrSet("align", style.removeprefix("text-align:"))
    return str(renderer.renderToken(tokens, index, options, env))


_MARKDOWN = _markdown()
