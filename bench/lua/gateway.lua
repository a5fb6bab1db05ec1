-- The same duties in Lua, as one would write them with Debian's packages: the
-- token is verified once and remembered in shared memory, the quota is one
-- command to Redis on a kept connection, usage is read from the answer and
-- written to Redis in batches.

local cjson = require "cjson.safe"
local hmac = require "openssl.hmac"
local redis = require "nginx.redis"

local find, sub, match = string.find, string.sub, string.match
local verified = ngx.shared.verified

local gateway = {}

local secret, socket
local metered, used = {}, 0

local function base64url(text)
    text = text:gsub("-", "+"):gsub("_", "/")

    return ngx.decode_base64(text .. ("="):rep(-#text % 4))
end


function gateway.init(keys, address)
    local file = assert(io.open(keys))
    local ring = cjson.decode(file:read("*a"))

    file:close()

    secret = base64url(ring.keys[1].k)
    socket = address
end


local function connection()
    local red = redis:new()

    red:set_timeout(1000)

    if not red:connect(socket) then
        return nil
    end

    return red
end


-- what was metered since the last time, in one round trip

local function flush(premature)
    local batch = metered

    if used > 0 then
        metered, used = {}, 0

        local red = connection()

        if red then
            red:init_pipeline()

            for user, tokens in pairs(batch) do
                red:incrby("used:" .. user, tokens)
            end

            red:commit_pipeline()
            red:set_keepalive(60000, 32)
        end
    end
end


function gateway.init_worker()
    ngx.timer.every(0.1, flush)
end


local function verify(token)
    local known = verified:get(token)

    if known then
        return known
    end

    local head, payload, signature =
        match(token, "^([%w_-]+)%.([%w_-]+)%.([%w_-]+)$")

    if not head then
        return nil
    end

    local header = cjson.decode(base64url(head))

    if not header or header.alg ~= "HS256" then
        return nil
    end

    local mac = hmac.new(secret, "sha256"):final(head .. "." .. payload)
    local claims = cjson.decode(base64url(payload))

    if mac ~= base64url(signature) or not claims or claims.aud ~= "pulse"
       or claims.iss ~= "pulse" or claims.exp < ngx.time()
    then
        return nil
    end

    verified:set(token, claims.sub, claims.exp - ngx.time())

    return claims.sub
end


local function refuse(status, code)
    ngx.status = status
    ngx.header.content_type = "application/json"
    ngx.say('{"error":{"code":"' .. code .. '"}}')

    return ngx.exit(status)
end


function gateway.access()
    local authorization = ngx.var.http_authorization or ""
    local user = verify(sub(authorization, 8))

    if not user then
        return refuse(401, "UNAUTHORIZED")
    end

    ngx.req.read_body()

    local body = cjson.decode(ngx.req.get_body_data())

    if not body or not body.messages then
        return refuse(400, "INVALID_REQUEST")
    end

    local red = connection()
    local tokens = red and red:get("used:" .. user)

    if not tokens then
        return refuse(503, "STORE_UNAVAILABLE")
    end

    red:set_keepalive(60000, 32)

    if tokens ~= ngx.null and tonumber(tokens) > 1e12 then
        return refuse(402, "QUOTA_EXCEEDED")
    end

    ngx.ctx.user = user
    ngx.var.metered_user = user
    ngx.var.metered_model = body.model
end


-- Of a stream only the event with the usage is decoded.

function gateway.body_filter()
    local ctx, chunk = ngx.ctx, ngx.arg[1]

    if not ctx.user then
        return
    end

    if find(ngx.header.content_type or "", "event-stream", 1, true) then
        local at = find(chunk, '"usage":{', 1, true)

        if at then
            ctx.answer = match(chunk, "^{.-}", at + 8)
        end

        return
    end

    if chunk ~= "" then
        ctx.parts = ctx.parts or {}
        ctx.parts[#ctx.parts + 1] = chunk
    end
end


function gateway.log()
    local ctx = ngx.ctx

    if not ctx.user then
        return
    end

    local usage

    if ctx.parts then
        local answer = cjson.decode(table.concat(ctx.parts))

        usage = answer and answer.usage

    elseif ctx.answer then
        usage = cjson.decode(ctx.answer)
    end

    if usage then
        metered[ctx.user] = (metered[ctx.user] or 0) + usage.total_tokens
        used = used + 1
        ngx.var.metered_tokens = usage.total_tokens
    end
end


return gateway
