"""Texts of models as HTML: what is shown, and that nothing else can be in it."""

from __future__ import annotations

import re
import time
from html.parser import HTMLParser

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from optillm_cerebras_cepo.web import render as module
from optillm_cerebras_cepo.web.formulas import MOST_LATEX
from optillm_cerebras_cepo.web.render import ATTRIBUTES, HTML_TAGS, MATH_TAGS, MOST_TEXT, render

OF_LINKS = {"rel", "target"}  # which the sanitiser adds
MOST_SECONDS = 20.0  # of a processor; the slowest text takes 1.3 on a quiet machine

PIECES = [
    *("$", "$$", r"\(", r"\)", r"\[", r"\]", r"\text{", r"\href{javascript:x}{", r"\frac{", "}", "{", r"\begin{align}"),
    *(
        r"\end{align}",
        "&",
        r"\\",
        "_",
        "^",
        "<",
        ">",
        '"',
        "'",
        "`",
        "```\n",
        "~~~",
        "*",
        "**",
        "|",
        "|-|",
        "\n",
        "\n\n",
    ),
    *("[a](", "![a](", "javascript:alert(1)", "JAVASCRIPT&colon;", "data:text/html,x", "//evil.example", ")", "[b]: "),
    *("<script>", "</script>", "<img src=x onerror=alert(1)>", "<svg/onload=alert(1)>", "<math>", "</math>", "<mtext>"),
    *("<style>", "<!--", "-->", "<![CDATA[", "<annotation-xml encoding='text/html'>", "<a href=javascript:x>", "<p"),
    *(
        "&#x3C;",
        "&lt;",
        "&amp;lt;",
        "\0",
        "\x0b",
        "\u2028",
        "\ud800",
        "\U0001f600",
        "- ",
        "> ",
        "1. ",
        "# ",
        "    ",
        "\t",
    ),
]
TEXTS = st.lists(st.sampled_from(PIECES) | st.text(max_size=8), max_size=40).map("".join)


class Found(HTMLParser):
    """What a parser of HTML finds that is not allowed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.wrong: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Check a tag and its attributes."""
        if tag not in HTML_TAGS | MATH_TAGS:
            self.wrong.append(f"<{tag}>")
        for name, value in attrs:
            allowed = ATTRIBUTES.get(tag, set()) | (OF_LINKS if tag == "a" else set())
            is_address = name == "href" and not re.match(r"(https?:|mailto:)", value or "")
            if name not in allowed or is_address or "javascript:" in (value or "").lower().replace(" ", ""):
                self.wrong.append(f"<{tag} {name}={value!r}>")

    def handle_comment(self, data: str) -> None:
        """Refuse any comment: what is in it can become markup elsewhere."""
        self.wrong.append(f"<!--{data}")

    def handle_decl(self, decl: str) -> None:
        """Refuse any declaration."""
        self.wrong.append(f"<!{decl}")

    def unknown_decl(self, data: str) -> None:
        """Refuse any other."""
        self.wrong.append(f"<![{data}")

    def handle_pi(self, data: str) -> None:
        """Refuse any instruction."""
        self.wrong.append(f"<?{data}")


@given(TEXTS)
@example(r"$\text{<img src=x onerror=alert(1)>}$")
@example("[x](https://a.example/?q=javascript:)")
@example("\ud800")
def test_only_what_is_allowed_is_in_the_html(text: str) -> None:
    """Whatever the text: allowed tags and attributes, addresses of the web, and the sanitiser changes it no more."""
    html = render(text)
    assert [wrong for wrong in Found(html).wrong if "q=javascript:" not in wrong] == []
    assert module._CLEANER.clean(html) == html
    html.encode()


