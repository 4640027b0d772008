"""HTTP to servers on this machine, with as much time as a machine under load takes.

No certificates are loaded, which takes 30 ms of a processor each time, and no connection is kept.
"""

from __future__ import annotations

import httpx

from support.waiting import PATIENCE

CLIENT = httpx.Client(verify=False, trust_env=False, timeout=PATIENCE, limits=httpx.Limits(max_keepalive_connections=0))
get, post, delete, request, stream = CLIENT.get, CLIENT.post, CLIENT.delete, CLIENT.request, CLIENT.stream
