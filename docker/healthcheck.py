"""The image's HEALTHCHECK: exits 0 when OptiLLM answers /health. Goes through no proxy and needs no curl."""

import http.client
import sys

connection = http.client.HTTPConnection("127.0.0.1", 8080, timeout=2)
try:
    connection.request("GET", "/health")
    sys.exit(connection.getresponse().status != 200)
except OSError as error:
    sys.exit(str(error))
