"""A log sink for tests: `sink.py gelf|fluentd PORT FILE` writes each message it gets to FILE as one line of JSON."""
import gzip, json, socket, sys, threading, zlib

kind, port, out = sys.argv[1], int(sys.argv[2]), open(sys.argv[3], "a", buffering=1)
lock = threading.Lock()


def note(message):
    with lock:
        out.write(json.dumps(message) + "\n")


def gelf(data):
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    elif data[:1] == b"\x78":
        data = zlib.decompress(data)
    note(json.loads(data))


def datagrams():
    server, pieces = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), {}
    server.bind(("127.0.0.1", port))
    while True:
        data = server.recv(65536)
        if data[:2] != b"\x1e\x0f":
            gelf(data)
            continue
        known = pieces.setdefault(data[2:10], {})
        known[data[10]] = data[12:]
        if len(known) == data[11]:
            gelf(b"".join(known[n] for n in sorted(known)))


def fluentd(client):
    import msgpack
    unpacker = msgpack.Unpacker(raw=False, timestamp=0)
    while data := client.recv(65536):
        unpacker.feed(data)
        for tag, time, record, option in unpacker:
            if isinstance(time, msgpack.ExtType):
                time = [int.from_bytes(time.data[:4], "big"), int.from_bytes(time.data[4:], "big")]
            note({"tag": tag, "time": time, "record": record})
            if "chunk" in option:
                client.sendall(msgpack.packb({"ack": option["chunk"]}))


def zeros(client):
    rest = b""
    while data := client.recv(65536):
        *whole, rest = (rest + data).split(b"\0")
        for message in whole:
            gelf(message)


server = socket.create_server(("127.0.0.1", port))
if kind == "gelf":
    threading.Thread(target=datagrams, daemon=True).start()
while True:
    client, _ = server.accept()
    threading.Thread(target=fluentd if kind == "fluentd" else zeros, args=(client,), daemon=True).start()
