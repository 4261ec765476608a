package main

import (
	"net/http/httptest"
	"os"
	"testing"
)

func TestAnswer(t *testing.T) {
	t.Setenv("MESSAGE", "It works")
	t.Setenv("NAMESPACE", "default")
	t.Setenv("DB_URL", "http://DB")
	t.Setenv("DB_PASSWORD", "secret")
	host, _ := os.Hostname()
	answer := httptest.NewRecorder()
	hello(answer, httptest.NewRequest("GET", "/", nil))
	if got, want := answer.Body.String(), "[v6] Hello, Helm! Message from helm values: It works, From namespace: default, From host: "+host+
		", Get Database Connect URL: http://DB, Database Connect Password: secret"; got != want {
		t.Errorf("answers %q, want %q", got, want)
	}
}
