"""Answers GET /greeting with a greeting as JSON."""

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Greeter(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        known = self.path == "/greeting"
        answer = {
            "greeting": os.environ.get("GREETING", "?"),
            "build": os.environ.get("HASHLAB_BUILD", ""),
        }
        body = json.dumps(answer if known else {"error": "not found"}).encode()
        self.send_response(200 if known else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


ThreadingHTTPServer(("", 8000), Greeter).serve_forever()
