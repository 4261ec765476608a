// Command v2 greets as v1 does, with a number to see an upgrade by.
package main

import (
	"io"
	"log"
	"net/http"
)

func hello(w http.ResponseWriter, _ *http.Request) {
	io.WriteString(w, "[v2] Hello, Kubernetes!")
}

func main() {
	http.HandleFunc("/", hello)
	log.Fatal(http.ListenAndServe(":3000", nil))
}
