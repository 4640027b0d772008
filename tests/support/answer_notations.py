"""Questions with the notations of their right answer and of two wrong ones, of each kind that voting knows.

Nothing here knows how answers are read: the notations are written down from how models write, each value by a function
of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from random import Random


@dataclass(frozen=True)
class Notation:
    """One way to write a value; `latex` says that it needs dollars in prose."""

    text: str
    latex: bool = False

    @property
    def prose(self) -> str:
        """As it stands in a sentence."""
        return f"${self.text}$" if self.latex else self.text


@dataclass(frozen=True)
class Problem:
    """A question with the notations of its right answer, and of two wrong ones."""

    question: str
    right: list[Notation]
    wrong: tuple[list[Notation], list[Notation]]


def choice_problem(chance: Random) -> Problem:
    """Three to ten choices, listed in one of several styles."""
    count = chance.randint(3, 10)
    pool = [str(chance.randint(10, 999)) for _ in range(30)] if chance.random() < 0.4 else list(WORDS)
    texts = chance.sample(sorted(set(pool)), count)
    letters = "ABCDEFGHIJ"[:count]
    style = chance.choice(["\n{}) {}", "\n({}) {}", "\n{}. {}", "\n- {}) {}", "\n**{}.** {}", " ({}) {}", "\n{}: {}"])
    question = "Which of these is right?" + "".join(style.format(*pair) for pair in zip(letters, texts, strict=True))
    picked = chance.sample(range(count), 3)

    def notations(index: int) -> list[Notation]:
        letter, text = letters[index], texts[index]
        plain = [letter, f"({letter})", f"{letter})", f"Option {letter}", f"option ({letter})", f"{letter}) {text}",
                 f"({letter}) {text}", f"{letter}. {text}", text, f"choice {letter}"]  # fmt: skip
        return [*map(Notation, plain), Notation(f"\\text{{{letter}}}", True), Notation(f"\\textbf{{({letter})}}", True)]

    return Problem(question, notations(picked[0]), (notations(picked[1]), notations(picked[2])))


def number(value: Fraction) -> list[Notation]:
    """A number as integer, decimal, fraction, percentage, in thousands, or with a power of ten."""
    sign, size = "-" if value < 0 else "", abs(value)
    if value.denominator == 1:
        digits, grouped = str(size), f"{size.numerator:,}"
        plain = [digits, grouped, f"{digits}.0", f"x = {sign}{digits}"]
        latex = [grouped.replace(",", "{,}"), grouped.replace(",", "\\,")]
        zeros = len(digits) - len(digits.rstrip("0"))
        if zeros >= 3:
            head = digits.rstrip("0")
            lead = head[0] + ("." + head[1:] if head[1:] else "")
            plain += [f"{lead}e{len(digits) - 1}", f"{lead} × 10^{len(digits) - 1}"]
            latex += [f"{lead} \\times 10^{{{len(digits) - 1}}}"]
    else:
        top, bottom = size.numerator, size.denominator
        plain, latex = [f"{top}/{bottom}"], [f"\\frac{{{top}}}{{{bottom}}}", f"\\dfrac{{{top}}}{{{bottom}}}"]
        if 10**4 % bottom == 0:
            plain += [f"{float(size):.10f}".rstrip("0"), f"{float(size * 100):.8f}".rstrip("0").rstrip(".") + "%"]
            latex += [f"{float(size * 100):.8f}".rstrip("0").rstrip(".") + "\\%"]
        if top > bottom:
            latex += [f"{top // bottom}\\frac{{{top % bottom}}}{{{bottom}}}"]
    signed = [text if text.startswith("x") else sign + text for text in plain]
    return [*map(Notation, signed), *(Notation(sign + text, True) for text in latex)]


def number_problem(chance: Random) -> Problem:
    """Any rational number, and two others near it."""
    bottom = chance.choice([1, 1, 1, 2, 4, 5, 8, 10, 20, 100, 3, 7, 9])
    value = Fraction(chance.randint(1, 400), bottom) * chance.choice([1, 1, 1, -1])
    if bottom == 1:
        value *= chance.choice([1, 1, 10, 1000, 10**5])
    others = [wrong for wrong in (value + 1, value * 10, -value, value + Fraction(1, bottom), value * 2) if wrong]
    one, other = chance.sample(sorted(set(others)), 2)
    return Problem("How much is it?", number(value), (number(one), number(other)))


def polynomial(a: int, b: int) -> list[Notation]:
    """(x+a)(x+b), factored and expanded."""
    middle, last = a + b, a * b
    expanded = f"x^2{middle:+d}x{last:+d}" if middle else f"x^2{last:+d}"
    spaced = f"x^{{2}} {'+' if middle > 0 else '-'} {abs(middle)}x {'+' if last > 0 else '-'} {abs(last)}"
    turned = f"{last} {'+' if middle > 0 else '-'} {abs(middle)} x + x^2"
    program = f"x**2 {'+' if middle > 0 else '-'} {abs(middle)}*x {'+' if last > 0 else '-'} {abs(last)}"
    factored = f"(x{a:+d})(x{b:+d})"
    return [Notation(expanded, True), Notation(expanded), Notation(spaced, True), Notation(turned, True),
            Notation(program), Notation(factored, True), Notation(f"(x{b:+d})(x{a:+d})"),
            Notation(f"\\left(x{a:+d}\\right)\\left(x{b:+d}\\right)", True)]  # fmt: skip


def radical(a: int, b: int) -> list[Notation]:
    """a√b."""
    return [Notation(f"{a}\\sqrt{{{b}}}", True), Notation(f"\\sqrt{{{a * a * b}}}", True), Notation(f"{a}*sqrt({b})"),
            Notation(f"sqrt({a * a * b})"), Notation(f"{a}√{b}"), Notation(f"{a} \\cdot \\sqrt{{{b}}}", True),
            Notation(f"\\frac{{{a * b}}}{{\\sqrt{{{b}}}}}", True), Notation(f"{a}\\sqrt {b}", True)]  # fmt: skip


def multiple_of_pi(k: int) -> list[Notation]:
    """kπ."""
    return [Notation(f"{k}\\pi", True), Notation(f"{k}π"), Notation(f"{k}*pi"), Notation(f"{k} \\cdot \\pi", True),
            Notation(f"\\pi \\cdot {k}", True), Notation(f"\\frac{{{2 * k}\\pi}}{{2}}", True)]  # fmt: skip


TRIGONOMETRY = (
    ["\\cos(\\pi/3)", "\\frac{1}{2}", "0.5", "\\sin\\frac{\\pi}{6}"],
    ["\\sin(\\pi/4)", "\\frac{\\sqrt{2}}{2}", "\\frac{1}{\\sqrt{2}}", "2^{-1/2}"],
    ["\\cos\\frac{\\pi}{6}", "\\frac{\\sqrt{3}}{2}", "\\sin(\\pi/3)", "\\frac12\\sqrt3"],
    ["\\tan\\frac{\\pi}{3}", "\\sqrt{3}", "\\frac{3}{\\sqrt{3}}", "3^{1/2}"],
    ["\\cos(\\pi)", "-1", "-\\tan(\\pi/4)", "\\sin\\frac{3\\pi}{2}"],
    ["\\sin 2x", "2\\sin x\\cos x", "\\sin(2x)", "2\\cos(x)\\sin(x)"],
    ["\\sin^2 x", "1-\\cos^2 x", "\\sin^{2}(x)", "\\frac{1-\\cos(2x)}{2}"],
)


def expression_problem(chance: Random) -> Problem:
    """A polynomial, a root, a multiple of π, or a trigonometric value."""
    match chance.randrange(4):
        case 0:
            a, b = chance.sample([-7, -5, -4, -3, -2, 2, 3, 4, 6, 9], 2)
            if a + b == 0:
                b += 1 if b != -1 else 2
            wrong = (polynomial(a + 10, b), polynomial(a, b + 13))
            return Problem("Give the polynomial.", polynomial(a, b), wrong)
        case 1:
            a, b = chance.randint(2, 9), chance.choice([2, 3, 5, 6, 7])
            return Problem("How long is it?", radical(a, b), (radical(a + 1, b), radical(a, 10)))
        case 2:
            k = chance.randint(2, 60)
            return Problem("What is the area?", multiple_of_pi(k), (multiple_of_pi(k + 1), number(Fraction(k))))
        case _:
            right, one, other = ([Notation(t, True) for t in row] for row in chance.sample(TRIGONOMETRY, 3))
            return Problem("What is the value?", right, (one, other))


def bracketed(left: str, elements: list[str], right: str) -> list[Notation]:
    """A tuple, an interval or, in braces, a set in any order."""
    orders = [elements, elements[::-1]] if left == "{" else [elements]
    out = []
    for row in orders:
        inner, (tex_left, tex_right) = ", ".join(row), ("\\{", "\\}") if left == "{" else (left, right)
        out += [Notation(f"{left}{inner}{right}"), Notation(f"{left}{','.join(row)}{right}"),
                Notation(f"{tex_left}{inner}{tex_right}", True),
                Notation(f"\\left{tex_left} {inner} \\right{tex_right}", True)]  # fmt: skip
    return out


def brackets_problem(chance: Random) -> Problem:
    """An interval, a set of numbers, or a point."""
    a = chance.randint(-20, 20)
    b, c = a + chance.randint(1, 9), a + chance.randint(10, 30)
    match chance.randrange(3):
        case 0:
            left, right = chance.choice([("[", ")"), ("(", "]"), ("[", "]")])
            closed, opened = ("[", "]"), ("(", ")")
            ends = [str(a), chance.choice([str(b), f"\\frac{{{2 * b + 1}}}{{2}}"])]
            other = closed if (left, right) != closed else opened
            notations = bracketed(left, ends, right)
            if "frac" not in ends[1]:
                low, high = "\\le" if left == "[" else "<", "\\le" if right == "]" else "<"
                notations += [Notation(f"{ends[0]} {low} x {high} {ends[1]}", True)]
                notations += [Notation(f"x \\in {left}{ends[0]}, {ends[1]}{right}", True)]
            return Problem("Where does it hold?", [n for n in notations if n.latex or "frac" not in n.text],
                           (bracketed(other[0], [str(a), str(b)], other[1]),
                            bracketed(left, [str(a - 1), str(c)], right)))  # fmt: skip
        case 1:
            rows = [[str(a), str(b), str(c)], [str(a), str(b)], [str(a), str(b), str(c + 1)]]
            sets = [bracketed("{", row, "}") for row in rows]
            return Problem("Which numbers solve it?", sets[0], (sets[1], sets[2]))
        case _:
            rows = [[str(a), str(c)], [str(c), str(a)], [str(a), str(b)]]
            points = [bracketed("(", row, ")") for row in rows]
            return Problem("Where do they meet?", points[0], (points[1], points[2]))


UNITS = (
    (["m/s", "metres per second", "m s^{-1}"], ["km/s"]),
    (["km", "kilometers", "kilometres"], ["m", "meters"]),
    (["cm^2", "square centimeters", "cm²"], ["cm", "m^2"]),
    (["kg", "kilograms"], ["g", "grams"]),
    (["hours", "h", "hr"], ["minutes", "min"]),
    (["apples"], ["oranges"]),
    (["degrees", "°", "^\\circ"], ["rad"]),
    (["N", "newtons"], ["J"]),
    (["km/h", "kilometers per hour", "km h^{-1}"], ["m/s"]),
)


def measured(value: Fraction, units: list[str]) -> list[Notation]:
    """A number with its unit."""
    figures = [str(value)] if value.denominator == 1 else [f"{float(value):g}"]
    out = []
    for unit in units:
        for figure in figures:
            if unit.startswith("^"):
                out += [Notation(f"{figure}{unit}", True)]
                continue
            if "^" not in unit:
                out += [Notation(f"{figure} {unit}"), Notation(f"{figure} {unit}")]
            if unit.isascii():
                out += [Notation(f"{figure}\\text{{ {unit}}}" if "^" not in unit else f"{figure}\\ \\mathrm{{{unit}}}",
                                 True)]  # fmt: skip
                out += [Notation(f"{figure}~\\mathrm{{{unit}}}", True)] if " " not in unit and "^" not in unit else []
    return out


def units_problem(chance: Random) -> Problem:
    """A measured quantity; wrong by its number or by its unit."""
    units, others = chance.choice(UNITS)
    value = Fraction(chance.randint(2, 500), chance.choice([1, 1, 2, 4]))
    figure = measured(value + chance.choice([1, 5, -1]), units)
    unit = measured(value, others)
    right = measured(value, units)
    if chance.random() < 0.5:
        return Problem("How much is it?", [*right, *number(value)[:1]], (figure, figure))
    return Problem("How much is it?", right, (figure, unit))


WORDS = (
    "Paris", "London", "the Pacific Ocean", "Marie Curie", "carbon dioxide", "photosynthesis", "Jupiter", "the Nile",
    "a triangle", "copper", "Ada Lovelace", "an octopus", "Mount Everest", "penicillin", "the mitochondrion", "Brazil",
    "Leonardo da Vinci", "iron", "the French Revolution", "Shakespeare", "a knave", "blue", "yes", "no", "not possible",
    "Tuesday", "St. Petersburg", "O'Brien", "Jean-Luc", "São Paulo",
)  # fmt: skip


def wording(word: str) -> list[Notation]:
    """A word or a name, with or without article, case and quotes."""
    bare = word.split(" ", 1)[1] if word.split()[0] in ("a", "an", "the") else word
    plain = [word, bare, bare.lower(), word[0].upper() + word[1:], f'"{bare}"', bare.upper()]
    return [*map(Notation, plain), *([Notation(f"\\text{{{word}}}", True)] if word.isascii() else [])]


def text_problem(chance: Random) -> Problem:
    """A name or a few words."""
    right, one, other = chance.sample(WORDS, 3)
    return Problem("What is it called?", wording(right), (wording(one), wording(other)))


KINDS: dict[str, Callable[[Random], Problem]] = {
    "choice": choice_problem,
    "number": number_problem,
    "expression": expression_problem,
    "brackets": brackets_problem,
    "units": units_problem,
    "text": text_problem,
}
