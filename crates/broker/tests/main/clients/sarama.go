// Sarama: every codec, a group, a transaction, what its admin asks.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/IBM/sarama"
)

const count = 50

func must(err error, what string) {
	if err != nil {
		fmt.Fprintln(os.Stderr, what+":", err)
		os.Exit(1)
	}
}

type reader struct {
	got  int
	done chan struct{}
}

func (*reader) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (*reader) Cleanup(sarama.ConsumerGroupSession) error { return nil }
func (r *reader) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for message := range claim.Messages() {
		session.MarkMessage(message, "whatever the client likes")
		if r.got++; r.got == count {
			session.Commit()
			close(r.done)
		}
	}
	return nil
}

func main() {
	brokers := []string{os.Args[1]}
	config := sarama.NewConfig()
	config.Version = sarama.MaxVersion
	config.Producer.Return.Successes = true
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Producer.Idempotent = true
	config.Net.MaxOpenRequests = 1
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	admin, err := sarama.NewClusterAdmin(brokers, config)
	must(err, "connect")
	must(admin.CreateTopic("orders", &sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: 1}, false), "create")

	for _, codec := range []sarama.CompressionCodec{0, 1, 2, 3, 4} {
		config.Producer.Compression = codec
		producer, err := sarama.NewSyncProducer(brokers, config)
		must(err, "producer")
		for range count / 5 {
			message := &sarama.ProducerMessage{Topic: "orders", Value: sarama.StringEncoder("value")}
			_, _, err = producer.SendMessage(message)
			must(err, "send with "+codec.String())
		}
		must(producer.Close(), "close")
	}

	group, err := sarama.NewConsumerGroup(brokers, "readers", config)
	must(err, "group")
	all := &reader{done: make(chan struct{})}
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	go func() {
		for ctx.Err() == nil {
			must(group.Consume(ctx, []string{"orders"}, all), "consume")
		}
	}()
	select {
	case <-all.done:
	case <-ctx.Done():
		must(ctx.Err(), fmt.Sprintf("%d of %d records", all.got, count))
	}
	cancel()
	must(group.Close(), "leave")
	offsets, err := admin.ListConsumerGroupOffsets("readers", map[string][]int32{"orders": {0}})
	must(err, "offsets")
	if block := offsets.Blocks["orders"][0]; block.Offset != count || block.Metadata != "whatever the client likes" {
		must(fmt.Errorf("%+v", block), "committed")
	}

	config.Producer.Transaction.ID = "one"
	producer, err := sarama.NewSyncProducer(brokers, config)
	must(err, "transactional producer")
	must(producer.BeginTxn(), "begin")
	_, _, err = producer.SendMessage(&sarama.ProducerMessage{Topic: "orders", Value: sarama.StringEncoder("value")})
	must(err, "send in a transaction")
	must(producer.CommitTxn(), "commit")
	must(producer.Close(), "close")
	must(admin.DeleteTopic("orders"), "delete")
}
