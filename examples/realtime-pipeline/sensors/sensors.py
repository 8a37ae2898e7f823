"""Readings of a few sensors, written to the stream `readings`: a slow wave, some noise, now and then a spike."""

import math
import os
import random
import signal
import sys
import time

import redis

STORE = os.environ["STORE"]
SENSORS = os.environ["SENSORS"].split(",")
PER_SECOND = float(os.environ.get("PER_SECOND", "20"))


def value(number: int, moment: float) -> float:
    base = 60 + 10 * number + 8 * math.sin(moment / (4 + number))
    spike = 25 if random.random() < 0.02 else 0
    return round(base + random.gauss(0, 1.5) + spike, 2)


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    store = redis.Redis.from_url(STORE, socket_timeout=10)
    sent = 0
    due = time.monotonic()
    while True:
        for number, name in enumerate(SENSORS):
            reading = {"sensor": name, "value": value(number, time.time()), "at": time.time()}
            store.xadd("readings", reading, maxlen=100_000, approximate=True)
            sent += 1
            if sent % 500 == 0:
                print(f"{sent} readings sent, the last one: {reading}")
        due += len(SENSORS) / PER_SECOND
        time.sleep(max(0, due - time.monotonic()))


if __name__ == "__main__":
    main()
