package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
)

func call(method, target, body string) {
	var content io.Reader
	if body != "" {
		content = strings.NewReader(body)
	}
	request, err := http.NewRequest(method, os.Args[1]+target, content)
	if err != nil {
		panic(err)
	}
	request.Header.Set("Authorization", "Bearer "+os.Args[2])
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		panic(err)
	}
	io.Copy(io.Discard, answer.Body)
	answer.Body.Close()
}

func main() {
	for page := 1; page <= 5; page++ {
		call("GET", fmt.Sprintf("/api/orders?page=%d", page), "")
	}
	call("POST", "/api/orders", `{"item": 7}`)
	call("POST", "/api/orders", `{"item": 8}`)
	call("PUT", "/api/orders/7", `{"item": 8}`)
	call("PATCH", "/api/orders/7", `{"count": 2}`)
	call("DELETE", "/api/orders/7", "")
}
