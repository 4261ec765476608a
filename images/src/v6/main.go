// Command v6 shows what the values of a Helm chart became.
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"
)

func hello(w http.ResponseWriter, _ *http.Request) {
	host, _ := os.Hostname()
	fmt.Fprintf(w, "[v6] Hello, Helm! Message from helm values: %s, From namespace: %s, From host: %s, Get Database Connect URL: %s, Database Connect Password: %s",
		os.Getenv("MESSAGE"), os.Getenv("NAMESPACE"), host, os.Getenv("DB_URL"), os.Getenv("DB_PASSWORD"))
}

func main() {
	http.HandleFunc("/", hello)
	log.Fatal(http.ListenAndServe(":3000", nil))
}
