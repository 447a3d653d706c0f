-- Every request is a first request: its key is unique across threads and runs.
dofile(debug.getinfo(1, "S").source:match("^@(.*/)") .. "order.lua")

local head, tail

function init()
  local random = assert(io.open("/dev/urandom", "rb"))
  local run = random:read(12):gsub(".", function(byte) return string.format("%02x", byte:byte()) end)
  random:close()
  head, tail = format_order(run .. "-@"):match("^(.-)@(.*)$")
end

function request()
  sent = sent + 1
  return head .. sent .. tail
end
