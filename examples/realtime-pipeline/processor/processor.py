"""Windowed statistics and alerts: reads the stream `readings` as a consumer group, writes the hash `summary`, the hash
`count:<sensor>` totals, the list `alerts`, and publishes one JSON document a second on `windows`.

A reading is acknowledged in the same transaction that counts it, so a crash neither loses nor doubles one."""

import collections
import json
import os
import signal
import sys
import time

import redis

STORE = os.environ["STORE"]
WINDOW = float(os.environ.get("WINDOW_SECONDS", "5"))
ALERT_ABOVE = float(os.environ.get("ALERT_ABOVE", "88"))
GROUP, CONSUMER = "processor", "one"


def connect() -> redis.Redis:
    return redis.Redis.from_url(STORE, socket_timeout=10, decode_responses=True)


def healthy() -> bool:
    beat = connect().get("processor:beat")
    return beat is not None and time.time() - float(beat) < 5


def windows(readings: collections.deque, now: float) -> dict:
    while readings and readings[0][1] < now - WINDOW:
        readings.popleft()
    values = [value for value, _ in readings]
    if not values:
        return {}
    return {
        "min": round(min(values), 2),
        "mean": round(sum(values) / len(values), 2),
        "max": round(max(values), 2),
        "in_window": len(values),
    }


def take(store: redis.Redis, entries: list, recent: collections.deque) -> None:
    """Counts and acknowledges a batch, all or nothing."""
    if not entries:
        return
    change = store.pipeline(transaction=True)
    for entry, fields in entries:
        value, at, sensor = float(fields["value"]), float(fields["at"]), fields["sensor"]
        recent.append((value, at))
        change.hincrby("counts", sensor, 1)
        change.hset("last", sensor, value)
        if value > ALERT_ABOVE:
            alert = {"sensor": sensor, "value": value, "at": at}
            change.lpush("alerts", json.dumps(alert))
            print(f"alert: {sensor} at {value}")
        change.xack("readings", GROUP, entry)
    change.ltrim("alerts", 0, 99)
    change.execute()


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    store = connect()
    try:
        store.xgroup_create("readings", GROUP, id="0", mkstream=True)
    except redis.ResponseError as error:
        if "BUSYGROUP" not in str(error):
            raise
    recent: collections.deque = collections.deque()
    # what an earlier run read but did not acknowledge comes first
    backlog = store.xreadgroup(GROUP, CONSUMER, {"readings": "0"}, count=10_000)
    take(store, backlog[0][1] if backlog else [], recent)
    told = 0.0
    while True:
        batch = store.xreadgroup(GROUP, CONSUMER, {"readings": ">"}, count=500, block=500)
        take(store, batch[0][1] if batch else [], recent)
        now = time.time()
        if now - told < 0.5:
            continue
        told = now
        window = windows(recent, now)
        if window:
            counts = {name: int(count) for name, count in store.hgetall("counts").items()}
            window |= {"at": now, "processed": sum(counts.values()), "last": store.hgetall("last")}
            store.publish("windows", json.dumps(window))
            store.set("processor:beat", now)


if __name__ == "__main__":
    if "--healthy" in sys.argv:
        sys.exit(0 if healthy() else 1)
    main()
