"""The image's process 1: OptiLLM's command, with what a container needs around it."""

import os
import signal

# Process 1 ignores every signal that it has not asked for: `docker stop` would wait out its grace period and kill.
# As Ctrl-C, SIGTERM closes the server's socket and ends the process with 0.
signal.signal(signal.SIGTERM, signal.default_int_handler)

# OptiLLM without a base URL would send the requests of a client whose key begins with "sk-" to api.openai.com.
os.environ.setdefault("OPTILLM_BASE_URL", os.environ.get("CEREBRAS_BASE_URL") or "https://api.cerebras.ai")

try:
    import optillm  # takes a second or two, in which SIGTERM works already

    optillm.main()
except KeyboardInterrupt:
    pass
