// The tables under many clients at once, by the AWS SDK for Go v2: no increment is lost, and a recorded
// history of conditional writes is linearizable. Settings come from the environment, as for any program.
package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

const (
	clientCount = 16
	table       = "contended"
	patience    = 5 * time.Minute
)

type item = map[string]types.AttributeValue

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	settings, err := config.LoadDefaultConfig(ctx)
	must(err)
	// Who repeats a call by himself does not know what he did.
	settings.Retryer = func() aws.Retryer { return aws.NopRetryer{} }
	var clients []*dynamodb.Client
	for range clientCount {
		// A transport of its own is a connection of its own.
		settings.HTTPClient = &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1}}
		clients = append(clients, dynamodb.NewFromConfig(settings))
	}
	createTable(ctx, clients[0])
	countByCondition(ctx, clients)
	countByAdding(ctx, clients)
	runHistory(ctx, clients)
}

func createTable(ctx context.Context, client *dynamodb.Client) {
	_, err := client.CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName: aws.String(table),
		AttributeDefinitions: []types.AttributeDefinition{
			{AttributeName: aws.String("k"), AttributeType: types.ScalarAttributeTypeS}},
		KeySchema:   []types.KeySchemaElement{{AttributeName: aws.String("k"), KeyType: types.KeyTypeHash}},
		BillingMode: types.BillingModePayPerRequest,
	})
	must(err)
	must(dynamodb.NewTableExistsWaiter(client).Wait(ctx,
		&dynamodb.DescribeTableInput{TableName: aws.String(table)}, patience,
		func(options *dynamodb.TableExistsWaiterOptions) { options.MinDelay = 10 * time.Millisecond }))
}

func text(value string) types.AttributeValue {
	return &types.AttributeValueMemberS{Value: value}
}

func number(value int) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.Itoa(value)}
}

// toNumber is zero for an attribute that is not there.
func toNumber(value types.AttributeValue) int {
	if value == nil {
		return 0
	}
	found, err := strconv.Atoi(value.(*types.AttributeValueMemberN).Value)
	must(err)
	return found
}

// isUnmet tells a condition that does not hold from every other failure, and what the row was.
func isUnmet(err error) (row item, unmet bool) {
	var refusal *types.ConditionalCheckFailedException
	if errors.As(err, &refusal) {
		return refusal.Item, true
	}
	return nil, false
}

// check prints one line for each thing that was checked; the first that does not hold ends the program.
func check(what string, holds bool, detail ...any) {
	if !holds {
		panic(fmt.Sprintf("%s: %v", what, detail))
	}
	fmt.Println("ok", what)
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
