"""Greets people whom it keeps in the database service: POST /users {"name": …}, GET /users, GET /health."""

import http.server
import json
import os
import signal
import sys
import urllib.error
import urllib.request

DATABASE = os.environ["DATABASE"]


def ask(path: str, body: bytes | None = None):
    request = urllib.request.Request(DATABASE + path, data=body, headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=5) as answer:
        return json.load(answer)


class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self, status: int, body) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def forward(self, body: bytes | None) -> None:
        try:
            people = ask("/people", body)
        except urllib.error.HTTPError as error:
            return self.answer(error.code, json.load(error))
        except OSError as error:
            return self.answer(502, {"error": f"the database service does not answer: {error}"})
        if isinstance(people, list):
            return self.answer(200, [{**person, "greeting": f"Hello, {person['name']}!"} for person in people])
        self.answer(201, people)

    def do_GET(self) -> None:
        if self.path == "/health":
            self.answer(200, {"status": "ok"})
        elif self.path == "/users":
            self.forward(None)
        else:
            self.answer(404, {"error": f"no such page: {self.path}"})

    def do_POST(self) -> None:
        if self.path == "/users":
            self.forward(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        else:
            self.answer(404, {"error": f"no such page: {self.path}"})


signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
http.server.HTTPServer(("", 5001), Handler).serve_forever()
