-- promptward-gate: refuses what no Promptward verdict vouches for.
--
-- Kong lets a request pass when an external plugin server is down, silent or confused. This
-- plugin runs last, inside Kong, and needs no process: a request of a guarded route without the
-- mark that `promptward` leaves as its very last step is answered 503, and so is a response that
-- had to be checked and was not.
--
-- Invariants: it never calls out, never reads a body and keeps no state; whatever is not exactly
-- the expected mark refuses. The mark lives in kong.ctx.shared, which is Kong's own memory of this
-- one request; it also names the request line it was given for.
--
-- On streamed answers it also puts the rate-limit headers of the verdict in place of those of the
-- upstream: only here are both known.

local kong = kong
local ngx = ngx
local type = type

local PromptwardGate = {
  -- After every other plugin, post-function (-1000) included.
  PRIORITY = -1100,
  VERSION = "0.1.0",
}

local MESSAGE = "The request could not be checked; try again later."
local CODE = "no_verdict"

-- Error bodies of the protocols Promptward speaks; a literal each, so that nothing can fail here.
local OPENAI = '{"error":{"message":"' .. MESSAGE ..
               '","type":"server_error","param":null,"code":"' .. CODE .. '"}}'
local ANTHROPIC = '{"type":"error","error":{"type":"api_error","message":"' .. MESSAGE ..
                  '","code":"' .. CODE .. '"}}'
local NEUTRAL = '{"error":{"message":"' .. MESSAGE ..
                '","type":"unavailable","code":"' .. CODE .. '"}}'


local function body_for(path)
  path = type(path) == "string" and path:match("^[^?]*") or ""
  if path:find("/v1/messages", 1, true) then
    return ANTHROPIC
  end
  if path:find("/chat/completions", 1, true) or path:find("/responses", 1, true)
     or path:find("/completions", 1, true) or path:find("/embeddings", 1, true) then
    return OPENAI
  end
  return NEUTRAL
end


local function refuse(reason)
  kong.log.err("promptward-gate: ", reason)
  return kong.response.exit(503, body_for(ngx.var.request_uri), {
    ["Content-Type"] = "application/json; charset=utf-8",
    ["Cache-Control"] = "no-store",
    ["Retry-After"] = "1",
  })
end


local function mark_of_this_request()
  local mark = kong.ctx.shared.promptward
  if type(mark) ~= "table" or mark.verdict ~= "allow" then
    return nil
  end
  if type(mark.request) ~= "string" or mark.request ~= ngx.var.request then
    return nil
  end
  return mark
end


function PromptwardGate:access()
  if not mark_of_this_request() then
    return refuse("the request carries no verdict and is refused")
  end
end


function PromptwardGate:header_filter()
  if kong.response.get_source() ~= "service" then
    return -- Kong's or a plugin's own answer
  end
  local mark = mark_of_this_request()
  if not mark then
    return refuse("the response belongs to no checked request and is withheld")
  end
  if mark.response ~= "required" then
    if type(mark.headers) == "table" then
      kong.response.set_headers(mark.headers)
    end
    return
  end
  local checked = kong.ctx.shared.promptward_response
  if type(checked) ~= "table" or checked.verdict ~= "allow" then
    return refuse("the response was not checked and is withheld")
  end
end


return PromptwardGate
