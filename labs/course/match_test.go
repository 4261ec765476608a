package course

import (
	"testing"

	"go.yaml.in/yaml/v3"
)

// leaf reads one leaf of a partial object.
func leaf(t *testing.T, text string) *yaml.Node {
	t.Helper()
	var document yaml.Node
	if err := yaml.Unmarshal([]byte(text), &document); err != nil {
		t.Fatal(err)
	}
	return document.Content[0]
}

func TestMatch(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		expected string
		value    any
		want     bool
	}{
		{"web", "web", true},
		{"web", "web2", false},
		{"3", int64(3), true},
		{"3", "3", true},
		{"3", int64(30), false},
		{`"True"`, "True", true},
		{"true", true, true},
		{"true", false, false},
		{"0.5", 0.5, true},
		{"web", nil, false},
		{`""`, nil, true},
		{"web", map[string]any{"web": true}, false},
		{"!match '^a+$'", "aaa", true},
		{"!match '^a+$'", "aab", false},
		{"!match '^[0-9]$'", int64(7), true},
		{"!match 'a'", nil, false},
		{"!least 2", int64(2), true},
		{"!least 2", int64(10), true},
		{"!least 2", int64(1), false},
		{"!least 2", "3", true},
		{"!least 2", "many", false},
		{"!least 0", nil, false},
		{"!image web:v1", "docker.io/us/web:v1", true},
		{"!image web:v1", "us/web:v2", false},
		{"!base64 '^secret$'", "c2VjcmV0", true},
		{"!base64 '^secret$'", "c2VjcmV0Cg==", false},
		{"!base64 'secret'", "secret", false},
	} {
		matcher, err := NewMatcher(leaf(t, test.expected))
		if err != nil {
			t.Errorf("%s: %v", test.expected, err)
			continue
		}
		if got := matcher.Match(test.value); got != test.want {
			t.Errorf("%s is met by %#v: %v, want %v", test.expected, test.value, got, test.want)
		}
	}
}

func TestMatcherString(t *testing.T) {
	t.Parallel()
	for expected, want := range map[string]string{"web": "web", "!least 2": "≥ 2", "!match ^a$": "^a$", "!image web:v1": "web:v1"} {
		matcher, err := NewMatcher(leaf(t, expected))
		if got := matcher.String(); err != nil || got != want {
			t.Errorf("%s is told as %q, %v; want %q", expected, got, err, want)
		}
	}
}

// TestMatchImage holds that it does not matter where an image comes from, and that no other image passes for it.
func TestMatchImage(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		expected, image string
		want            bool
	}{
		{"web:v1", "web:v1", true},
		{"web:v1", "us/web:v1", true},
		{"web:v1", "localhost:5001/us/web:v1", true},
		{"web:v1", "us/web:v1@sha256:0123", true},
		{"web:v1", "us/web:v10", false},
		{"web:v1", "us/myweb:v1", false},
		{"web:v1", "us/web", false},
		{"web:v1", "web:v1/other:v1", false},
		{"web", "web", true},
		{"web", "us/web:v1", true},
		{"web", "localhost:5001/web", true},
		{"web", "us/web@sha256:0123", true},
		{"web", "us/webs:v1", false},
		{"web", "web/other", false},
		{"web", "", false},
	} {
		if got := MatchImage(test.expected, test.image); got != test.want {
			t.Errorf("%s is met by %s: %v, want %v", test.expected, test.image, got, test.want)
		}
	}
}
