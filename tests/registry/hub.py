"""A hub of our own on loopback: the few routes that `huggingface_hub` asks of the real one."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

Repos = dict[str, dict[str, dict[str, bytes]]]
"""`datasets/org/name` -> revision -> path -> content; the last revision is the newest."""


def commit(name: str) -> str:
    """A revision as git would name it."""
    return hashlib.sha1(name.encode()).hexdigest()


@contextmanager
def serve(repos: Repos) -> Iterator[str]:
    """Serve repositories; yields the endpoint."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(body=True)

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def log_message(self, *_: Any) -> None:
            pass

        def _answer(self, body: bool) -> None:
            parts = unquote(urlsplit(self.path).path).strip("/").split("/")
            if parts[0] == "api":
                self._send_json(_api(repos, parts[1:]), body)
            else:
                self._send_file(parts, body)

        def _send_json(self, found: Any, body: bool) -> None:
            if isinstance(found, str):
                self.send_response(404)
                self.send_header("X-Error-Code", found)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            content = json.dumps(found).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if body:
                self.wfile.write(content)

        def _send_file(self, parts: list[str], body: bool) -> None:
            name, rest = "/".join(parts[:3]), parts[3:]
            revision = rest[1]
            content = repos[name][revision].get("/".join(rest[2:]))
            if content is None:
                self._send_json("EntryNotFound", body)
                return
            self.send_response(200)
            self.send_header("X-Repo-Commit", revision)
            self.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if body:
                self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def _api(repos: Repos, parts: list[str]) -> Any:
    """What the API says of a repository; the code of an error where it has none."""
    name, rest = "/".join(parts[:3]), parts[3:]
    if name not in repos:
        return "RepoNotFound"
    revisions = repos[name]
    wanted = "/".join(rest[1:]) if len(rest) > 1 else "main"
    found = list(revisions)[-1] if wanted == "main" else wanted
    if found not in revisions:
        return "RevisionNotFound"
    files = revisions[found]
    if rest and rest[0] == "tree":
        return [
            {"type": "file", "path": path, "size": len(content), "oid": commit(path)}
            for path, content in files.items()
        ]
    return {
        "id": "/".join(parts[1:3]),
        "sha": found,
        "private": False,
        "gated": False,
        "disabled": False,
        "tags": [],
        "siblings": [{"rfilename": path} for path in files],
        "cardData": _card(files.get("README.md", b"")),
    }


def _card(readme: bytes) -> Any:
    import yaml

    parts = readme.decode().split("---\n")
    return yaml.safe_load(parts[1]) if len(parts) > 2 else None