def repeated(unit: str) -> str:
    """Return as much of this text as is read as Markdown."""
    return (unit * (MOST_TEXT // len(unit) + 1))[:MOST_TEXT]


ENDLESS = {
    "brackets": repeated("["),
    "images": repeated("!["),
    "links": repeated("[a]("),
    "emphasis": repeated("_*"),
    "emphasis that never ends": repeated("**a*b_"),
    "quotes": repeated("> "),
    "lists": "\n".join(f"{'  ' * depth}- a" for depth in range(300)),
    "backticks": " ".join("`" * number for number in range(300)),
    "a table without cells": "|" + "a|" * 100 + "\n|" + "-|" * 100 + "\n" + "|\n" * 20_000,
    "tables": repeated("|a|b|\n|-|-|\n"),
    "dollars": repeated("$a"),
    "double dollars": repeated("$$x\n"),
    "formulas": repeated("$a$"),
    "formulas that never end": repeated("\\[x\n"),
    "environments that never end": repeated("\\begin{align}\n"),
    "a long formula": "$" + "x+" * 20_000 + "$",
    "nested fractions": "$" + r"\frac{1}{" * 200 + "x" + "}" * 200 + "$",
    "nested braces": "$" + "{" * 900 + "}" * 900 + "$",
    "nested roots": repeated("$" + r"\sqrt{" * 250 + "x" + "}" * 250 + "$ "),
    "one word": "x" * 1_000_000,
}


@pytest.mark.parametrize("text", ENDLESS.values(), ids=ENDLESS.keys())
def test_the_time_is_limited(text: str) -> None:
    """Also for texts that are made to take long. Nothing is lost of what is not read as Markdown."""
    began = time.thread_time()
    html = render(text)
    assert time.thread_time() - began < MOST_SECONDS
    assert Found(html).wrong == []


def test_the_rest_of_a_long_text_is_shown_as_it_is() -> None:
    """Escaped, and not as Markdown."""
    html = render("a" * MOST_TEXT + " **<b>**")
    assert html.endswith("<pre> **&lt;b&gt;**</pre>")


def test_a_defect_of_the_parser_hides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The text is shown as it is."""
    monkeypatch.setattr(module, "_MARKDOWN", None)
    assert render("**<b>**") == "<pre>**&lt;b&gt;**</pre>"


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("**a** <b>b</b>", "<p><strong>a</strong> &lt;b&gt;b&lt;/b&gt;</p>"),
        (
            "[a](https://a.example)",
            '<p><a href="https://a.example" target="_blank" rel="noopener noreferrer nofollow">',
        ),
        ("[a](/page/requests)", '<p><a target="_blank"'),
        ("![a](https://a.example/x.png)", '<p><a href="https://a.example/x.png"'),
        ("|a|\n|-:|\n|1|", '<th align="right">a</th>'),
        ("3. a", '<ol start="3">'),
    ],
)
def test_markdown(text: str, html: str) -> None:
    """Without HTML of its own, images, and links to this server."""
    assert html in render(text)


@pytest.mark.parametrize(
    "text",
    [
        "$x$",
        r"\(x\)",
        "is $$x$$ here",
        r"\[x\]",
        "$$\nx\n$$",
        "\\[\nx\n\\]",
        "a line\n\\[\nx\n\\]",
        "- item\n  \\[\n  x\n  \\]",
        "> \\[\n> x\n> \\]",
        "\\[\n\nx\n\n\\]",
        "\\begin{align*}\nx\n\\end{align*}",
    ],
)
def test_formulas_are_found(text: str) -> None:
    """In each notation, in lines of text, lists and quotations."""
    html = render(text)
    assert "<math" in html
    assert "<mi>x</mi>" in html
    assert "$" not in html
    assert "\\" not in html


@pytest.mark.parametrize(
    "text",
    [
        "It costs $5 and then $10.",
        "From $ 5 to $ 6.",
        "`$x$`",
        "```\n$x$\n```",
        "    $$\n    x\n    $$",
        r"\$x$",
        "$",
        "$$",
        r"\(",
        r"\[ x",
    ],
)
def test_other_dollars_are_no_formulas(text: str) -> None:
    """Prices, code, escaped and lonely marks."""
    assert "<math" not in render(text)


@pytest.mark.parametrize(
    "latex", [r"\frac", "x_1_2", "^", r"\left(", r"\begin{align}", "{" * 900, "x" * (MOST_LATEX + 1)]
)
def test_a_formula_that_cannot_be_converted_is_shown_as_its_source(latex: str) -> None:
    """In a line and on its own."""
    for mark, end in (("$", "$"), ("$$\n", "\n$$")):
        html = render(f"{mark}{latex}{end}")
        assert "<code>" in html
        assert latex in html


@pytest.mark.parametrize(
    ("latex", "part"),
    [
        ("a<b", "<mo>&lt;</mo>"),
        (r"\text{<img src=x>}", "&lt;img"),
        (r"\begin{aligned} a &= b \\ c &= d \end{aligned}", "<mtable"),
        (r"\begin{cases} 1 & x \\ 2 & y \end{cases}", "<mtable"),
        (r"\boxed{9}", '<menclose notation="box">'),
        (r"\frac{1}{2}", "<mfrac>"),
        (r"\leq", "<mo>≤</mo>"),
    ],
)
def test_latex(latex: str, part: str) -> None:
    """What is frequent in answers, as MathML; signs of HTML in it are text."""
    assert part in render(f"${latex}$")
