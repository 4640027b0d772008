"""CePO for the Cerebras API: plan, execute, review, answer, best of n.

Our wheel puts this file into `optillm/plugins/`, the one folder in which OptiLLM always looks for plugins. By default
a question takes 27 calls: 3 candidates of 8 calls each, and 3 ratings.

Configuration: `--cepo_*` flags and `--cepo_config_file` as for OptiLLM's own approach; `CEPO_CEREBRAS_<NAME>` in the
environment and `cepo_cerebras_<name>` in the request body. `docs/settings.md` lists the names.
"""

from optillm_cerebras_cepo.host.plugin import SLUG, register, run

__all__ = ["SLUG", "run"]

# OptiLLM's defect: the_folder_of_plugins_comes_too_late
# OptiLLM's defect: entry_points_are_not_read
register()
