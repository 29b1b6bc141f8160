// The AWS SDK for Go v2 against the emulator. Settings come from the environment, as for any program.
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
)

func main() {
	patience := time.Duration(number("PATIENCE_SECONDS")) * time.Second
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	settings, err := config.LoadDefaultConfig(ctx)
	must(err)
	client := kinesis.NewFromConfig(settings)
	runReading(ctx, client, "reading")
	runGenerations(ctx, client, "generations")
	runRefusals(ctx, client, settings, "refusals")
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
