export const calls = [
  ...[1, 2, 3, 4, 5].map((page) => ["GET", `/api/orders?page=${page}`]),
  ["POST", "/api/orders", { item: 7 }],
  ["POST", "/api/orders", { item: 8 }],
  ["PUT", "/api/orders/7", { item: 8 }],
  ["PATCH", "/api/orders/7", { count: 2 }],
  ["DELETE", "/api/orders/7"],
];
export const [url, token] = process.argv.slice(2);
export const headers = (body) => ({
  authorization: `Bearer ${token}`,
  ...(body && { "content-type": "application/json" }),
});
