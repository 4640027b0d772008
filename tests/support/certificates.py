"""Certificates of a test's own authority, made by the `openssl` command, and HTTPS in front of a simulated API."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

EXTENSIONS = """
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
[server]
subjectAltName = {names}
"""


@dataclass(frozen=True)
class Authority:
    """A certificate authority that nobody trusts by default. `pem` is its certificate."""

    folder: Path

    @property
    def pem(self) -> str:
        """The path of its certificate."""
        return str(self.folder / "ca.pem")

    def issue(self, name: str, names: str = "IP:127.0.0.1", days: int = 2) -> Path:
        """Make a server's certificate for these names, and return the file with it and its key."""
        files = {kind: self.folder / f"{name}.{kind}" for kind in ("key", "csr", "crt", "pem")}
        extensions = self.folder / f"{name}.cnf"
        extensions.write_text(EXTENSIONS.format(names=names))
        _openssl("ecparam", "-genkey", "-name", "prime256v1", "-noout", "-out", files["key"])
        _openssl("req", "-new", "-key", files["key"], "-subj", f"/CN={name}", "-out", files["csr"])
        signing = ("-CA", self.pem, "-CAkey", self.folder / "ca.key", "-set_serial", "2", "-days", str(days))
        asking = ("-req", "-in", files["csr"], "-extfile", extensions, "-extensions", "server")
        _openssl("x509", *asking, *signing, "-out", files["crt"])
        files["pem"].write_text(files["crt"].read_text() + files["key"].read_text())
        return files["pem"]


def authority(folder: Path) -> Authority:
    """Make one, with its files in this folder."""
    config = folder / "ca.cnf"
    config.write_text("[req]\ndistinguished_name = name\n[name]\n" + EXTENSIONS.format(names="IP:127.0.0.1"))
    _openssl("ecparam", "-genkey", "-name", "prime256v1", "-noout", "-out", folder / "ca.key")
    subject = ("-subj", "/CN=authority of a test", "-days", "2", "-config", config, "-extensions", "authority")
    _openssl("req", "-x509", "-new", "-key", folder / "ca.key", *subject, "-out", folder / "ca.pem")
    return Authority(folder)


def hashed(authority: Authority, folder: Path) -> str:
    """A directory with the authority's certificate under the name that OpenSSL looks for; returns its path."""
    name = _openssl("x509", "-hash", "-noout", "-in", authority.pem).strip()
    (folder / f"{name}.0").write_text(Path(authority.pem).read_text())
    return str(folder)


class Https:
    """An HTTPS server before an HTTP one. `connections` counts those whose TLS handshake was begun."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.connections = 0


@contextmanager
def https(url: str, certificate: Path) -> Iterator[Https]:
    """Serve what is served at this http:// URL with this certificate, on a thread and a port of its own."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    target, loop, front = urlsplit(url), asyncio.new_event_loop(), Https("")

    def count(*_: object) -> None:
        front.connections += 1

    context.sni_callback = count  # called once a handshake, whether or not it names a host

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            inner_reader, inner_writer = await asyncio.open_connection(target.hostname, target.port)
            await asyncio.gather(_pump(reader, inner_writer), _pump(inner_reader, writer))

    async def start() -> asyncio.Server:
        return await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)

    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(start(), loop).result()
    front.url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield front
    finally:
        asyncio.run_coroutine_threadsafe(_stop(server), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass  # one side has gone; the other is told by the close
    finally:
        writer.close()


async def _stop(server: asyncio.Server) -> None:
    server.close()
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def _openssl(*arguments: str | Path) -> str:
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
