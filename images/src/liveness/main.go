// Command liveness is healthy for 15 s, and never again: Kubernetes restarts it over and over.
package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"time"
)

const healthyFor = 15 * time.Second

func hello(w http.ResponseWriter, _ *http.Request) {
	io.WriteString(w, "[v2] Hello, Kubernetes!")
}

func healthz(started time.Time) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		age := time.Since(started)
		if age > healthyFor {
			w.WriteHeader(http.StatusInternalServerError)
			fmt.Fprintf(w, "error: %v", age.Seconds())
			return
		}
		io.WriteString(w, "ok")
	}
}

func main() {
	http.HandleFunc("/", hello)
	http.HandleFunc("/healthz", healthz(time.Now()))
	log.Fatal(http.ListenAndServe(":3000", nil))
}
