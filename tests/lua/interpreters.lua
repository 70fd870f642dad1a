-- Interpreters: what they share (nothing but the lock, or not even that), and what goes between them.
local tap = require "tap"
local gil = require "gil"
local interpreters, Thread = gil.interpreters, gil.threading.Thread
local is, fails = tap.is, tap.fails

for _, own_lock in ipairs { false, true } do
  local function test(name, f)
    tap.test(name .. (own_lock and ", a lock of its own" or ""), function()
      local i = interpreters.create { own_lock = own_lock }
      f(i)
      pcall(i.close, i)
    end)
  end

  test("run returns what the code returns, and globals stay", function(i)
    local a, b, c, d, e = i:run("x = ... return x, 'two', 3.5, nil, true", 1)
    is(a, 1) is(b, "two") is(c, 3.5) is(d, nil) is(e, true) is(math.type(a), "integer")
    is(i:run("x = x + 1 return x"), 2)
    is(x, nil)
  end)

  test("errors in the code are errors of run", function(i)
    fails("(interpreter):1: oops", i.run, i, "error('oops')")
    fails("unexpected symbol near 'return'", i.run, i, "return return")
    fails("a table cannot be passed to another interpreter", i.run, i, "return {}")
    fails("a function cannot be passed", i.run, i, "return 1", print)
    is(i:run("return 5"), 5)
  end)

  test("a channel between two threads", function(i)
    local there, back = interpreters.Channel(2), interpreters.Channel(2)
    local t = Thread { target = function()
      return i:run([[
        local there, back = ...
        local n = 0
        while true do
          local v = there:recv()
          if v == "end" then return n end
          n = n + 1
          back:send(v * 2)
        end]], there, back)
    end }:start()
    for k = 1, 100 do
      there:send(k)
      is(back:recv(), 2 * k)
    end
    there:send("end")
    is(select(2, t:join()), 100)
  end)

  test("one interpreter computes beside another one", function(i)
    local there = interpreters.Channel()
    local t = Thread { target = function()
      return i:run("local c = ... while #c == 0 do end return c:recv()", there)
    end }:start()
    local n = 0
    for k = 1, 1000000 do n = n + k end
    there:send("done")
    is(select(2, t:join()), "done")
  end)

  test("threads within an interpreter", function(i)
    is(i:run([[
      local gil = require "gil"
      local n, threads = 0, {}
      for k = 1, 10 do
        threads[k] = gil.threading.Thread{target = function() n = n + k end}:start()
      end
      for _, t in ipairs(threads) do t:join() end
      return n]]), 55)
  end)

  test("closing waits for the threads within, and ends daemons", function(i)
    local out = interpreters.Channel()
    i:run([[
      local out = ...
      local gil = require "gil"
      local Thread = gil.threading.Thread
      Thread{target = function() gil.time.sleep(0.05) out:send("last") end}:start()
      Thread{daemon = true, target = function() while true do end end}:start()
      Thread{daemon = true, target = function() gil.time.sleep(1000) end}:start()]], out)
    i:close()
    is(#out, 1)
    is(out:recv(), "last")
    fails("the interpreter is closed", i.run, i, "return 1")
    fails("the interpreter is closed", i.close, i)
    getmetatable(i).__gc(i)
  end)

  test("one that is in use is not entered by another thread", function(i)
    local inside, c = interpreters.Channel(), interpreters.Channel()
    local t = Thread { target = function()
      return i:run("local inside, c = ... inside:send(true) return c:recv()", inside, c)
    end }:start()
    inside:recv()
    fails("another thread runs in the interpreter", i.run, i, "return 1")
    c:send(7)
    is(select(2, t:join()), 7)
  end)
end

tap.test("a channel that is full, and one that is empty, give up after a timeout", function()
  local c = interpreters.Channel(1)
  is(c:send(1), true)
  is(select(2, c:send(2, 0.001)), "timeout")
  is(c:recv(), 1)
  is(select(2, c:recv(0.001)), "timeout")
end)

tap.test("interpreters that are forgotten are closed", function()
  for _ = 1, 20 do interpreters.create():run("t = {}") end
  collectgarbage()
  collectgarbage()
end)

tap.test("misuse is an error that says what to do", function()
  fails("a channel has room for 1 to 1048576 values", interpreters.Channel, 0)
  fails("the option 'own_lock' is a boolean", interpreters.create, { own_lock = 1 })
  fails("a table cannot be passed", function() interpreters.Channel():send {} end)
end)

tap.done()
