"""Every admin request of librdkafka that the broker serves."""
import sys
from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition, TopicCollection
from confluent_kafka.admin import (AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewPartitions,
                                   NewTopic, OffsetSpec)

servers = sys.argv[1]
admin = AdminClient({"bootstrap.servers": servers})


def refused(future, code):
    try:
        future.result()
    except KafkaException as error:
        assert error.args[0].code() == code, error
    else:
        raise AssertionError("not refused")


made = admin.create_topics([
    NewTopic("orders", 3, 3, config={"retention.ms": "1000", "cleanup.policy": "compact,delete"}),
    NewTopic("strange", 1, 1, config={"no.such": "1"}),
    NewTopic("a/b", 1, 1),
    NewTopic("none", 0, 1),
])
made["orders"].result()
refused(made["strange"], KafkaError.INVALID_CONFIG)
refused(made["a/b"], KafkaError.TOPIC_EXCEPTION)
refused(made["none"], KafkaError.INVALID_PARTITIONS)
refused(admin.create_topics([NewTopic("orders", 1, 1)])["orders"], KafkaError.TOPIC_ALREADY_EXISTS)
admin.create_topics([NewTopic("dry", 1, 1)], validate_only=True)["dry"].result()
assert "dry" not in admin.list_topics().topics

resource = ConfigResource("TOPIC", "orders")
configs = admin.describe_configs([resource])[resource].result()
assert configs["retention.ms"].value == "1000" and configs["retention.ms"].source == 1
assert configs["segment.ms"].value == "604800000" and configs["segment.ms"].is_default
change = ConfigResource("TOPIC", "orders", incremental_configs=[
    ConfigEntry("retention.ms", "5000", incremental_operation=AlterConfigOpType.SET),
    ConfigEntry("cleanup.policy", "compact", incremental_operation=AlterConfigOpType.SUBTRACT),
])
admin.incremental_alter_configs([change])[change].result()
configs = admin.describe_configs([resource])[resource].result()
assert configs["retention.ms"].value == "5000" and configs["cleanup.policy"].value == "delete"
broker = ConfigResource("BROKER", "1")
assert admin.describe_configs([broker])[broker].result()["default.replication.factor"].value == "1"

admin.create_partitions([NewPartitions("orders", 5)])["orders"].result()
refused(admin.create_partitions([NewPartitions("orders", 2)])["orders"], KafkaError.INVALID_PARTITIONS)
described = admin.describe_topics(TopicCollection(["orders"]))["orders"].result()
assert len(described.partitions) == 5 and len(described.partitions[0].replicas) == 1
cluster = admin.describe_cluster().result()
assert [f"{node.host}:{node.port}" for node in cluster.nodes] == [servers]

producer = Producer({"bootstrap.servers": servers})
for number in range(10):
    producer.produce("orders", str(number), partition=0, timestamp=1000 * (number + 1))
producer.flush()
first = TopicPartition("orders", 0)
ends = {"latest": OffsetSpec.latest(), "earliest": OffsetSpec.earliest(),
        "greatest": OffsetSpec.max_timestamp(), "at": OffsetSpec.for_timestamp(3500)}
found = {name: admin.list_offsets({first: spec})[first].result().offset for name, spec in ends.items()}
assert found == {"latest": 10, "earliest": 0, "greatest": 9, "at": 3}, found
start = TopicPartition("orders", 0, 4)
(deleted,) = admin.delete_records([start]).values()
assert deleted.result().low_watermark == 4
assert admin.list_offsets({first: OffsetSpec.earliest()})[first].result().offset == 4

admin.delete_topics(["orders"])["orders"].result()
refused(admin.delete_topics(["orders"])["orders"], KafkaError.UNKNOWN_TOPIC_OR_PART)
