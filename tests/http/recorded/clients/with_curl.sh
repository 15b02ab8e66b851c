url=$1
set -- -sS --noproxy '*' -o /dev/null -H "Authorization: Bearer $2"
for page in 1 2 3 4 5; do curl "$@" "$url/api/orders?page=$page"; done
curl "$@" --json '{"item": 7}' "$url/api/orders"
curl "$@" --json '{"item": 8}' "$url/api/orders"
curl "$@" -X PUT --json '{"item": 8}' "$url/api/orders/7"
curl "$@" -X PATCH --json '{"count": 2}' "$url/api/orders/7"
curl "$@" -X DELETE "$url/api/orders/7"
