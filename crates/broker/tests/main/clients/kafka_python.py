"""kafka-python: a producer on a topic that nobody made, and who reads it."""
import sys
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

servers = sys.argv[1]
for compression in [None, "gzip", "snappy", "lz4", "zstd"]:
    topic = f"with-{compression}"
    producer = KafkaProducer(bootstrap_servers=servers, compression_type=compression)
    sent = [producer.send(topic, f"value {number}".encode(), key=b"key", headers=[("header", b"x")])
            for number in range(100)]
    producer.flush()
    assert [future.get(timeout=10).offset for future in sent] == list(range(100))
    consumer = KafkaConsumer(bootstrap_servers=servers, consumer_timeout_ms=10000)
    partition = TopicPartition(topic, 0)
    consumer.assign([partition])
    consumer.seek_to_beginning()
    got = [next(consumer) for _ in range(100)]
    assert [record.value for record in got] == [f"value {number}".encode() for number in range(100)]
    assert got[0].key == b"key" and got[0].headers == [("header", b"x")]
    assert consumer.end_offsets([partition]) == {partition: 100}
    assert consumer.offsets_for_times({partition: 0})[partition].offset == 0
    consumer.close()
    producer.close()
