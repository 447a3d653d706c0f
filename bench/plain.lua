-- The order without a key, for routes that are not guarded.
dofile(debug.getinfo(1, "S").source:match("^@(.*/)") .. "order.lua")

local order

function init()
  order = format_order(nil)
end

function request()
  sent = sent + 1
  return order
end
