// A history of conditional writes and reads of a few rows, and whether it is linearizable.
//
// It is cut into epochs, each with rows of its own, so that the search stays short. In every epoch some
// answers are lost after the call was carried out: such a call may have taken effect at any time from
// then on, so in the history it is open to the end.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
)

const (
	epochs = 40
	pairs  = 2
	// Of one client in one epoch.
	writes = 160
	// Every so many writes one answer is lost.
	lostEvery     = 150
	searchSeconds = 60
	never         = 1 << 62
)

// tally counts what the clients were told.
type tally struct {
	applied, refused, unknown, reads, transactions atomic.Int64
}

// recorder collects the history of one pair of rows.
type recorder struct {
	sync.Mutex
	operations []porcupine.Operation
}

func (r *recorder) note(client int, in input, out output, from, to int64) {
	r.Lock()
	defer r.Unlock()
	r.operations = append(r.operations,
		porcupine.Operation{ClientId: client, Input: in, Output: out, Call: from, Return: to})
}

// caller is one client in one epoch.
type caller struct {
	number  int
	client  *dynamodb.Client
	random  *rand.Rand
	keys    [pairs][2]string
	seen    [pairs]pair
	history *[pairs]recorder
	tally   *tally
	start   time.Time
	next    *atomic.Int64
}

func runHistory(ctx context.Context, clients []*dynamodb.Client) {
	started := time.Now()
	fault := injectLoss()
	var total tally
	var next atomic.Int64
	histories := make([][pairs]recorder, epochs)
	for epoch := range histories {
		keys := [pairs][2]string{}
		for place := range keys {
			for side := range keys[place] {
				keys[place][side] = fmt.Sprintf("epoch-%d-row-%d-%d", epoch, place, side)
			}
		}
		atOnce(clients, func(number int, client *dynamodb.Client) {
			one := caller{number: number, client: client, keys: keys, history: &histories[epoch],
				random: rand.New(rand.NewPCG(uint64(epoch), uint64(number))),
				tally:  &total, start: started, next: &next}
			one.run(ctx)
		})
	}
	struck := endLoss(fault)
	took := time.Since(started)
	conditional := total.applied.Load() + total.refused.Load() + total.unknown.Load()
	check(fmt.Sprintf("%d clients made %d conditional writes in %.1f s, %d of them transactions: %d applied, %d refused, %d whose answer was lost; and %d reads",
		clientCount, conditional, took.Seconds(), total.transactions.Load(), total.applied.Load(), total.refused.Load(), total.unknown.Load(), total.reads.Load()),
		total.transactions.Load() > 1000 && conditional >= 100_000 && total.applied.Load() > conditional/10 && total.refused.Load() > conditional/10, conditional)
	check("every lost answer was an answer that the emulator had lost",
		struck == total.unknown.Load() && struck > 0, struck, total.unknown.Load())
	verify(histories)
}

func verify(histories [][pairs]recorder) {
	started := time.Now()
	operations, overlapping := 0, 0
	for epoch := range histories {
		for place := range histories[epoch] {
			history := histories[epoch][place].operations
			operations += len(history)
			overlapping += countOverlapping(history)
			result := porcupine.CheckOperationsTimeout(model, history, searchSeconds*time.Second)
			if result != porcupine.Ok {
				panic(fmt.Sprintf("the history of the rows %d of epoch %d is %s", place, epoch, result))
			}
		}
	}
	check(fmt.Sprintf("a history of %d operations, %d of them at the same time as another, is linearizable; found in %.1f s",
		operations, overlapping, time.Since(started).Seconds()), overlapping > operations/2, overlapping)
	// Every answer that was lost doubles what a search in vain has to try.
	fewest := 0
	for epoch := range histories {
		if countOpen(histories[epoch][0].operations) < countOpen(histories[fewest][0].operations) {
			fewest = epoch
		}
	}
	tamper(histories[fewest][0].operations)
}

// tamper changes one answer, early in the history, to one that a linearizable service never gives; the
// search must notice.
func tamper(history []porcupine.Operation) {
	forge := func(what string, index int, change func(*output)) {
		forged := append([]porcupine.Operation{}, history...)
		out := forged[index].Output.(output)
		change(&out)
		forged[index].Output = out
		result := porcupine.CheckOperationsTimeout(model, forged, searchSeconds*time.Second)
		check("a history with "+what+" is not linearizable", result == porcupine.Illegal, result)
	}
	stale, late := staleRead(history)
	forge("a stale read", late, func(out *output) { out.row = stale })
	forge("a lost update", lostUpdate(history), func(out *output) { out.isMet = true })
	touched := slices.IndexFunc(history, func(operation porcupine.Operation) bool {
		out := operation.Output.(output)
		return operation.Input.(input).kind == touch && out.isMet && !out.isUnknown
	})
	forge("a count that skips one", touched, func(out *output) { out.row.count++ })
}

