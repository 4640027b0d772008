"""The defects of OptiLLM that this package works around, and what marks a test as one's.

Such a test says what should be, and fails on every OptiLLM that has the defect. On one that has mended it the test
passes, which fails the run with what may go.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "optillm_cerebras_cepo"
KIT = ROOT / "docs" / "upstream"
PULLS = {folder.name[:2]: folder for folder in sorted(KIT.glob("[0-9][0-9]-*"))}  # by number
MARK = re.compile(r"# OptiLLM's defect: (\w+)")


@dataclass(frozen=True)
class Defect:
    """One of them.

    Attributes:
        name: of its test, without `test_`, and of the mark in the package at what works around it.
        workaround: file of the package, as in `cepo/seam.py`.
        pull: number of the pull request that mends it: a folder of docs/upstream.
        seen: versions of OptiLLM that have it.

    """

    name: str
    workaround: str
    pull: str
    seen: tuple[str, ...] = ("0.3.21", "0.3.22", "0.4.0")


DEFECTS = {
    defect.name: defect
    for defect in (
        Defect("no_error_of_cerebras_is_caught", "llm/retry.py", "01"),
        Defect("a_rating_is_asked_for_twice", "cepo/judge.py", "02"),
        Defect("one_wording_of_a_rating_is_read", "cepo/verdicts.py", "02"),
        Defect("a_cut_rating_is_a_crash", "cepo/verdicts.py", "02"),
        Defect("tokens_of_ratings_are_not_counted", "llm/metering.py", "02"),
        Defect("steps_take_the_numbers_of_the_first", "cepo/step_caller.py", "03"),
        Defect("pairs_are_of_candidates_that_do_not_exist", "cepo/judge.py", "04"),
        Defect("pairs_wait_for_each_other", "cepo/judge.py", "04"),
        Defect("no_candidate_is_a_crash", "cepo/best_of_n.py", "04"),
        Defect("a_single_candidate_is_rated", "cepo/judge.py", "04"),
        Defect("a_rejected_plan_is_executed", "cepo/seam.py", "04"),
        Defect("votes_go_by_the_first_letter", "voting/vote.py", "05"),
        Defect("a_request_changes_the_configuration_of_all", "cepo/candidate.py", "06"),
        Defect("false_is_read_as_true", "host/configuration.py", "07"),
        Defect("flags_of_ratings_are_refused", "settings/declaration.py", "07"),
        Defect("settings_of_plan_diversity_do_not_exist", "cepo/candidate.py", "08"),
        Defect("too_few_approaches_are_a_crash", "cepo/candidate.py", "08"),
        Defect("all_attempts_start_at_once", "cepo/seam.py", "09"),
        Defect("tokens_of_unused_attempts_are_not_counted", "llm/metering.py", "09"),
        Defect("the_folder_of_plugins_comes_too_late", "host/cepo_cerebras_plugin.py", "10"),
        Defect("entry_points_are_not_read", "host/cepo_cerebras_plugin.py", "11"),
        Defect("replies_have_no_id_and_half_a_usage", "host/responses.py", "12"),
        Defect("an_answer_is_cut_at_a_speakers_name", "host/plugin.py", "12"),
        Defect("the_list_of_models_fails", "sidecar/app.py", "13"),
        Defect("a_client_is_built_for_each_request", "runtime.py", "14"),
        Defect("every_error_is_a_500", "host/responses.py", "15"),
        Defect("parameters_are_ignored", "host/parameters.py", "16"),
        Defect("reasoning_effort_goes_to_models_that_refuse_it", "llm/models.py", "17"),
        Defect("every_prompt_ends_with_a_switch_of_some_models", "cepo/step_caller.py", "17"),
    )
}


def defect(test: Any) -> Any:
    """Mark a test as that of the defect it is named after: it fails until OptiLLM is mended."""
    it = DEFECTS[test.__name__.removeprefix("test_")]
    where = f"{it.workaround}, marked {it.name}, may go: docs/upstream/{it.pull}-*, seen in {', '.join(it.seen)}"
    return pytest.mark.xfail(strict=True, reason=where)(test)


def workarounds() -> set[tuple[str, str]]:
    """Return the marks in the package: names of defects, each with the file that works around it."""
    return {
        (name, str(path.relative_to(PACKAGE)))
        for path in PACKAGE.rglob("*.py")
        for name in MARK.findall(path.read_text())
    }
