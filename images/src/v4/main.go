// Command v4 shows what a ConfigMap put into its environment.
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"
)

func hello(w http.ResponseWriter, _ *http.Request) {
	host, _ := os.Hostname()
	fmt.Fprintf(w, "[v4] Hello, Kubernetes! From host: %s, Get Database Connect URL: %s", host, os.Getenv("DB_URL"))
}

func main() {
	http.HandleFunc("/", hello)
	log.Fatal(http.ListenAndServe(":3000", nil))
}