// staleRead finds a row and a read that began when somebody had seen that the row was another since.
func staleRead(history []porcupine.Operation) (stale row, late int) {
	var first, second *porcupine.Operation
	for index := range history {
		operation := &history[index]
		in, out := operation.Input.(input), operation.Output.(output)
		if out.isUnknown || in.place != 0 || in.kind == transact || in.kind == remove {
			continue
		}
		switch {
		case first == nil:
			if in.kind == update && out.isMet {
				first, stale = operation, out.row
			}
		case second == nil:
			if operation.Call > first.Return && out.row != stale {
				second = operation
			}
		case in.kind == get && operation.Call > second.Return:
			return stale, index
		}
	}
	panic("no read came later")
}

// lostUpdate finds an update that was refused because another had been there before: its expected value
// was gone for good when it was sent. To tell its client that it was applied is to lose one of the two.
func lostUpdate(history []porcupine.Operation) int {
	type version struct{ place, value int }
	gone := map[version]int64{}
	for index, operation := range history {
		in, out := operation.Input.(input), operation.Output.(output)
		expected := version{in.place, in.expected[in.place]}
		switch {
		case out.isUnknown || in.kind != update && in.kind != replace && in.kind != remove:
		case out.isMet:
			gone[expected] = operation.Return
		case in.kind == update && out.row.exists:
			if since, isGone := gone[expected]; isGone && since < operation.Call {
				return index
			}
		}
	}
	panic("no update came too late")
}

func countOpen(history []porcupine.Operation) (count int) {
	for _, operation := range history {
		if operation.Return == never {
			count++
		}
	}
	return count
}

// countOverlapping counts the operations that began before the last one before them had returned, not
// counting those that never did.
func countOverlapping(history []porcupine.Operation) (count int) {
	var last int64
	for _, operation := range history {
		if operation.Return == never {
			continue
		}
		if operation.Call < last {
			count++
		}
		last = operation.Return
	}
	return count
}

func (c *caller) run(ctx context.Context) {
	for done := 0; done < writes; {
		where := c.random.IntN(pairs)
		in := c.choose(where)
		from := time.Since(c.start).Nanoseconds()
		out, err := c.send(ctx, where, in)
		to := time.Since(c.start).Nanoseconds()
		switch {
		case err != nil:
			// Open to the end of the history.
			out, to = output{isUnknown: true}, never
			c.tally.unknown.Add(1)
		case in.kind == get:
			c.tally.reads.Add(1)
		case out.isMet:
			c.tally.applied.Add(1)
		default:
			c.tally.refused.Add(1)
		}
		if in.kind != get {
			done++
		}
		c.history[where].note(c.number, in, out, from, to)
		c.learn(where, in, out)
	}
}

// choose takes what the client saw last for what it expects.
func (c *caller) choose(where int) input {
	in := input{place: c.random.IntN(2), value: int(c.next.Add(2))}
	for place, seen := range c.seen[where] {
		in.expected[place] = seen.value
	}
	if !c.seen[where][in.place].exists {
		in.kind = create
		if c.random.IntN(4) == 0 {
			in.kind = touch
		}
		return in
	}
	choices := []kind{get, get, create, replace, replace, update, update, update, update, update, touch, touch, remove}
	if c.seen[where][1-in.place].exists {
		choices = append(choices, transact, transact, transact)
	}
	in.kind = choices[c.random.IntN(len(choices))]
	return in
}

func (c *caller) learn(where int, in input, out output) {
	if out.isUnknown {
		return
	}
	if in.kind == transact {
		for place := range c.seen[where] {
			if out.isMet {
				c.seen[where][place].value = in.value + place
			}
		}
		return
	}
	if in.kind == remove && out.isMet {
		out.row = row{}
	}
	c.seen[where][in.place] = out.row
}

