// A backend that believes only what the gateway signed.
package main

import (
	"context"
	"encoding/json"
	"log"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/time/rate"
)

func main() {
	keys, err := keysAt(os.Getenv("KEYS"))
	if err != nil {
		log.Fatal(err)
	}
	parser := jwt.NewParser(
		jwt.WithValidMethods([]string{"ES256", "EdDSA"}), // never what the token itself says
		jwt.WithIssuer(os.Getenv("ISSUER")),
		jwt.WithAudience(os.Getenv("AUDIENCE")),
		jwt.WithExpirationRequired(),
	)
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		claims := jwt.MapClaims{}
		w.Header().Set("Content-Type", "application/json")
		if _, err := parser.ParseWithClaims(r.Header.Get("X-Identity-Token"), claims, keys.Keyfunc); err != nil {
			w.WriteHeader(http.StatusUnauthorized)
			_ = json.NewEncoder(w).Encode(map[string]string{"error": err.Error()})
			return
		}
		_ = json.NewEncoder(w).Encode(claims)
	})
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil))
}

// keysAt keeps the gateway's keys. It asks again every five minutes, and for an unknown kid once in ten seconds.
func keysAt(address string) (keyfunc.Keyfunc, error) {
	where, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	store, err := jwkset.NewStorageFromHTTP(where, jwkset.HTTPClientStorageOptions{
		Ctx:                       context.Background(),
		NoErrorReturnFirstHTTPReq: true, // the gateway may start later
		RefreshInterval:           5 * time.Minute,
	})
	if err != nil {
		return nil, err
	}
	client, err := jwkset.NewHTTPClient(jwkset.HTTPClientOptions{
		HTTPURLs:          map[string]jwkset.Storage{address: store},
		RefreshUnknownKID: rate.NewLimiter(rate.Every(10*time.Second), 1),
	})
	if err != nil {
		return nil, err
	}
	return keyfunc.New(keyfunc.Options{Storage: client})
}
