// Command v5 shows what a Secret put into its environment.
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"
)

func hello(w http.ResponseWriter, _ *http.Request) {
	host, _ := os.Hostname()
	fmt.Fprintf(w, "[v5] Hello, Kubernetes! From host: %s, Get Database Connect Password: %s", host, os.Getenv("DB_PASSWORD"))
}

func main() {
	http.HandleFunc("/", hello)
	log.Fatal(http.ListenAndServe(":3000", nil))
}
