// Payloads, positions, and what is refused.
package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// runReading puts four different payloads and reads them from every kind of position.
func runReading(ctx context.Context, client *kinesis.Client, stream string) {
	one := int32(1)
	_, err := client.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: &stream, ShardCount: &one})
	must(err)
	arn := waitUntilActive(ctx, client, stream)
	if strings.HasPrefix(os.Getenv("AWS_ENDPOINT_URL"), "https:") {
		answer, err := client.DescribeLimits(ctx, &kinesis.DescribeLimitsInput{})
		must(err)
		protocol := middleware.GetRawResponse(answer.ResultMetadata).(*smithyhttp.Response).Proto
		check("with TLS it is HTTP/2", protocol == "HTTP/2.0", protocol)
	}
	everyByte := make([]byte, 256)
	for index := range everyByte {
		everyByte[index] = byte(index)
	}
	payloads := [][]byte{[]byte("first"), everyByte, {}, bytes.Repeat([]byte("large"), 200_000)}
	var sequences []*string
	for _, data := range payloads {
		answer, err := client.PutRecord(ctx, &kinesis.PutRecordInput{
			StreamARN: arn, PartitionKey: aws.String("ключ-🔑"), Data: data})
		must(err)
		sequences = append(sequences, answer.SequenceNumber)
		time.Sleep(5 * time.Millisecond) // so that no two arrive in one millisecond
	}

	read := func(input kinesis.GetShardIteratorInput) []types.Record {
		input.StreamARN, input.ShardId = arn, aws.String("shardId-000000000000")
		answer, err := client.GetShardIterator(ctx, &input)
		must(err)
		page, err := client.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: answer.ShardIterator})
		must(err)
		check("who has read all is not behind", *page.MillisBehindLatest == 0, *page.MillisBehindLatest)
		return page.Records
	}
	startsAt := func(records []types.Record, index int) bool {
		return len(records) == len(payloads)-index && *records[0].SequenceNumber == *sequences[index]
	}
	all := read(kinesis.GetShardIteratorInput{ShardIteratorType: types.ShardIteratorTypeTrimHorizon})
	check("TRIM_HORIZON starts at the first record", startsAt(all, 0), len(all))
	for index, record := range all {
		check("a payload and its key come back as they were put",
			bytes.Equal(record.Data, payloads[index]) && *record.PartitionKey == "ключ-🔑", index)
	}
	check("AT_TIMESTAMP starts at the record of that millisecond", startsAt(read(kinesis.GetShardIteratorInput{
		ShardIteratorType: types.ShardIteratorTypeAtTimestamp, Timestamp: all[2].ApproximateArrivalTimestamp}), 2))
	check("AT_SEQUENCE_NUMBER starts at the record", startsAt(read(kinesis.GetShardIteratorInput{
		ShardIteratorType: types.ShardIteratorTypeAtSequenceNumber, StartingSequenceNumber: sequences[1]}), 1))
	check("AFTER_SEQUENCE_NUMBER starts behind it", startsAt(read(kinesis.GetShardIteratorInput{
		ShardIteratorType: types.ShardIteratorTypeAfterSequenceNumber, StartingSequenceNumber: sequences[1]}), 2))
	check("LATEST starts behind all", len(read(kinesis.GetShardIteratorInput{
		ShardIteratorType: types.ShardIteratorTypeLatest})) == 0)
}

// runRefusals looks for the SDK's types behind the service's errors. Moves the clock, so it is last.
func runRefusals(ctx context.Context, client *kinesis.Client, settings aws.Config, stream string) {
	missing := aws.String("missing")
	_, err := client.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: missing})
	check("ResourceNotFoundException", isA[*types.ResourceNotFoundException](err), err)
	one := int32(1)
	_, err = client.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: &stream, ShardCount: &one})
	must(err)
	_, err = client.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: &stream, ShardCount: &one})
	check("ResourceInUseException", isA[*types.ResourceInUseException](err), err)
	waitUntilActive(ctx, client, stream)
	_, err = client.SplitShard(ctx, &kinesis.SplitShardInput{StreamName: &stream,
		ShardToSplit: aws.String("shardId-000000000000"), NewStartingHashKey: aws.String("0")})
	check("InvalidArgumentException", isA[*types.InvalidArgumentException](err), err)
	_, err = client.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: &stream,
		PartitionKey: aws.String(strings.Repeat("k", 257)), Data: []byte("x")})
	check("ValidationException", isA[*types.ValidationException](err), err)

	answer, err := client.GetShardIterator(ctx, &kinesis.GetShardIteratorInput{StreamName: &stream,
		ShardId: aws.String("shardId-000000000000"), ShardIteratorType: types.ShardIteratorTypeLatest})
	must(err)
	advance("301s")
	_, err = client.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: answer.ShardIterator})
	check("ExpiredIteratorException after five minutes", isA[*types.ExpiredIteratorException](err), err)

	if os.Getenv("INTEROP_SIGNED") != "" {
		settings.Credentials = credentials.NewStaticCredentialsProvider(os.Getenv("AWS_ACCESS_KEY_ID"), "wrong", "")
		_, err = kinesis.NewFromConfig(settings).ListStreams(ctx, &kinesis.ListStreamsInput{})
		var refusal smithy.APIError
		check("a wrong secret is refused", errors.As(err, &refusal) &&
			refusal.ErrorCode() == "InvalidSignatureException", err)
		advance("1h")
		_, err = client.ListStreams(ctx, &kinesis.ListStreamsInput{})
		check("the SDK signs again, by the emulator's clock", err == nil, err)
	}
}

// advance moves the emulator's clock.
func advance(by string) {
	output, err := exec.Command(os.Getenv("INTEROP_ADVANCE"), by).CombinedOutput()
	check("the emulator's clock can be moved", err == nil, err, string(output))
}

func isA[Kind error](err error) bool {
	var kind Kind
	return errors.As(err, &kind)
}
