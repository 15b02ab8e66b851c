// Go's net/http: what it answers behind the gateway. Its ServeMux redirects to a path.
package main

import (
	"compress/gzip"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
)

func echo(w http.ResponseWriter, r *http.Request) {
	headers := map[string]string{}
	for name, values := range r.Header {
		headers[strings.ToLower(name)] = strings.Join(values, ", ")
	}
	bytes, _ := io.Copy(io.Discard, r.Body)
	w.Header().Set("Content-Type", "application/json")
	client, _, _ := net.SplitHostPort(r.RemoteAddr)
	json.NewEncoder(w).Encode(map[string]any{"path": r.URL.Path, "bytes": bytes, "client": client, "headers": headers})
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
	mux.HandleFunc("/upload", echo)
	mux.HandleFunc("/relative", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/echo", http.StatusFound)
	})
	mux.HandleFunc("/file.txt", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, filepath.Join(os.Getenv("FILES"), "file.txt"))
	})
	mux.HandleFunc("/cookie", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Set-Cookie", "seen=1; Path=/account")
	})
	mux.HandleFunc("/reject", func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "too large", http.StatusRequestEntityTooLarge)
	})
	http.ListenAndServe("127.0.0.1:"+os.Args[1], mux)
}
