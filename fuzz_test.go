package main

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/hellolab/hellolab/messages"
)

// FuzzArguments holds that a command line is arranged or refused with words, and that what is arranged stays as it is.
func FuzzArguments(f *testing.F) {
	for _, seed := range []string{"up", "lab\x00ingress\x00--before", "--name\x00web\x00lab\x00check", "kubectl\x00get\x00--help", "lab\x00--\x00-x", "help\x00lab", "--set=a=b\x00up", "-o\x00json\x00ip", "lab\x00restore\x00--trust\x00x", "-\x00--\x00--="} {
		f.Add(seed)
	}
	p := &program{stdout: io.Discard, stderr: io.Discard, getenv: func(string) string { return "" }}
	f.Fuzz(func(t *testing.T, text string) {
		args := append([]string{"hellolab"}, strings.Split(text, "\x00")...)
		languages(args, func(string) string { return text })
		arranged, err := arrange(p.app(), args)
		if err != nil {
			if !errors.As(err, new(helpAsked)) && !messages.IsUsage(err) {
				t.Errorf("%q is refused with %v", args, err)
			}
			return
		}
		again, err := arrange(p.app(), arranged)
		if err != nil || !slices.Equal(again, arranged) {
			t.Errorf("%q becomes %q, and that %q, %v", args, arranged, again, err)
		}
	})
}

// FuzzSet holds that a setting on the command line is read or refused, and is one setting's alone.
func FuzzSet(f *testing.F) {
	for _, seed := range []string{"bootstrap.ports.http=auto", "registry.images=[a, b]", "bootstrap.workers=２", "a.b=c}", "bootstrap.name=x, workers: 1", "labs.course=\"x", "=", "bootstrap={name: a}", "bootstrap.ingress.values.a.b=1"} {
		key, value, _ := strings.Cut(seed, "=")
		f.Add(key, value)
	}
	f.Fuzz(func(t *testing.T, key, value string) {
		var all configuration
		if err := yaml.Unmarshal(defaultConfig, &all); err != nil {
			t.Fatal(err)
		}
		err := layer{"--set " + key, nest(key, value)}.over(&all)
		if err != nil && !messages.IsUsage(err) {
			t.Errorf("%s=%s is refused with %v", key, value, err)
		}
		_ = all.Validate()
		_, _ = configuration{}.of(all.settings())
	})
}
