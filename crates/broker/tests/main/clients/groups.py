"""Groups of kafka-python, aiokafka and librdkafka: what was committed is not read again, and two members share the work."""
import asyncio
import sys
import threading
from aiokafka import AIOKafkaConsumer
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka import ConsumerGroupTopicPartitions
from confluent_kafka.admin import AdminClient, NewTopic
from kafka import KafkaConsumer, KafkaProducer

servers = sys.argv[1]
admin = AdminClient({"bootstrap.servers": servers})
admin.create_topics([NewTopic("orders", 4, 1)])["orders"].result()
producer = KafkaProducer(bootstrap_servers=servers)
for number in range(400):
    producer.send("orders", str(number).encode(), partition=number % 4)
producer.flush()
want = sorted(str(number).encode() for number in range(400))


def member(group, got, last):
    consumer = KafkaConsumer("orders", bootstrap_servers=servers, group_id=group, auto_offset_reset="earliest")
    while True:
        for records in consumer.poll(timeout_ms=200).values():
            got += [record.value for record in records]
        consumer.commit()
        if last():
            consumer.close()
            return


first, second = [], []
done = lambda: len(first) + len(second) >= 400
threads = [threading.Thread(target=member, args=("shared", got, done)) for got in (first, second)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join(60)
assert sorted(set(first + second)) == want, len(set(first + second))


async def asynchronous():
    consumer = AIOKafkaConsumer("orders", bootstrap_servers=servers, group_id="asynchronous",
                                auto_offset_reset="earliest", enable_auto_commit=False)
    await consumer.start()
    got = []
    while len(got) < 400:
        for records in (await consumer.getmany(timeout_ms=10000)).values():
            got += [record.value for record in records]
    await consumer.commit()
    await consumer.stop()
    assert sorted(got) == want


asyncio.run(asynchronous())

for strategy in ["range", "roundrobin", "cooperative-sticky"]:
    settings = {"bootstrap.servers": servers, "group.id": strategy, "auto.offset.reset": "earliest",
                "enable.auto.commit": False, "partition.assignment.strategy": strategy}
    consumer = Consumer({**settings, "group.instance.id": "one"})
    consumer.subscribe(["orders"])
    got = []
    while len(got) < 400:
        batch = consumer.consume(400, 10)
        assert batch, f"{strategy}: {len(got)} of 400"
        got += [message.value() for message in batch]
    assert sorted(got) == want
    committed = TopicPartition("orders", 2, 100, "whatever the client likes")
    consumer.commit(offsets=[TopicPartition("orders", number, 100) for number in (0, 1, 3)] + [committed],
                    asynchronous=False)
    (described,) = admin.describe_consumer_groups([strategy]).values()
    assert described.result().state.name == "STABLE" and len(described.result().members) == 1
    consumer.close()
    (offsets,) = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(strategy)]).values()
    found = {part.partition: (part.offset, part.metadata) for part in offsets.result().topic_partitions}
    assert found[0][0] == 100 and found[2] == (100, "whatever the client likes"), found

listed = {group.group_id for group in admin.list_consumer_groups().result().valid}
assert {"shared", "asynchronous", "range", "roundrobin", "cooperative-sticky"} <= listed, listed
admin.delete_consumer_groups(["shared"])["shared"].result()
listed = {group.group_id for group in admin.list_consumer_groups().result().valid}
assert "shared" not in listed
