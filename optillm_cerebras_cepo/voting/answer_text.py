"""Clean a piece of a reply that may be its answer, and tell whether it is a value."""

from __future__ import annotations

import re

from optillm_cerebras_cepo.voting.formulas import FUNCTIONS, LETTERS

SHORT = 80  # characters of a line that may be nothing but an answer
MOST_WORDS = 4  # of such a line, if it is neither a number nor a formula
FENCE = re.compile(r"^[ \t]*```[\w-]*[ \t]*$", re.MULTILINE)
BOLD = re.compile(  # in a formula, as in x**2, two stars are a power
    r"(?<![\w)*])\*\*(?=[^\s*])([^\n]{0,400}?[^\s*])\*\*(?![\w(*])|(?<!\w)__(?=[^\s_])([^\n]{0,400}?[^\s_])__(?!\w)"
)
MATH = re.compile(r"\$\$([^$]+)\$\$|\$([^$]+)\$|\\\((.+?)\\\)|\\\[(.+?)\\\]", re.DOTALL)
_FILLER = re.compile(
    r"^(?:[:=\s]+|(?:therefore|thus|hence|so|then|simply|just|exactly|clearly|indeed|approximately|about|roughly"
    r"|probably|likely|equal to|given by|now|therefore:|that is|option|choice)\b[\s,:]*(?=\S))+",
    re.IGNORECASE,
)
_ABBREVIATED = (  # by length, as a look-behind requires
    r"(?<!\b[a-z])(?<!\b(?:no|vs|ca|op|st|dr|mr|ms|mt|jr|sr))(?<!\b(?:prof|sept))(?<!\bapprox)"
    r"(?<!\b(?:nos|vol|mrs|etc|e\.g|i\.e|jan|feb|mar|apr|jun|jul|aug|sep|oct|nov|dec))"
)
NAME_IN_BOX = re.compile(r"^\\text\s*\{\s*(?:final\s+)?answer\s*[:=]\s*\}\s*", re.IGNORECASE)  # inside a box
_AFTERTHOUGHT = re.compile(
    rf"(?:(?:{_ABBREVIATED}\.|(?<=\b[A-Z])\.(?=\s+[A-Z]\w+\s+\w+\s+\w))(?=\s|$)"
    r"|。|[!?;](?=\s|$)|(?<!\d)\s[–—]\s|\s[–—]\s(?!\d)"
    r"|,?\s+(?:because|since|which|where|so that|as (?:we|shown|can|required|the))\b"
    r"|,\s+(?:as|for|not|and (?:that|this|so|it))\b|\s\((?:checked|verified|i|we|by|as|see|since|because|after)\b).*$",
    re.IGNORECASE | re.DOTALL,
)
SENTENCE = re.compile(
    r"\b(?:let|we|is|are|was|were|be|has|have|had|can|could|will|would|need|if|when|since|because|follows?|depends?"
    r"|reasonable|correct|consistent)\b",
    re.IGNORECASE,
)
_TEXT_IN_LATEX = re.compile(r"\\(?:text|mathrm|textrm|operatorname|begin|end)\s*\{[^{}]{0,20}\}")  # a unit, "and"
_SIGN = r"[\s\d.,:;/%°$€£¥+\-−–*^()\[\]{}|<>=≤≥≈≠√π∞∪∩∅±×·!'²³_&]"
_VALUE = re.compile(
    rf"(?:{_SIGN}|\\[a-zA-Z]+|\\[{{}}|,;! \\]|(?<![a-zA-Z])[a-zA-Z]{{1,2}}(?![a-zA-Z])"
    rf"|\b(?:{FUNCTIONS}|{LETTERS}|inf|mod|and|or|am|pm)\b)*",
    re.IGNORECASE,
)


def is_value(text: str) -> bool:
    """Return whether a text is a number or a formula without words, as far as its signs tell."""
    if len(text) > 4 * SHORT or not re.search(r"[\d\\=π∞∅]|^[a-zA-Z]$", text):
        return False
    return bool(_VALUE.fullmatch(_TEXT_IN_LATEX.sub("", text)))


def is_quantity_like(text: str) -> bool:
    """Return whether a short line begins with a number and has a few words for its unit behind it."""
    begins = re.match(r"^[-+−$€£¥]?\s*\$?[\d.,/\\]", text)
    return bool(begins) and len(text) <= SHORT and len(text.split()) <= MOST_WORDS


def bare(row: str) -> str:
    """Return a line without markdown and the marks of a formula around it."""
    is_formula = re.match(r"^\s*[-*+]\s*[\w\\(]+\S*\s*[-+*/^]", row)  # its minus is no bullet
    text = without_markdown(row, bullets=not is_formula).strip().rstrip(".,;。")
    whole = MATH.fullmatch(text)
    return next(part for part in whole.groups() if part is not None).strip() if whole else text


def joined(values: list[str]) -> str:
    """Return several lines of values as one answer: assignments as a list, rows of numbers as lines."""
    if all("=" in value for value in values):
        names = [value.split("=")[0].strip() for value in values]
        return ", ".join(values) if len(set(names)) == len(names) else values[-1]
    if all(re.search(r"\d[\s,]+-?\d", value) for value in values):
        return "\n".join(values)
    return values[-1]


def trimmed(answer: str) -> str:
    """Return an answer without filler before it, the reason after it, and the marks of a formula around it."""
    text = _FILLER.sub("", NAME_IN_BOX.sub("", answer.strip())).strip()
    if text.count("}") > text.count("{"):  # of a command around the answer and its name
        text = re.sub(r"\}\s*(?:\\[\])]|\$+)?\s*\.?$", "", text)
    formula = MATH.match(text)
    if formula:
        inside = next(part for part in formula.groups() if part is not None)
        rest = re.sub(r"\$|\\[()\[\]]", "", text[formula.end() :])
        return f"{inside.strip()} {_AFTERTHOUGHT.sub('', rest).strip()}".strip(" .,;")
    text = _AFTERTHOUGHT.sub("", text).strip() or text
    formulas = list(MATH.finditer(text))
    if len(formulas) == 1 and len(re.findall(r"[^\W\d_]{3,}", text[: formulas[0].start()])) > 1:
        return trimmed(text[formulas[0].start() :])
    return text.strip().strip('`"“”').rstrip(".,;!。")


def without_markdown(text: str, *, bullets: bool = True) -> str:
    """Return a text without markdown: bold, headings, quotes, bullets, fences."""
    text = BOLD.sub(lambda match: match[1] or match[2], FENCE.sub("", text))
    marks = r"^[ \t]*(?:#{1,3}[ \t]+|#{5,6}[ \t]+|>[ \t]?" + (r"|[-*•][ \t]+" if bullets else "") + r")+"
    return re.sub(marks, "", text, flags=re.MULTILINE)
