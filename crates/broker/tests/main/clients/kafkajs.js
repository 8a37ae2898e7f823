// kafkajs: a producer with and without transactions, a group, what its admin asks.
const assert = require('node:assert');
const { CompressionTypes, Kafka, logLevel } = require('kafkajs');

async function main(servers) {
  const kafka = new Kafka({ clientId: 'kafkajs', brokers: [servers], logLevel: logLevel.NOTHING });
  const admin = kafka.admin();
  await admin.connect();
  await admin.createTopics({ topics: [{ topic: 'orders', numPartitions: 3 }] });
  const { topics } = await admin.fetchTopicMetadata({ topics: ['orders'] });
  assert.strictEqual(topics[0].partitions.length, 3);

  const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 });
  await producer.connect();
  for (let number = 0; number < 10; number++) {
    const message = { key: `key ${number}`, value: `value ${number}`, headers: { header: 'x' } };
    await producer.send({ topic: 'orders', compression: CompressionTypes.GZIP, messages: [message] });
  }
  await producer.disconnect();

  const consumer = kafka.consumer({ groupId: 'readers' });
  await consumer.connect();
  await consumer.subscribe({ topic: 'orders', fromBeginning: true });
  const got = [];
  await new Promise((resolve) => consumer.run({
    eachMessage: async ({ message }) => {
      got.push(message.value.toString());
      if (got.length === 10) resolve();
    },
  }));
  await consumer.disconnect();
  assert.deepStrictEqual(got.sort(), [...Array(10).keys()].map((number) => `value ${number}`));

  const transactional = kafka.producer({ transactionalId: 'one', maxInFlightRequests: 1, idempotent: true });
  await transactional.connect();
  let transaction = await transactional.transaction();
  await transaction.send({ topic: 'orders', messages: [{ value: 'kept', partition: 0 }] });
  const offsets = { topic: 'orders', partitions: [{ partition: 0, offset: '2' }] };
  await transaction.sendOffsets({ consumerGroupId: 'readers', topics: [offsets] });
  await transaction.commit();
  transaction = await transactional.transaction();
  await transaction.send({ topic: 'orders', messages: [{ value: 'dropped', partition: 0 }] });
  await transaction.abort();
  await transactional.disconnect();

  const [committed] = await admin.fetchOffsets({ groupId: 'readers', topics: ['orders'] });
  assert.strictEqual(committed.partitions.find(({ partition }) => partition === 0).offset, '2');
  assert.strictEqual((await admin.describeGroups(['readers'])).groups[0].state, 'Empty');
  await admin.deleteTopics({ topics: ['orders'] });
  await admin.disconnect();
}

main(process.argv[2]).catch((error) => {
  console.error(error);
  process.exit(1);
});
