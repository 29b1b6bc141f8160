// The AWS SDK for Go v2 against the emulator. Settings come from the environment, as for any program.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

func main() {
	patience := time.Duration(number("PATIENCE_SECONDS")) * time.Second
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	settings, err := config.LoadDefaultConfig(ctx, config.WithAPIOptions([]func(*middleware.Stack) error{readBodiesPlainly}))
	must(err)
	client := kinesis.NewFromConfig(settings)
	runReading(ctx, client, "reading")
	runGenerations(ctx, client, "generations")
	runRefusals(ctx, client, settings, "refusals")
}

// readBodiesPlainly hides from net/http that a request's body can write itself. smithy-go closes that body as soon
// as the answer begins, and its WriteTo then tells net/http, which looks once more whether there was more of it, of
// io.EOF. To net/http that is a failed write, and it closes the connection while the answer is read ("use of closed
// network connection"). A service in the same machine, which answers before net/http has looked, meets this in about
// one of ten GetRecords of a megabyte; a read that tells of io.EOF does no harm.
func readBodiesPlainly(stack *middleware.Stack) error {
	return stack.Finalize.Add(middleware.FinalizeMiddlewareFunc("ReadBodiesPlainly", func(
		ctx context.Context, input middleware.FinalizeInput, next middleware.FinalizeHandler,
	) (middleware.FinalizeOutput, middleware.Metadata, error) {
		request := input.Request.(*smithyhttp.Request)
		if body, ok := request.GetStream().(io.ReadSeeker); ok {
			plain, err := request.SetStream(struct{ io.ReadSeeker }{body})
			must(err)
			input.Request = plain
		}
		return next.HandleFinalize(ctx, input)
	}), middleware.Before)
}

func number(name string) int {
	value, err := strconv.Atoi(os.Getenv(name))
	must(err)
	return value
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

func isNow(moment time.Time) bool {
	return time.Since(moment).Abs() < time.Duration(number("CLOCK_SLACK_SECONDS"))*time.Second
}
