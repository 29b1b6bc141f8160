// What a pair of rows may do: the sequential specification against which histories are checked.
package main

import (
	"github.com/anishathalye/porcupine"
)

// row is all there is of an item besides its key. Values are written once each, so that a value says
// which write it comes from.
type row struct {
	exists bool
	value  int
	count  int
}

// Transactions touch two rows, so two make one partition of a history.
type pair [2]row

type kind int

const (
	get kind = iota
	// create puts a row where there is none.
	create
	// replace puts a row in place of the expected one.
	replace
	// update changes the value of the expected row.
	update
	// touch changes the value of whatever row there is, and counts.
	touch
	// remove deletes the expected row.
	remove
	// transact changes the values of both rows, if both are as expected.
	transact
)

type input struct {
	kind kind
	// Which row; of no meaning for a transaction.
	place int
	// The values that the condition asks for.
	expected [2]int
	value    int
}

// output is what a client was told: nothing at all, that the condition does not hold, or that it did.
// Of a row it was told what it is after a write, before a deletion, and as it was found otherwise.
type output struct {
	isUnknown bool
	isMet     bool
	// Of no meaning for a transaction, which says nothing of its rows.
	row row
}

// meets says whether the condition holds, and what the row then is.
func (in input) meets(before row) (after row, holds bool) {
	isExpected := before.exists && before.value == in.expected[in.place]
	switch in.kind {
	case get:
		return before, true
	case create:
		return row{exists: true, value: in.value}, !before.exists
	case replace:
		return row{exists: true, value: in.value}, isExpected
	case update:
		return row{exists: true, value: in.value, count: before.count}, isExpected
	case touch:
		return row{exists: true, value: in.value, count: before.count + 1}, before.exists
	case remove:
		return row{}, isExpected
	}
	panic("a transaction is not about one row")
}

func step(before pair, in input, out output) (bool, pair) {
	if in.kind == transact {
		after := before
		holds := true
		for place := range after {
			holds = holds && before[place].exists && before[place].value == in.expected[place]
			after[place].value = in.value + place
		}
		if !holds {
			after = before
		}
		return out.isUnknown || out.isMet == holds, after
	}
	old := before[in.place]
	new, holds := in.meets(old)
	if !holds {
		new = old
	}
	told := new
	if in.kind == remove {
		told = old
	}
	after := before
	after[in.place] = new
	return out.isUnknown || out.isMet == holds && out.row == told, after
}

var model = porcupine.Model{
	Init: func() any { return pair{} },
	Step: func(state, in, out any) (bool, any) {
		isPossible, after := step(state.(pair), in.(input), out.(output))
		return isPossible, after
	},
}
