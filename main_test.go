package main

import (
	"context"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

var update = flag.Bool("update", false, "write what the commands print into the scripts")

// TestMain lets the scripts run this program as "hellolab".
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"hellolab": func() { os.Exit(run(context.Background(), os.Args, os.Stdout, os.Stderr)) },
	})
}

// TestScripts runs the command lines in testdata/script: no Docker Engine is at hand there.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		UpdateScripts:       *update,
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"fails": fails},
		Setup: func(env *testscript.Env) error {
			env.Setenv("DOCKER_HOST", "unix://"+filepath.ToSlash(env.WorkDir)+"/no.sock")
			env.Setenv("LANG", "C")
			env.Setenv("HOME", env.WorkDir)
			return nil
		},
	})
}

// fails STATUS COMMAND...: runs a command that has to end with that exit status.
func fails(ts *testscript.TestScript, negated bool, args []string) {
	if negated || len(args) < 2 {
		ts.Fatalf("usage: fails STATUS COMMAND...")
	}
	err := ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || strconv.Itoa(exit.ExitCode()) != args[0] {
		ts.Fatalf("ended with %v, not with exit status %s", err, args[0])
	}
}
