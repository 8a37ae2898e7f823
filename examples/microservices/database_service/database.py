"""People in SQLite, over HTTP: POST /people {"name": …}, GET /people, GET /health."""

import http.server
import json
import signal
import sqlite3
import sys

database = sqlite3.connect("/data/people.db", check_same_thread=False, isolation_level=None)
database.execute("CREATE TABLE IF NOT EXISTS people (id INTEGER PRIMARY KEY, name TEXT NOT NULL)")


class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self, status: int, body) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self) -> None:
        if self.path == "/health":
            self.answer(200, {"status": "ok"})
        elif self.path == "/people":
            rows = database.execute("SELECT id, name FROM people ORDER BY id").fetchall()
            self.answer(200, [{"id": row[0], "name": row[1]} for row in rows])
        else:
            self.answer(404, {"error": f"no such page: {self.path}"})

    def do_POST(self) -> None:
        if self.path != "/people":
            return self.answer(404, {"error": f"no such page: {self.path}"})
        try:
            name = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))["name"]
        except (ValueError, KeyError, TypeError):
            return self.answer(400, {"error": "expected a JSON object with a name"})
        row = database.execute("INSERT INTO people (name) VALUES (?)", (str(name),))
        self.answer(201, {"id": row.lastrowid, "name": str(name)})


signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
http.server.HTTPServer(("", 5002), Handler).serve_forever()
