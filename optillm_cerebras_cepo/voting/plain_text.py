"""Write a short text in one spelling: signs, LaTeX's spacing and fonts, words without case."""

from __future__ import annotations

import re
import unicodedata

_SPACES = re.compile(
    r"(?<!\\)\\[,;:!> ]|~|\\q?quad\b|\\(?:left|right|displaystyle|[bB]ig[lr]?|limits)(?![a-zA-Z])"
    r"|\\\\$|[\u00a0\u2009\u202f]"
)
_WORDS_IN_LATEX = re.compile(
    r"\\(?:text|textnormal|textrm|textbf|textit|mathrm|mathbf|mathit|operatorname|mbox|rm|bf)\s*\{((?:[^{}]|\{[^{}]*\})*)\}"
)
_SUPERSCRIPT = re.compile(r"[⁺⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+")
_SUPERSCRIPTS = str.maketrans("⁺⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "+-0123456789")
_SUBSCRIPTS = {0x2080 + digit: f"_{digit}" for digit in range(10)}
_SYMBOL = re.compile(r"(?!(?:yes|no)$)[A-Za-z]{2,3}", re.IGNORECASE)  # CO is not Co
_ARTICLE = re.compile(r"^\s*(?:the|an?)\b")


def plain(text: str) -> str:
    """Return a text without LaTeX's spacing and fonts, with one spelling of each sign; formulas stay formulas."""
    text = unicodedata.normalize("NFC", text).replace("−", "-").replace("–", "-").replace("⁄", "/")
    text = re.sub(r"[½⅓⅔¼¾⅕⅛⅜⅝⅞]", _vulgar, text)
    text = re.sub(r"\$([^$]+)\$", r"\1", text) if text.count("$") % 2 == 0 else text
    text = re.sub(r"\$(?!\s*\d)|(?<=\d)\$|\\[()\[\]]", "", text) if text.count("$") != 1 else text
    text = re.sub(r",\\!\s*", ",", text.replace("{,}", ",")).replace("\\!", "")
    text = _SPACES.sub(" ", text)
    text = _WORDS_IN_LATEX.sub(r" \1 ", text)
    text = re.sub(r"\\[dtc]frac(?![a-z])", r"\\frac", text)
    text = re.sub(r"\^\s*\{?\s*\\circ\s*\}?|\\degree(?![a-z])", "°", text)
    text = text.translate(_SUBSCRIPTS)
    text = _SUPERSCRIPT.sub(lambda match: "^{" + match[0].translate(_SUPERSCRIPTS) + "}", text)
    text = text.replace("**", "^") if re.search(r"[\w)]\s*\*\*\s*[\w(]", text) else text.replace("**", "")
    text = re.sub(r"(?<=[a-z])\s+(?=\^)", "", text)
    text = re.sub(r"\\[pb]?mod\s*\{?(\w+)\}?", r"(mod \1)", text).replace("\\equiv", "≡")
    text = re.sub(r"(?<=[\d ])\\frac\s*\{\s*([A-Za-z]+)\s*\}\s*\{\s*([A-Za-z]+)\s*\}", r" \1/\2", text)
    text = re.sub(r"\b([apAP])\.?([mM])\b\.?(?=$|[\s,])", lambda m: (m[1] + m[2]).lower(), text)
    text = re.sub(r"\\[lr]angle(?![a-z])", lambda match: "(" if match[0] == "\\langle" else ")", text)
    text = re.sub(r"^\(([A-Za-z])\)$", r"\1", re.sub(r"\s+", " ", text).strip().strip('`"“”').rstrip(".,;"))
    return text


def squeezed(text: str) -> str:
    """Return a formula without spaces, subscript marks, and braces around one sign. `text` comes from `plain`."""
    return re.sub(r"\{(\w)\}", r"\1", re.sub(r"\s+|(?<=[^\W\d_])_", "", text))


def words(text: str) -> str:
    """Return the words of a text without case, punctuation, articles and markdown, with accents."""
    bare = re.sub(r"\s+\((?!mod\b)[^()]*\)$", "", plain(text))
    bare = re.sub(r"^((?:[A-Z][\w.'-]*\s+)+[A-Z][\w'-]*),\s+(?:the|an?|who|whose)\s.*$", r"\1", bare)
    bare = unicodedata.normalize("NFKC", bare).strip()
    folded = without_case(bare)
    folded = re.sub(r"(?<=\d),(?=\d{3}\b)", "", folded)
    folded = re.sub(r"[^\w+\-/*^=<>|%.°]|(?<!\d)\.|\.(?!\d)|(?<!\w)-|-(?!\w)|_", " ", folded)
    bare = _ARTICLE.sub(" ", folded)
    return " ".join((bare if bare.split() else folded).split())


def without_case(text: str) -> str:
    """Return a text in small letters; of a symbol of two or three letters, such as CO or Co, only the first one."""
    return text[:1].lower() + text[1:] if _SYMBOL.fullmatch(text) else text.casefold()


def all_words(text: str) -> str:
    """Return all words and signs of a text without case, punctuation and spacing: what an unmarked reply is."""
    return " ".join(re.findall(r"\w+|[^\w\s.,;:!?'\"*_`#]", unicodedata.normalize("NFKC", text).casefold()))


def _vulgar(match: re.Match[str]) -> str:
    numerator, _, denominator = unicodedata.normalize("NFKC", match[0]).partition("⁄")
    return f" {numerator}/{denominator}"
