r"""A question, and what a model might write at each step to answer it: for the documentation's pictures.

One candidate makes a mistake on purpose: so the candidates disagree, and are rated.
"""

from __future__ import annotations

from optillm_cerebras_cepo.simulator.answers import Rule
from optillm_cerebras_cepo.simulator.latency import Latency
from optillm_cerebras_cepo.simulator.options import SimulatorOptions

QUESTION = r"How many ordered pairs $(a, b)$ of positive integers satisfy $\frac1a + \frac1b = \frac16$?"

PLANS = (
    r"""1. Multiply by $6ab$ to get $6a + 6b = ab$.
2. Complete the product: $(a-6)(b-6) = 36$.
3. Show that both factors are positive.
4. Count the divisors of $36 = 2^2 \cdot 3^2$.

*Confidence: high for every step.*
""",
    r"""1. Solve for $b$: $b = \frac{6a}{a-6}$, so $a > 6$.
2. Write $b = 6 + \frac{36}{a-6}$.
3. $b$ is an integer exactly if $a-6$ divides $36$; count these divisors.
""",
    r"""1. Assume $a \le b$, so that $\frac1a \ge \frac1{12}$ and $7 \le a \le 12$.
2. Try each $a$, and compute $b = \frac{6a}{a-6}$.
3. Count each pair with $a \ne b$ twice.
""",
)
SOLUTION = r"""From $\frac1a + \frac1b = \frac16$ follows $6(a+b) = ab$, that is

$$
(a-6)(b-6) = 36 .
$$

Both factors are positive: with $a < 6$ the left side of the equation would be larger than $\frac16$. So $a-6$ is one of
the divisors of $36 = 2^2 \cdot 3^2$, and there are $(2+1)(2+1) = 9$ of them.

\[
\boxed{9}
\]
"""
MISTAKE = r"""With $a \le b$ we have $7 \le a \le 12$. The values that give an integer $b = \frac{6a}{a-6}$ are

| $a$ | 7 | 8 | 9 | 10 | 12 |
|:--|--:|--:|--:|--:|--:|
| $b$ | 42 | 24 | 18 | 15 | 12 |

So there are $\boxed{5}$ pairs.
"""
ANSWER = r"""There are **9** ordered pairs.

Multiply by $6ab$ and complete the product:

\[
\begin{aligned}
(a-6)(b-6) &= ab - 6(a+b) + 36 \\
&= ab - ab + 36 = 36 .
\end{aligned}
\]

If $a < 6$, then $\frac1a > \frac16$, so both factors are positive. Each divisor $d$ of $36 = 2^2 \cdot 3^2$ gives one
pair,

\[
(a, b) = \Bigl(6 + d,\; 6 + \frac{36}{d}\Bigr), \quad d \mid 36,
\]

and there are $(2+1)(2+1) = 9$ divisors:

\[
\boxed{9}
\]
"""
GUESS = r"""Rewrite it as $(a-6)(b-6) = 36$. The divisors of 36 are 1, 2, 3, 4, 6, 9, 12, 18 and 36, so the answer is
$\boxed{9}$.
"""
REVIEW = r"""The responses differ: two count **ordered** pairs, one counts pairs with $a \le b$ only. The question asks
for ordered pairs, so each pair with $a \ne b$ counts twice: $2 \cdot 4 + 1 = 9$.

$$\boxed{9}$$
"""

# The third plan counts unordered pairs. It comes late, so that effort `auto` does not meet it.
PLANNED = tuple(PLANS[number] for number in (0, 1, 0, 1, 0, 1, 2, 1, 0, 2, 1, 0))
ASKS_FOR_A_PLAN = r"\bplan\b[^?]{0,200}\bnot provide\b"

RULES = (
    Rule(pattern=r"boxed\{5\}[\s\S]*Rating: \[\[", text="It counts unordered pairs only.\n\nRating: [[0.2]]"),
    Rule(pattern=r"Rating: \[\[", text="Correct, and every step has its reason.\n\nRating: [[0.95]]"),
    Rule(pattern=r"\bResponse 1:", text=REVIEW),
    Rule(pattern="my final solution", text=(ANSWER, ANSWER, MISTAKE)),
    Rule(pattern=ASKS_FOR_A_PLAN, text=PLANNED),
    Rule(pattern=r"Assume \$a \\le b\$", search_in="all", text=MISTAKE),
    Rule(pattern=ASKS_FOR_A_PLAN, search_in="all", text=SOLUTION),
    Rule(text=GUESS),
)


def options(speed: float = 1.0) -> SimulatorOptions:
    """Return a simulated API that answers the question, this many times as fast as a real one."""
    latency = Latency(base=0.3, tokens_per_second=450, jitter=0.6, seed=4)
    return SimulatorOptions(rules=RULES, latency=latency, time_scale=speed)
