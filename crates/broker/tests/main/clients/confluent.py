"""confluent-kafka (librdkafka): every codec, both ends, times of the broker."""
import sys
import time
from confluent_kafka import OFFSET_BEGINNING, TIMESTAMP_LOG_APPEND_TIME, Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

servers = sys.argv[1]
for codec in ["none", "gzip", "snappy", "lz4", "zstd"]:
    topic = f"with-{codec}"
    producer = Producer({"bootstrap.servers": servers, "compression.type": codec, "enable.idempotence": True})
    failed = []
    for number in range(1000):
        producer.produce(topic, f"value {number}", headers={"header": "x"},
                         on_delivery=lambda error, _: failed.append(error) if error else None)
    assert producer.flush(30) == 0 and not failed, failed
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "unused", "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    got = []
    while len(got) < 1000:
        batch = consumer.consume(1000, 10)
        assert batch, f"{len(got)} of 1000"
        got += [message.value() for message in batch]
    assert got == [f"value {number}".encode() for number in range(1000)]
    assert consumer.get_watermark_offsets(TopicPartition(topic, 0)) == (0, 1000)
    consumer.close()

admin = AdminClient({"bootstrap.servers": servers})
admin.create_topics([NewTopic("late", 1, 1, config={"message.timestamp.type": "LogAppendTime"})])["late"].result()
producer = Producer({"bootstrap.servers": servers, "compression.type": "zstd"})
producer.produce("late", "value", timestamp=1000)
producer.flush()
consumer = Consumer({"bootstrap.servers": servers, "group.id": "unused", "enable.auto.commit": False})
consumer.assign([TopicPartition("late", 0, OFFSET_BEGINNING)])
(message,) = consumer.consume(1, 10)
kind, at = message.timestamp()
assert kind == TIMESTAMP_LOG_APPEND_TIME and abs(at / 1000 - time.time()) < 60
consumer.close()
