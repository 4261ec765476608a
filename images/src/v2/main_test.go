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
