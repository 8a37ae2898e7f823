"""Transactions of librdkafka, kafka-python and aiokafka: all of one is seen, or nothing."""
import asyncio
import sys
from aiokafka import AIOKafkaProducer
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Producer, TopicPartition
from kafka import KafkaProducer

servers = sys.argv[1]


def values(topic, isolation):
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "reader", "isolation.level": isolation,
                         "enable.auto.commit": False, "enable.partition.eof": True})
    consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    got = []
    while True:
        message = consumer.poll(10)
        assert message, got
        if message.error():
            consumer.close()
            return got
        got.append(message.value().decode())


producer = Producer({"bootstrap.servers": servers, "transactional.id": "one"})
producer.init_transactions(10)
for outcome in ["keep", "drop", "keep"]:
    producer.begin_transaction()
    for number in range(10):
        producer.produce("orders", f"{outcome} {number}", partition=0)
    producer.flush()
    if outcome == "keep":
        producer.commit_transaction(10)
    else:
        producer.abort_transaction(10)
assert values("orders", "read_committed") == [f"keep {number}" for number in range(10)] * 2
assert len(values("orders", "read_uncommitted")) == 30

# what has been read and what was made of it, at once
consumer = Consumer({"bootstrap.servers": servers, "group.id": "etl", "auto.offset.reset": "earliest",
                     "enable.auto.commit": False, "isolation.level": "read_committed"})
consumer.subscribe(["orders"])
messages = []
while len(messages) < 20:
    messages += [message for message in consumer.consume(20, 10) if not message.error()]
producer.begin_transaction()
for message in messages:
    producer.produce("made", b"from " + message.value(), partition=0)
producer.send_offsets_to_transaction(consumer.position(consumer.assignment()),
                                     consumer.consumer_group_metadata(), 10)
producer.commit_transaction(10)
assert len(values("made", "read_committed")) == 20
(committed,) = consumer.committed([TopicPartition("orders", 0)], 10)
assert committed.offset >= 30, committed
consumer.close()

# a second producer of the same name fences the first
second = Producer({"bootstrap.servers": servers, "transactional.id": "one"})
second.init_transactions(10)
try:
    producer.begin_transaction()
    producer.produce("orders", "fenced", partition=0)
    producer.commit_transaction(10)
except KafkaException as error:
    assert error.args[0].fatal(), error
else:
    raise AssertionError("not fenced")
assert len(values("orders", "read_committed")) == 20

other = KafkaProducer(bootstrap_servers=servers, transactional_id="two")
other.init_transactions()
for keep in [True, False]:
    other.begin_transaction()
    for number in range(5):
        other.send("python", f"{keep} {number}".encode(), partition=0)
    other.commit_transaction() if keep else other.abort_transaction()
assert values("python", "read_committed") == [f"True {number}" for number in range(5)]


async def asynchronous():
    producer = AIOKafkaProducer(bootstrap_servers=servers, transactional_id="three")
    await producer.start()
    async with producer.transaction():
        await producer.send_and_wait("async", b"kept", partition=0)
    await producer.begin_transaction()
    await producer.send_and_wait("async", b"dropped", partition=0)
    await producer.abort_transaction()
    await producer.stop()
    assert values("async", "read_committed") == ["kept"]


asyncio.run(asynchronous())
