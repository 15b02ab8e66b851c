-- Asks the gateway what it would decide about a request: the action `lua.decide`.

local DECISIONS = "http://127.0.0.1:9191/" -- decisions.listen of the gateway
local TIMEOUT_MS = 5000 -- of each try: HAProxy tries three times more where no answer comes
-- Each header of identity.headers in the gateway's file. The backend gets these from the gateway only.
local IDENTITY = {"X-User-Id", "X-User-Name", "X-Roles"}

local function folded(name)
    return (name:lower():gsub("[^0-9a-z]", ""))
end

local replaced = {authorization = "Authorization"}
for _, name in ipairs(IDENTITY) do
    replaced[folded(name)] = name
end

-- Of the connection, or told anew below.
local own = {["connection"] = true, ["keep-alive"] = true, ["proxy-connection"] = true, ["te"] = true,
    ["upgrade"] = true, ["transfer-encoding"] = true, ["content-length"] = true, ["expect"] = true, ["host"] = true}

local function subrequest(txn, headers)
    local asked = {}
    for name, values in pairs(headers) do
        if not own[name] then
            asked[name] = {}
            for _, value in pairs(values) do
                table.insert(asked[name], value)
            end
        end
    end
    asked["x-forwarded-method"] = {txn.f:method()}
    asked["x-forwarded-uri"] = {txn.f:pathq()}
    return asked
end

local function refuse(txn, answer)
    local reply = txn:reply()
    if answer == nil or answer.status == nil or answer.status < 400 then
        reply:set_status(503, "Service Unavailable")
        reply:add_header("content-type", "application/problem+json")
        reply:set_body('{"type": "about:blank", "title": "Service Unavailable", "status": 503}')
    else
        reply:set_status(answer.status)
        for name, values in pairs(answer.headers) do
            if not own[name] and name ~= "date" then
                for _, value in pairs(values) do
                    reply:add_header(name, value)
                end
            end
        end
        reply:set_body(answer.body or "")
    end
    txn:done(reply)
end

core.register_action("decide", {"http-req"}, function(txn)
    local headers = txn.http:req_get_headers()
    local client = core.httpclient()
    local answer = client:get{url = DECISIONS, headers = subrequest(txn, headers), timeout = TIMEOUT_MS}
    if answer == nil or answer.status ~= 200 then
        return refuse(txn, answer)
    end
    for name in pairs(headers) do
        if replaced[folded(name)] or folded(name) == "dpop" then
            txn.http:req_del_header(name)
        end
    end
    for _, name in pairs(replaced) do
        local values = answer.headers[name:lower()]
        if values == nil or values[0] == nil then
            return refuse(txn, nil) -- an identity header that the gateway does not know: see IDENTITY
        end
        if values[0] ~= "" then
            txn.http:req_set_header(name, values[0])
        end
    end
end, 0)
