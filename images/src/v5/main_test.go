package main

import (
	"net/http/httptest"
	"os"
	"testing"
)

func TestAnswer(t *testing.T) {
	t.Setenv("DB_PASSWORD", "db_password")
	host, _ := os.Hostname()
	answer := httptest.NewRecorder()
	hello(answer, httptest.NewRequest("GET", "/", nil))
	if got, want := answer.Body.String(), "[v5] Hello, Kubernetes! From host: "+host+", Get Database Connect Password: db_password"; got != want {
		t.Errorf("answers %q, want %q", got, want)
	}
}
