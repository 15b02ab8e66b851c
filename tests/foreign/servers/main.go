// Go's net/http: what it answers behind the gateway. Its ServeMux redirects to a path.
package main

import (
	"compress/gzip"
	"encoding/json"
	"net/http"
	"os"
	"strings"
)

func echo(w http.ResponseWriter, r *http.Request) {
	headers := map[string]string{}
	for name, values := range r.Header {
		headers[strings.ToLower(name)] = strings.Join(values, ", ")
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]any{"path": r.URL.Path, "headers": headers})
}

func main() {
	mux := http.NewServeMux()
	mux.HandleFunc("/echo", echo)
	mux.HandleFunc("/slash/", echo)
	mux.HandleFunc("/away", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://"+r.Host+"/echo", http.StatusFound)
	})
	mux.HandleFunc("/text", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Set("Content-Type", "text/plain")
		zipped := gzip.NewWriter(w)
		zipped.Write([]byte(strings.Repeat("a line of text\n", 200)))
		zipped.Close()
	})
	http.ListenAndServe("127.0.0.1:"+os.Args[1], mux)
}
