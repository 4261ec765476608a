package main

import (
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"
)

func TestAnswer(t *testing.T) {
	answer := httptest.NewRecorder()
	hello(answer, httptest.NewRequest("GET", "/", nil))
	if got, want := answer.Body.String(), "[v2] Hello, Kubernetes!"; got != want {
		t.Errorf("answers %q, want %q", got, want)
	}
}

// TestHealth has the clock of a bubble: no time passes.
func TestHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		health := healthz(time.Now())
		for _, moment := range []struct {
			wait time.Duration
			code int
			body string
		}{
			{0, 200, "ok"},
			{15 * time.Second, 200, "ok"},
			{time.Second, 500, "error: 16"},
			{500 * time.Millisecond, 500, "error: 16.5"},
		} {
			time.Sleep(moment.wait)
			answer := httptest.NewRecorder()
			health(answer, httptest.NewRequest("GET", "/healthz", nil))
			if answer.Code != moment.code || answer.Body.String() != moment.body {
				t.Errorf("answers %d %q, want %d %q", answer.Code, answer.Body.String(), moment.code, moment.body)
			}
		}
	})
}
