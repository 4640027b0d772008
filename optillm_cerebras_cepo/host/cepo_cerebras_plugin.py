"""CePO that works on the Cerebras API: plan, execute, review, answer, best of n.

OptiLLM finds this file in `optillm/plugins/`, where our wheel puts it, and runs it under its bare name; everything
else is in the package `optillm_cerebras_cepo`. By default a question takes 27 calls: 3 candidates of 8 calls, and 3
ratings.

Configuration: `--cepo_*` flags and `--cepo_config_file` as for OptiLLM's own approach; `CEPO_CEREBRAS_<NAME>` in the
environment and `cepo_cerebras_<name>` in the request body. The README lists the names.
"""

from optillm_cerebras_cepo.host.plugin import SLUG, register, run

__all__ = ["SLUG", "run"]

# Into that folder, for no other one and no installed package can be named to OptiLLM.
# OptiLLM's defect: the_folder_of_plugins_comes_too_late
# OptiLLM's defect: entry_points_are_not_read
register()
