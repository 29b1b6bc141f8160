// Producers, reshards and readers at the same time; then every record must have been read once.
//
// Producers write numbered records to their own keys while the stream is split, merged and resized.
// Two readers start before them, one by GetRecords and one by SubscribeToShard, and follow the
// shards: a child is read when all its parents have been read to their ends.
package main

import (
	"context"
	"fmt"
	"math/big"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

// The partition key of the last record of each open shard.
const end = "end"

type place struct{ shard, sequence string }

// ledger is what the producers were told about each record, and whether they are to go on.
type ledger struct {
	sync.Mutex
	placed map[place]string // "key/number"
	counts map[string]int
	isDone bool
}

func (l *ledger) note(key string, shard, sequence *string) {
	l.Lock()
	defer l.Unlock()
	where := place{*shard, *sequence}
	if other, isTaken := l.placed[where]; isTaken {
		panic(fmt.Sprint("two records at ", where, ": ", other, ", ", key))
	}
	l.placed[where] = fmt.Sprintf("%s/%d", key, l.counts[key])
	l.counts[key]++
}

func (l *ledger) size() int {
	l.Lock()
	defer l.Unlock()
	return len(l.placed)
}

func (l *ledger) finish() {
	l.Lock()
	defer l.Unlock()
	l.isDone = true
}

func (l *ledger) goesOn() bool {
	l.Lock()
	defer l.Unlock()
	return !l.isDone
}

func (l *ledger) next(key string) []byte {
	l.Lock()
	defer l.Unlock()
	return fmt.Appendf(nil, "%s/%d", key, l.counts[key])
}

func (l *ledger) waitForAGeneration() {
	wanted := l.size() + number("RECORDS_PER_GENERATION")
	for l.size() < wanted {
		time.Sleep(time.Millisecond)
	}
}

// produce writes rounds of one record for each key; the first producer sends each by itself.
func produce(ctx context.Context, client *kinesis.Client, stream string, l *ledger, producer int) {
	for l.goesOn() {
		var batch []types.PutRecordsRequestEntry
		for index := range number("KEYS_PER_PRODUCER") {
			key := fmt.Sprintf("producer-%d-key-%d", producer, index)
			batch = append(batch, types.PutRecordsRequestEntry{PartitionKey: &key, Data: l.next(key)})
		}
		if producer == 0 {
			for _, record := range batch {
				answer, err := client.PutRecord(ctx, &kinesis.PutRecordInput{
					StreamName: &stream, PartitionKey: record.PartitionKey, Data: record.Data})
				must(err)
				l.note(*record.PartitionKey, answer.ShardId, answer.SequenceNumber)
			}
			continue
		}
		answer, err := client.PutRecords(ctx, &kinesis.PutRecordsInput{StreamName: &stream, Records: batch})
		must(err)
		for index, placed := range answer.Records {
			l.note(*batch[index].PartitionKey, placed.ShardId, placed.SequenceNumber)
		}
	}
}

func openShards(ctx context.Context, client *kinesis.Client, stream string) (ids []string, shards []types.Shard) {
	filter := &types.ShardFilter{Type: types.ShardFilterTypeAtLatest}
	answer, err := client.ListShards(ctx, &kinesis.ListShardsInput{StreamName: &stream, ShardFilter: filter})
	must(err)
	for _, shard := range answer.Shards {
		ids = append(ids, *shard.ShardId)
	}
	return ids, answer.Shards
}

// waitUntilActive returns the stream's ARN.
func waitUntilActive(ctx context.Context, client *kinesis.Client, stream string) *string {
	for {
		answer, err := client.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: &stream})
		must(err)
		if answer.StreamDescriptionSummary.StreamStatus == types.StreamStatusActive {
			return answer.StreamDescriptionSummary.StreamARN
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// reshard splits, merges and resizes, with records before, between and after.
func reshard(ctx context.Context, client *kinesis.Client, stream string, l *ledger) {
	var names [5]string
	for index := range names {
		names[index] = fmt.Sprintf("shardId-%012d", index)
	}
	ids, shards := openShards(ctx, client, stream)
	check("the stream starts with its shards", slices.Equal(ids, names[:2]), ids)
	last, _ := new(big.Int).SetString(*shards[0].HashKeyRange.EndingHashKey, 10)
	middle := last.Add(last, big.NewInt(1)).Rsh(last, 1).String()

	l.waitForAGeneration()
	_, err := client.SplitShard(ctx, &kinesis.SplitShardInput{
		StreamName: &stream, ShardToSplit: &names[0], NewStartingHashKey: &middle})
	must(err)
	waitUntilActive(ctx, client, stream)
	ids, _ = openShards(ctx, client, stream)
	check("a split leaves two children", slices.Equal(ids, names[1:4]), ids)

	l.waitForAGeneration()
	_, err = client.MergeShards(ctx, &kinesis.MergeShardsInput{
		StreamName: &stream, ShardToMerge: &names[3], AdjacentShardToMerge: &names[1]})
	must(err)
	waitUntilActive(ctx, client, stream)
	ids, shards = openShards(ctx, client, stream)
	check("a merge leaves one child", slices.Equal(ids, []string{names[2], names[4]}), ids)
	merged := shards[1]
	check("a merged shard names both parents", aws.ToString(merged.ParentShardId) == names[3] &&
		aws.ToString(merged.AdjacentParentShardId) == names[1], merged)

	l.waitForAGeneration()
	count := int32(number("SHARDS_AT_END"))
	_, err = client.UpdateShardCount(ctx, &kinesis.UpdateShardCountInput{
		StreamName: &stream, TargetShardCount: &count, ScalingType: types.ScalingTypeUniformScaling})
	must(err)
	waitUntilActive(ctx, client, stream)
	ids, _ = openShards(ctx, client, stream)
	check("UpdateShardCount leaves the wanted number", len(ids) == int(count), ids)
	l.waitForAGeneration()
}

type delivered struct {
	shard  string
	record types.Record
}

// A reader passes on the records of a shard, and returns the children at the end of a closed one.
type reader func(shard string, see func(types.Record)) []types.ChildShard

// follow reads all shards from the roots on.
func follow(roots []string, read reader) []delivered {
	type ending struct {
		shard    string
		children []types.ChildShard
	}
	var lock sync.Mutex
	var seen []delivered
	endings, finished, reading := make(chan ending), map[string]bool{}, 0
	start := func(shard string) {
		reading++
		go func() {
			endings <- ending{shard, read(shard, func(record types.Record) {
				lock.Lock()
				defer lock.Unlock()
				seen = append(seen, delivered{shard, record})
			})}
		}()
	}
	for _, shard := range roots {
		start(shard)
	}
	for ; reading > 0; reading-- {
		ended := <-endings
		finished[ended.shard] = true
		for _, child := range ended.children {
			isReady := !slices.ContainsFunc(child.ParentShards, func(parent string) bool { return !finished[parent] })
			if isReady {
				start(*child.ShardId)
			}
		}
	}
	return seen
}

func byGetRecords(ctx context.Context, client *kinesis.Client, stream string) reader {
	return func(shard string, see func(types.Record)) []types.ChildShard {
		answer, err := client.GetShardIterator(ctx, &kinesis.GetShardIteratorInput{
			StreamName: &stream, ShardId: &shard, ShardIteratorType: types.ShardIteratorTypeTrimHorizon})
		must(err)
		limit := int32(50)
		for iterator := answer.ShardIterator; ; {
			page, err := client.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: iterator, Limit: &limit})
			must(err)
			for _, record := range page.Records {
				if *record.PartitionKey == end {
					return nil
				}
				see(record)
			}
			if (page.NextShardIterator == nil) != (len(page.ChildShards) > 0) {
				panic(fmt.Sprint("either an iterator or children: ", page))
			}
			if iterator = page.NextShardIterator; iterator == nil {
				return page.ChildShards
			}
			if len(page.Records) == 0 {
				time.Sleep(20 * time.Millisecond)
			}
		}
	}
}

