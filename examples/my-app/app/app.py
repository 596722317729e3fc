"""Says hello on port 80, and remembers visits when it has a place to: /app/data, a volume for instance."""

import datetime
import os
import signal
import socket
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

DATA = "/app/data"


def remember_visit(client):
    """Adds a line to visits.log. Returns how many there are, or None without a data directory."""
    if not os.path.isdir(DATA):
        return None
    path = os.path.join(DATA, "visits.log")
    with open(path, "a+") as log:
        log.write("%s %s\n" % (datetime.datetime.now().isoformat(timespec="seconds"), client))
        log.seek(0)
        return sum(1 for _ in log)


class Hello(BaseHTTPRequestHandler):
    def do_GET(self):
        visits = remember_visit(self.client_address[0])
        text = "Hello from %s!\n" % socket.gethostname()
        if visits is not None:
            text += "Visit number %d.\n" % visits
        body = text.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    # As process 1 of a container nobody else reacts to the signal that "docker stop" sends.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print("Listening on port 80", flush=True)
    HTTPServer(("", 80), Hello).serve_forever()
