package main

import (
	"net/http/httptest"
	"os"
	"testing"
)

func TestAnswer(t *testing.T) {
	t.Setenv("DB_URL", "http://DB_ADDRESS_DEV")
	host, _ := os.Hostname()
	answer := httptest.NewRecorder()
	hello(answer, httptest.NewRequest("GET", "/", nil))
	if got, want := answer.Body.String(), "[v4] Hello, Kubernetes! From host: "+host+", Get Database Connect URL: http://DB_ADDRESS_DEV"; got != want {
		t.Errorf("answers %q, want %q", got, want)
	}
}