func bySubscription(ctx context.Context, client *kinesis.Client, consumer *string) reader {
	return func(shard string, see func(types.Record)) []types.ChildShard {
		answer, err := client.SubscribeToShard(ctx, &kinesis.SubscribeToShardInput{
			ConsumerARN: consumer, ShardId: &shard,
			StartingPosition: &types.StartingPosition{Type: types.ShardIteratorTypeTrimHorizon}})
		must(err)
		events := answer.GetStream()
		defer events.Close()
		for event := range events.Events() {
			pushed := event.(*types.SubscribeToShardEventStreamMemberSubscribeToShardEvent).Value
			for _, record := range pushed.Records {
				if *record.PartitionKey == end {
					return nil
				}
				see(record)
			}
			if (pushed.ContinuationSequenceNumber == nil) != (len(pushed.ChildShards) > 0) {
				panic(fmt.Sprint("either a continuation or children: ", pushed))
			}
			if len(pushed.ChildShards) > 0 {
				return pushed.ChildShards
			}
		}
		panic(fmt.Sprint("the subscription to ", shard, " ended without children: ", events.Err()))
	}
}

// verify: every record once, in the order of its key, as the producers were told, and from just now.
func verify(name string, seen []delivered, l *ledger) {
	counts, places := map[string]int{}, map[place]bool{}
	for _, next := range seen {
		where, key := place{next.shard, *next.record.SequenceNumber}, *next.record.PartitionKey
		wanted := fmt.Sprintf("%s/%d", key, counts[key])
		if data := string(next.record.Data); data != wanted || data != l.placed[where] {
			panic(fmt.Sprintf("%s: %v holds %s after %s/%d", name, where, data, key, counts[key]-1))
		}
		counts[key]++
		places[where] = true
		if !isNow(*next.record.ApproximateArrivalTimestamp) {
			panic(fmt.Sprint(name, ": arrival time ", next.record.ApproximateArrivalTimestamp))
		}
	}
	check(name+" delivers each record once, in the order of its key, where it was put, as of now",
		len(seen) == len(l.placed) && len(places) == len(seen), len(seen), len(places), len(l.placed))
	fmt.Println(name, "delivered", len(seen), "records")
}

