"""EleutherAI's lm-eval, with its model for chat completions of other servers. See talk.py for its input."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import talk
from talk import MODEL, TEXT, report

os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HOME": tempfile.mkdtemp(), "TQDM_DISABLE": "1"}

from lm_eval import simple_evaluate

FILTER = [{"function": "regex", "regex_pattern": r"(\d+)"}, {"function": "take_first"}]


def evaluate(**options: Any) -> Any:
    """Evaluate a task of one question, with a field of ours in the request."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder, "questions.jsonl")
        data.write_text(json.dumps({"question": TEXT, "answer": "42"}) + "\n")
        task = {
            "task": "six",
            "dataset_path": "json",
            "dataset_kwargs": {"data_files": {"test": str(data)}},
            "test_split": "test",
            "output_type": "generate_until",
            "doc_to_text": "{{question}}",
            "doc_to_target": "{{answer}}",
            "generation_kwargs": {"until": ["\n\n"], **talk.EFFORT},
            "filter_list": [{"name": "number", "filter": FILTER}],
            "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
        }
        at = {"base_url": f"{talk.base_url()}/chat/completions", "model": MODEL, **options}
        return simple_evaluate("local-chat-completions", at, tasks=[task], apply_chat_template=True, log_samples=True)


def ask() -> None:
    """A question, its answer, and its mark."""
    found = evaluate()
    (sample,) = found["samples"]["six"]
    report(content=sample["resps"][0][0], score=found["results"]["six"]["exact_match,number"])


def quota() -> None:
    """A quota that is used up. The library would try three times."""
    talk.refused(lambda: evaluate(max_retries=1))


def quota_default() -> None:
    """The same with the library's own retries."""
    talk.refused(evaluate)


talk.serve(lambda scenario: globals()[scenario]())
