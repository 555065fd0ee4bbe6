-- Access token ("": none), method for a body, body ("": GET), then the paths, requested in turn; the result is one line of JSON.
local requests, turn = {}, 0

function init(arguments)
  local token, method, body = arguments[1], arguments[2], arguments[3]
  local headers = { ["Host"] = "127.0.0.1", ["Content-Type"] = "application/json" }
  if token ~= "" then
    headers["Authorization"] = "Bearer " .. token
  end
  for i = 4, #arguments do
    requests[i - 3] = wrk.format(body ~= "" and method or "GET", arguments[i], headers, body ~= "" and body or nil)
  end
end

function request()
  turn = turn % #requests + 1
  return requests[turn]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format('{"rate": %.1f, "p50": %.3f, "p99": %.3f, "errors": %d}\n',
    summary.requests / summary.duration * 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
