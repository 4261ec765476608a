package main

import (
	"encoding/json"
	"os"
	"testing"
)

// TestTraceFile holds that a trace takes no other file's place, that nothing is done then, and that there is one where the work has failed.
func TestTraceFile(t *testing.T) {
	m := newMachine(t)
	m.check(os.WriteFile("mine", []byte("mine"), 0o600))
	m.must(2, []string{"up", "--trace", "mine"}, "mine is there already")
	if content, err := os.ReadFile("mine"); string(content) != "mine" {
		t.Errorf("the file has %q, %v", content, err)
	}
	m.must(2, []string{"up", "--trace", "missing/trace"}, "the file for the trace cannot be written")
	if calls := m.engine.Calls(); len(calls) > 0 {
		t.Errorf("the engine is asked: %v", calls)
	}
	for range 2 { // the same command, run again
		m.must(1, []string{"start", "--trace", "trace.json"}, "there is no lab")
	}
	content, err := os.ReadFile("trace.json")
	m.check(err)
	var trace struct{ TraceEvents []any }
	if err := json.Unmarshal(content, &trace); err != nil || trace.TraceEvents == nil {
		t.Errorf("the trace is %s, %v", content, err)
	}
}

// TestPortFlag holds that what is no port is refused as such, before anything is done.
func TestPortFlag(t *testing.T) {
	m := newMachine(t)
	for _, args := range [][]string{{"dashboard", "--port", "99999"}, {"dashboard", "--port=0"}, {"bundle", "serve", "lab.bundle", "--port", "-1"}} {
		m.must(2, args, "a port is a number from 1 to 65535", "next: leave --port out")
	}
}
