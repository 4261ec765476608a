package main

import (
	"net/http/httptest"
	"testing"
)

func TestAnswer(t *testing.T) {
	answer := httptest.NewRecorder()
	hello(answer, httptest.NewRequest("GET", "/", nil))
	if got, want := answer.Body.String(), "[v2] Hello, Kubernetes!"; got != want {
		t.Errorf("answers %q, want %q", got, want)
	}
}

func TestHealth(t *testing.T) {
	answer := httptest.NewRecorder()
	healthz(answer, httptest.NewRequest("GET", "/healthz", nil))
	if answer.Code != 500 || answer.Body.Len() != 0 {
		t.Errorf("answers %d %q, want 500 and nothing", answer.Code, answer.Body.String())
	}
}
