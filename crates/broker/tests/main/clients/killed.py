"""An idempotent producer whose broker is killed again and again: everything arrives, once, in order."""
import sys
import time
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

servers = sys.argv[1]
COUNT = 20000
producer = Producer({"bootstrap.servers": servers, "enable.idempotence": True, "linger.ms": 1,
                     "reconnect.backoff.max.ms": 100, "retry.backoff.ms": 20, "log_level": 0})
failed = []
for number in range(COUNT):
    producer.produce("orders", str(number), partition=0,
                     on_delivery=lambda error, _: failed.append(error) if error else None)
    producer.poll(0)
    if number % 100 == 0:
        # long enough for some kills
        time.sleep(0.01)
assert producer.flush(60) == 0 and not failed, failed[:3]
consumer = Consumer({"bootstrap.servers": servers, "group.id": "reader", "enable.auto.commit": False})
consumer.assign([TopicPartition("orders", 0, OFFSET_BEGINNING)])
got = []
while len(got) < COUNT:
    batch = consumer.consume(10000, 20)
    assert batch, f"{len(got)} of {COUNT}"
    got += [int(message.value()) for message in batch if not message.error()]
assert got == list(range(COUNT)), next((at, value) for at, value in enumerate(got) if at != value)
assert not consumer.consume(1, 1)
consumer.close()
print("whole")
