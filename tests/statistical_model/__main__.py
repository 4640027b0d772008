"""`python -m statistical_model`: serve the simulated API with a simulated model, and print its URL."""

from __future__ import annotations

import argparse
import dataclasses

from optillm_cerebras_cepo.simulator import add_arguments, options_from, serve
from statistical_model.model import Skills, responder
from statistical_model.texts import Lengths


def main() -> None:
    """Serve on a free port until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(prog="statistical_model", description=__doc__)
    parser.add_argument("--rating-tokens", type=float, default=Lengths.rating, help="mean length of ratings")
    parser.add_argument("--sigma", type=float, default=Lengths.sigma, help="standard deviation of the log length")
    add_arguments(parser)
    given = parser.parse_args()
    skills = Skills(lengths=Lengths(rating=given.rating_tokens, sigma=given.sigma), seed=given.seed)
    options = dataclasses.replace(options_from(given), responder=responder(skills))
    serve(options, "127.0.0.1", 0, lambda url: print(url, flush=True))


if __name__ == "__main__":
    main()
