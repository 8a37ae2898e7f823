"""The live page: a chart fed by server-sent events, and the last alerts."""

import json
import os

import flask
import redis

app = flask.Flask(__name__, static_folder="static", static_url_path="/static")
pool = redis.ConnectionPool.from_url(os.environ["STORE"], decode_responses=True)


def store() -> redis.Redis:
    return redis.Redis(connection_pool=pool)


@app.get("/")
def page():
    return app.send_static_file("index.html")


@app.get("/health")
def health():
    store().ping()
    return {"status": "ok"}


@app.get("/api/summary")
def summary():
    # one transaction, so that the figures agree with each other
    counts, last, alerts = store().pipeline(transaction=True).hgetall("counts").hgetall("last").lrange("alerts", 0, 9).execute()
    return {
        "processed": sum(int(count) for count in counts.values()),
        "sensors": {name: {"count": int(count), "last": float(last.get(name, 0))} for name, count in counts.items()},
        "alerts": [json.loads(alert) for alert in alerts],
    }


@app.get("/events")
def events():
    def stream():
        channel = store().pubsub(ignore_subscribe_messages=True)
        channel.subscribe("windows")
        try:
            for message in channel.listen():
                yield f"data: {message['data']}\n\n"
        finally:
            channel.close()

    return flask.Response(stream(), mimetype="text/event-stream", headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"})
