"""A page that counts its visits in Redis, which Compose makes known as the host "redis"."""

import signal
import sys
import time

import redis
from flask import Flask

app = Flask(__name__)
cache = redis.Redis(host="redis", port=6379)


def count_visit():
    """Redis may start later than we do: a few attempts bridge that."""
    for attempt in range(5):
        try:
            return cache.incr("hits")
        except redis.exceptions.ConnectionError:
            if attempt == 4:
                raise
            time.sleep(0.5)


@app.route("/")
def hello():
    return "Hello World! I have been seen %d times.\n" % count_visit()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    app.run(host="0.0.0.0", port=5000)
