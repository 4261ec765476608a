// Command bad is never ready: a rollout to it has to get stuck.
package main

import (
	"io"
	"log"
	"net/http"
)

func hello(w http.ResponseWriter, _ *http.Request) {
	io.WriteString(w, "[v2] Hello, Kubernetes!")
}

func healthz(w http.ResponseWriter, _ *http.Request) {
	w.WriteHeader(http.StatusInternalServerError)
}

func main() {
	http.HandleFunc("/", hello)
	http.HandleFunc("/healthz", healthz)
	log.Fatal(http.ListenAndServe(":3000", nil))
}