// send makes the call, and returns an error if its outcome is unknown.
func (c *caller) send(ctx context.Context, where int, in input) (output, error) {
	name, key := aws.String(table), item{"k": text(c.keys[where][in.place])}
	whole := item{"k": key["k"], "v": number(in.value)}
	expected := item{":old": number(in.expected[in.place])}
	const onFailure = types.ReturnValuesOnConditionCheckFailureAllOld
	var told item
	var err error
	switch in.kind {
	case get:
		var answer *dynamodb.GetItemOutput
		answer, err = c.client.GetItem(ctx, &dynamodb.GetItemInput{
			TableName: name, Key: key, ConsistentRead: aws.Bool(true)})
		if err == nil {
			told = answer.Item
		}
	case create:
		_, err = c.client.PutItem(ctx, &dynamodb.PutItemInput{TableName: name, Item: whole,
			ConditionExpression:                 aws.String("attribute_not_exists(k)"),
			ReturnValuesOnConditionCheckFailure: onFailure})
		told = whole
	case replace:
		_, err = c.client.PutItem(ctx, &dynamodb.PutItemInput{TableName: name, Item: whole,
			ConditionExpression: aws.String("v = :old"), ExpressionAttributeValues: expected,
			ReturnValuesOnConditionCheckFailure: onFailure})
		told = whole
	case update, touch:
		change, condition := "SET v = :new", "v = :old"
		values := item{":new": number(in.value), ":old": expected[":old"]}
		if in.kind == touch {
			change, condition = "SET v = :new ADD c :one", "attribute_exists(k)"
			values = item{":new": number(in.value), ":one": number(1)}
		}
		var answer *dynamodb.UpdateItemOutput
		answer, err = c.client.UpdateItem(ctx, &dynamodb.UpdateItemInput{TableName: name, Key: key,
			UpdateExpression: &change, ConditionExpression: &condition, ExpressionAttributeValues: values,
			ReturnValues: types.ReturnValueAllNew, ReturnValuesOnConditionCheckFailure: onFailure})
		if err == nil {
			told = answer.Attributes
		}
	case remove:
		var answer *dynamodb.DeleteItemOutput
		answer, err = c.client.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: name, Key: key,
			ConditionExpression: aws.String("v = :old"), ExpressionAttributeValues: expected,
			ReturnValues: types.ReturnValueAllOld, ReturnValuesOnConditionCheckFailure: onFailure})
		if err == nil {
			told = answer.Attributes
		}
	case transact:
		return c.transact(ctx, where, in)
	}
	if found, unmet := isUnmet(err); unmet {
		return output{row: toRow(found)}, nil
	}
	var refusal smithy.APIError
	if errors.As(err, &refusal) {
		panic(err)
	}
	return output{isMet: true, row: toRow(told)}, err
}

// transact changes both rows, or none.
func (c *caller) transact(ctx context.Context, where int, in input) (output, error) {
	var writes []types.TransactWriteItem
	for place, key := range c.keys[where] {
		writes = append(writes, types.TransactWriteItem{Update: &types.Update{
			TableName: aws.String(table), Key: item{"k": text(key)},
			UpdateExpression: aws.String("SET v = :new"), ConditionExpression: aws.String("v = :old"),
			ExpressionAttributeValues: item{":new": number(in.value + place), ":old": number(in.expected[place])}}})
	}
	c.tally.transactions.Add(1)
	_, err := c.client.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: writes})
	var cancelled *types.TransactionCanceledException
	if errors.As(err, &cancelled) {
		if !isForConditions(cancelled.CancellationReasons) {
			panic(err)
		}
		return output{}, nil
	}
	var refusal smithy.APIError
	if errors.As(err, &refusal) {
		panic(err)
	}
	return output{isMet: true}, err
}

// isForConditions says whether a transaction was cancelled because a condition does not hold, and for
// nothing else.
func isForConditions(reasons []types.CancellationReason) bool {
	isUnmet := false
	for _, reason := range reasons {
		switch aws.ToString(reason.Code) {
		case "ConditionalCheckFailed":
			isUnmet = true
		case "None":
		default:
			return false
		}
	}
	return isUnmet
}

func toRow(found item) row {
	return row{exists: found["k"] != nil, value: toNumber(found["v"]), count: toNumber(found["c"])}
}

// injectLoss has the emulator lose answers of writes; it returns the fault's path.
func injectLoss() string {
	var fault struct {
		Id int `json:"id"`
	}
	control("POST", "/_emulator/faults", map[string]any{
		"action": "emulator:connection-reset-after-apply", "service": "dynamodb",
		"operations": "PutItem,UpdateItem,DeleteItem,TransactWriteItems", "every": lostEvery}, &fault)
	return fmt.Sprint("/_emulator/faults/", fault.Id)
}

// endLoss says how many answers were lost.
func endLoss(fault string) int64 {
	var state struct {
		Struck int64 `json:"struck"`
	}
	control("GET", fault, nil, &state)
	control("DELETE", fault, nil, nil)
	return state.Struck
}

func control(method, path string, body, answer any) {
	encoded, err := json.Marshal(body)
	must(err)
	request, err := http.NewRequest(method, os.Getenv("AWS_ENDPOINT_URL")+path, bytes.NewReader(encoded))
	must(err)
	request.Header.Set("Content-Type", "application/json")
	reply, err := http.DefaultClient.Do(request)
	must(err)
	defer reply.Body.Close()
	told, err := io.ReadAll(reply.Body)
	must(err)
	if reply.StatusCode/100 != 2 {
		panic(fmt.Sprint(method, " ", path, ": ", reply.Status, " ", string(told)))
	}
	if answer != nil {
		must(json.Unmarshal(told, answer))
	}
}
