-- Lua's own machinery across switches: switches.lua ROUNDS [INTERVAL [NAME]]
-- Eight threads do the same at once, each with its own data, and check it; INTERVAL: instructions.
local tap = require "tap"
local gil = require "gil"
local Thread, sys = gil.threading.Thread, gil.sys

local rounds, interval, only = tonumber(arg[1]), tonumber(arg[2]), arg[3]
if interval and interval > 0 then sys.setcheckinterval(interval) end
arg = { [0] = arg[0], only }

local threads = 8

local function test(name, f)
  tap.test(name .. (interval and ", interval " .. interval or ""), function()
    local all = {}
    for i = 1, threads do
      all[i] = Thread { target = function() for r = 1, rounds do f(i, r) end end }:start()
    end
    for i = 1, threads do
      local ok, err = all[i]:join()
      if not ok then error(err, 0) end
    end
  end)
end

test("coroutines that yield and resume", function(i)
  local function count(n) for k = 1, n do coroutine.yield(i, k) end return "end" end
  local co = coroutine.create(count)
  for k = 1, 20 do
    local ok, who, number = coroutine.resume(co, 20)
    assert(ok and who == i and number == k)
  end
  assert(select(2, coroutine.resume(co)) == "end" and coroutine.status(co) == "dead")
  local sum = 0
  for _, k in coroutine.wrap(count), 10 do if not k then break end sum = sum + k end
  assert(sum == 55)
end)

test("coroutines within coroutines, and errors in them", function(i)
  local function nest(depth)
    if depth == 0 then error({ i }) end
    return coroutine.wrap(function() local r = nest(depth - 1) return r end)()
  end
  local ok, err = pcall(nest, 10)
  assert(not ok and err[1] == i)
end)

test("pcall, error and xpcall", function(i)
  local function down(n) if n == 0 then error(i, 0) end local r = down(n - 1) return r end
  for _ = 1, 5 do
    local ok, err = pcall(down, 10)
    assert(not ok and err == i)
    ok, err = xpcall(down, function(e) return e + 1 end, 10)
    assert(not ok and err == i + 1)
  end
end)

test("__close, also by an error and in a coroutine that is closed", function()
  local closed = {}
  local function guard(name)
    return setmetatable({}, { __close = function() closed[#closed + 1] = name end })
  end
  do
    local a <close> = guard "a"
    local b <close> = guard "b"
  end
  pcall(function() local c <close> = guard "c" error("x") end)
  local co = coroutine.create(function() local d <close> = guard "d" coroutine.yield() end)
  coroutine.resume(co)
  assert(coroutine.close(co) == true)
  assert(table.concat(closed) == "bacd", table.concat(closed))
end)

test("__gc and collectgarbage", function(i)
  local finalized = 0
  for _ = 1, 20 do
    setmetatable({ string.rep("x", i) }, { __gc = function() finalized = finalized + 1 end })
  end
  local weak = setmetatable({ {}, {} }, { __mode = "v" })
  tap.wait_for(function() collectgarbage() return finalized == 20 end)
  assert(#weak == 0 and collectgarbage("count") > 0)
  collectgarbage("step")
  collectgarbage(i % 2 == 0 and "generational" or "incremental")
end)

test("deep recursion, and a stack that overflows", function(i, round)
  local function depth(n) if n == 0 then return i end return 0 + depth(n - 1) end
  assert(depth(2000) == i)
  local function forever() return 1 + forever() end
  if i == 1 and round == 1 then -- which takes long, and much memory
    local ok, err = pcall(forever)
    assert(not ok and err:find("stack overflow", 1, true))
  end
end)

test("functions called back by C: gsub, sort, load, tostring", function(i)
  local text = ("abc"):rep(5):gsub("%a", function(c) return c:upper() .. i end)
  assert(text == ("A%dB%dC%d"):format(i, i, i):rep(5))
  local list = {}
  for k = 1, 30 do list[k] = (k * 7 + i) % 31 end
  table.sort(list, function(a, b) return a < b end)
  for k = 2, 30 do assert(list[k - 1] <= list[k]) end
  local parts = { "return ", tostring(i), "+1" }
  local at = 0
  assert(load(function() at = at + 1 return parts[at] end)() == i + 1)
  assert(tostring(setmetatable({}, { __tostring = function() return "<" .. i .. ">" end })) ==
         "<" .. i .. ">")
end)

test("metamethods, goto, varargs and closures", function(i)
  local v = setmetatable({ i }, { __add = function(a, b) return a[1] + b end,
                                  __index = function(_, k) return k .. i end,
                                  __eq = function() return true end,
                                  __lt = function() return i > 4 end })
  assert(v + 1 == i + 1 and v.x == "x" .. i and (v < v) == (i > 4))
  local n = 0
  ::again::
  n = n + 1
  if n < 50 then goto again end
  local function sum(...) local s = 0 for k = 1, select("#", ...) do s = s + (select(k, ...)) end
    return s end
  assert(sum(table.unpack({ 1, 2, 3, i })) == 6 + i)
  local counters = {}
  for k = 1, 5 do counters[k] = function() k = k + i return k end end
  assert(counters[3]() == 3 + i and counters[3]() == 3 + 2 * i)
end)

test("a line hook and a count hook of one's own", function()
  local lines, counts = 0, 0
  debug.sethook(function() lines = lines + 1 end, "l")
  for _ = 1, 10 do
    local x = 1
  end
  local hook, mask = debug.gethook()
  debug.sethook()
  assert(lines >= 20 and mask == "l" and type(hook) == "function")
  debug.sethook(function() counts = counts + 1 end, "", 10)
  for _ = 1, 200 do local x = 1 end
  local _, _, count = debug.gethook()
  debug.sethook()
  assert(counts >= 20 and count == 10 and debug.gethook() == nil)
end)

tap.done()
