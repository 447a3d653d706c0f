-- The request that every cell sends, a count of how many were sent, and the line of results that run.sh reads. The other scripts load it.
wrk.method = "POST"
wrk.body = '{"customer":"customer-4711","items":[{"sku":"book-1","quantity":2}],"note":"leave it at the front door"}'
wrk.headers["Content-Type"] = "application/json"

sent = 0 -- global: done() reads it out of the thread
local threads = {}

function setup(thread)
  table.insert(threads, thread)
end

-- The bytes of a request with this key, or of one without.
function format_order(key)
  local headers = {}
  for name, value in pairs(wrk.headers) do headers[name] = value end
  headers["Idempotency-Key"] = key
  return wrk.format(nil, nil, headers)
end

-- result SENT ANSWERED SECONDS P50-ms P99-ms NON-2xx SOCKET-ERRORS
function done(summary, latency, requests)
  local total = -1 -- wrk asks the first thread for one request beforehand, to look at it
  for _, thread in ipairs(threads) do total = total + thread:get("sent") end
  local errors = summary.errors
  io.write(string.format("result %d %d %.6f %.3f %.3f %d %d\n",
    total, summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
