// Clients that count in one attribute of one row.
package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

const (
	// Under a condition most attempts come too late, so there are fewer.
	conditionalIncrements = 100
	increments            = 400
)

func atOnce(clients []*dynamodb.Client, do func(number int, client *dynamodb.Client)) {
	var group sync.WaitGroup
	for number, client := range clients {
		group.Go(func() { do(number, client) })
	}
	group.Wait()
}

func readCounter(ctx context.Context, client *dynamodb.Client, key string) int {
	answer, err := client.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: aws.String(table), Key: item{"k": text(key)}, ConsistentRead: aws.Bool(true)})
	must(err)
	return toNumber(answer.Item["n"])
}

// countByCondition writes the next number on condition that the last one still stands.
func countByCondition(ctx context.Context, clients []*dynamodb.Client) {
	_, err := clients[0].PutItem(ctx, &dynamodb.PutItemInput{
		TableName: aws.String(table), Item: item{"k": text("by-condition"), "n": number(0)}})
	must(err)
	var late atomic.Int64
	atOnce(clients, func(_ int, client *dynamodb.Client) {
		seen := 0
		for done := 0; done < conditionalIncrements; {
			_, err := client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
				TableName: aws.String(table), Key: item{"k": text("by-condition")},
				UpdateExpression:                    aws.String("SET n = :new"),
				ConditionExpression:                 aws.String("n = :old"),
				ExpressionAttributeValues:           item{":new": number(seen + 1), ":old": number(seen)},
				ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
			})
			if row, unmet := isUnmet(err); unmet {
				late.Add(1)
				seen = toNumber(row["n"])
				continue
			}
			must(err)
			seen++
			done++
		}
	})
	total := readCounter(ctx, clients[0], "by-condition")
	check(fmt.Sprintf("%d clients count to %d by conditional updates, %d of which came too late",
		clientCount, total, late.Load()), total == clientCount*conditionalIncrements && late.Load() > 0, total, late.Load())
}

// countByAdding adds without a condition; every number must have been seen by one client.
func countByAdding(ctx context.Context, clients []*dynamodb.Client) {
	seen := make([][]int, clientCount)
	atOnce(clients, func(client int, sdk *dynamodb.Client) {
		for range increments {
			answer, err := sdk.UpdateItem(ctx, &dynamodb.UpdateItemInput{
				TableName: aws.String(table), Key: item{"k": text("by-adding")},
				UpdateExpression:          aws.String("ADD n :one"),
				ExpressionAttributeValues: item{":one": number(1)},
				ReturnValues:              types.ReturnValueUpdatedNew,
			})
			must(err)
			seen[client] = append(seen[client], toNumber(answer.Attributes["n"]))
		}
	})
	isRising := !slices.ContainsFunc(seen, func(numbers []int) bool { return !slices.IsSorted(numbers) })
	all := slices.Concat(seen...)
	slices.Sort(all)
	total := readCounter(ctx, clients[0], "by-adding")
	check(fmt.Sprintf("%d clients count to %d by ADD, and each number is returned once", clientCount, total),
		total == clientCount*increments && isRising && len(slices.Compact(all)) == total && all[0] == 1, total, isRising)
}
