// Command v3 also tells which pod answers.
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"
)

func hello(w http.ResponseWriter, _ *http.Request) {
	host, _ := os.Hostname()
	fmt.Fprintf(w, "[v3] Hello, Kubernetes!, From host: %s", host)
}

func main() {
	http.HandleFunc("/", hello)
	log.Fatal(http.ListenAndServe(":3000", nil))
}
