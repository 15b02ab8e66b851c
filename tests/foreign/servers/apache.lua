-- What Apache answers where it has no file.
function handle(r)
  if r.uri == "/cookie" then
    r.err_headers_out["Set-Cookie"] = "seen=1; Path=/account"
    r:puts("set")
    return apache2.OK
  end
  if r.uri == "/reject" then
    return 413
  end
  local bytes = 0
  if r.uri == "/upload" then
    bytes = #(r:requestbody() or "")
  end
  local fields = {}
  for name, value in pairs(r:headers_in_table()) do
    fields[#fields + 1] = '"' .. name:lower() .. '": "' .. value:gsub('[\\"]', "\\%0") .. '"'
  end
  r.content_type = "application/json"
  r:puts('{"path": "' .. r.uri .. '", "bytes": ' .. bytes .. ', "client": "' .. r.useragent_ip ..
    '", "headers": {' .. table.concat(fields, ", ") .. "}}")
  return apache2.OK
end
