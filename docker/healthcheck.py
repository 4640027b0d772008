"""The image's HEALTHCHECK: exits 0 when the sidecar answers /health. Imports next to nothing: it runs every 5 s."""

import socket
import sys

try:
    with socket.create_connection(("127.0.0.1", 8080), timeout=2) as connection:
        connection.sendall(b"GET /health HTTP/1.0\r\n\r\n")
        status = connection.makefile("rb").readline()
except OSError as error:
    sys.exit(str(error))
sys.exit(None if b" 200 " in status else f"/health says {status!r}")
