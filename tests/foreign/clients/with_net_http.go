package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
)

func ask(method, url string, body io.Reader) int {
	request, err := http.NewRequest(method, url, body)
	if err != nil {
		panic(err)
	}
	request.Header.Set("Authorization", "Bearer "+os.Args[2])
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		panic(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode == 200 && string(text) == "hello" {
		return 1
	}
	return 0
}

func main() {
	url, good := os.Args[1], 0
	for number := 0; number < 100; number++ {
		good += ask("GET", fmt.Sprintf("%s/%d?page=%d", url, number, number), nil)
		good += ask("POST", fmt.Sprintf("%s/%d", url, number), strings.NewReader(fmt.Sprintf(`{"number": %d}`, number)))
		// Of a reader of unknown length: chunked.
		good += ask("PUT", fmt.Sprintf("%s/%d", url, number), io.MultiReader(strings.NewReader("in "), strings.NewReader("chunks")))
	}
	fmt.Println(good)
}