func runGenerations(ctx context.Context, client *kinesis.Client, stream string) {
	count := int32(number("SHARDS_AT_START"))
	_, err := client.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: &stream, ShardCount: &count})
	must(err)
	arn := waitUntilActive(ctx, client, stream)
	consumer := register(ctx, client, arn)
	l := &ledger{placed: map[place]string{}, counts: map[string]int{}}
	roots, _ := openShards(ctx, client, stream)
	var polled, pushed []delivered
	var readers, producers sync.WaitGroup
	readers.Go(func() { polled = follow(roots, byGetRecords(ctx, client, stream)) })
	readers.Go(func() { pushed = follow(roots, bySubscription(ctx, client, consumer)) })
	for producer := range number("PRODUCERS") {
		producers.Go(func() { produce(ctx, client, stream, l, producer) })
	}
	reshard(ctx, client, stream, l)
	l.finish()
	producers.Wait()
	_, shards := openShards(ctx, client, stream)
	for _, shard := range shards {
		_, err := client.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: &stream,
			PartitionKey: aws.String(end), ExplicitHashKey: shard.HashKeyRange.StartingHashKey, Data: []byte("end")})
		must(err)
	}
	readers.Wait()
	written := map[string]bool{}
	for where := range l.placed {
		written[where.shard] = true
	}
	check("records were written before, between and after the reshards", len(written) >= 7, written)
	verify("GetRecords", polled, l)
	verify("SubscribeToShard", pushed, l)
}

func register(ctx context.Context, client *kinesis.Client, stream *string) *string {
	answer, err := client.RegisterStreamConsumer(ctx, &kinesis.RegisterStreamConsumerInput{
		StreamARN: stream, ConsumerName: aws.String("reader")})
	must(err)
	check("a consumer is as old as it is", isNow(*answer.Consumer.ConsumerCreationTimestamp), answer.Consumer)
	for {
		consumer, err := client.DescribeStreamConsumer(ctx, &kinesis.DescribeStreamConsumerInput{
			ConsumerARN: answer.Consumer.ConsumerARN})
		must(err)
		if consumer.ConsumerDescription.ConsumerStatus == types.ConsumerStatusActive {
			return answer.Consumer.ConsumerARN
		}
		time.Sleep(10 * time.Millisecond)
	}
}
