"""aiokafka: idempotent production and consumption."""
import asyncio
import sys
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

servers = sys.argv[1]


async def main():
    producer = AIOKafkaProducer(bootstrap_servers=servers, enable_idempotence=True, compression_type="gzip")
    await producer.start()
    sent = [await producer.send_and_wait("orders", f"value {number}".encode()) for number in range(50)]
    assert [record.offset for record in sent] == list(range(50))
    await producer.stop()
    consumer = AIOKafkaConsumer(bootstrap_servers=servers, auto_offset_reset="earliest")
    await consumer.start()
    consumer.assign([TopicPartition("orders", 0)])
    got = [await asyncio.wait_for(consumer.getone(), 10) for _ in range(50)]
    assert [record.value for record in got] == [f"value {number}".encode() for number in range(50)]
    await consumer.stop()


asyncio.run(main())
