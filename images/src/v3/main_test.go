package main

import (
	"net/http/httptest"
	"os"
	"testing"
)

func TestAnswer(t *testing.T) {
	host, _ := os.Hostname()
	answer := httptest.NewRecorder()
	hello(answer, httptest.NewRequest("GET", "/", nil))
	if got, want := answer.Body.String(), "[v3] Hello, Kubernetes!, From host: "+host; got != want {
		t.Errorf("answers %q, want %q", got, want)
	}
}
