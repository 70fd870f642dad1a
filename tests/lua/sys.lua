-- gil.sys: after how many instructions, or how much time, threads take turns; errors; counters.
local tap = require "tap"
local gil = require "gil"
local sys, threading = gil.sys, gil.threading
local test, is, fails = tap.test, tap.is, tap.fails
local Thread = threading.Thread

-- Two threads go rounds of a loop, of 17 instructions each, until they have taken so many turns, or
-- each has gone so many rounds. Returns the rounds of each turn.
local function turns(most, rounds)
  local both, last, lengths = threading.Barrier(2), nil, {}
  local threads = {}
  for i = 1, 2 do
    threads[i] = Thread { target = function()
      both:wait()
      for _ = 1, rounds do
        if last ~= i then last, lengths[#lengths + 1] = i, 0 end
        lengths[#lengths] = lengths[#lengths] + 1
        if #lengths > most then return end
      end
    end }:start()
  end
  for _, t in ipairs(threads) do assert(t:join()) end
  return lengths
end

test("the intervals are 100 instructions and 5 milliseconds unless they are set", function()
  is(sys.getcheckinterval(), 100)
  is(sys.getswitchinterval(), 0.005)
end)

test("what is set is what one gets; less than 1 instruction is 1", function()
  sys.setcheckinterval(500)
  is(sys.getcheckinterval(), 500)
  sys.setcheckinterval(0)
  is(sys.getcheckinterval(), 1)
  sys.setcheckinterval(-7)
  is(sys.getcheckinterval(), 1)
  sys.setcheckinterval(math.maxinteger)
  assert(sys.getcheckinterval() > 1000000)
  sys.setswitchinterval(0.25)
  is(sys.getswitchinterval(), 0.25)
  sys.setswitchinterval(0.005)
end)

-- The first turn lasts until the other thread runs; at the end, one runs alone. A turn is longer
-- where another program has the processor that the other thread waits for: seldom most of them.
test("after setcheckinterval, a turn lasts the interval", function()
  for _, interval in ipairs { 100, 1000, 10000 } do
    sys.setcheckinterval(interval)
    local lengths = table.move(turns(50, 10000000), 3, 48, 1, {})
    is(#lengths, 46)
    table.sort(lengths)
    local shortest, median = lengths[1], lengths[23]
    assert(shortest >= interval / 30, ("interval %d: %d rounds"):format(interval, shortest))
    assert(median <= interval / 10, ("interval %d: %d rounds mostly"):format(interval, median))
  end
  sys.setswitchinterval(0.005)
end)

test("setswitchinterval returns to turns by time", function()
  sys.setcheckinterval(1)
  sys.setswitchinterval(1000)
  local lengths = turns(1000, 2000)
  sys.setswitchinterval(0.005)
  assert(#lengths <= 20, #lengths .. " turns without time for them")
end)

test("the interval is changed while threads compute, and none is left behind", function()
  for round = 1, 20 do
    local go, count = true, { 0, 0, 0 }
    local threads = {}
    for i = 1, 3 do
      threads[i] = Thread { target = function()
        local step = coroutine.wrap(function()
          while true do count[i] = count[i] + 1 coroutine.yield() end
        end)
        while go do step() end
      end }:start()
    end
    for k = 1, 10 do
      if (k + round) % 2 == 0 then
        sys.setcheckinterval(k * 7)
      else
        sys.setswitchinterval(0.0005)
      end
      local before = table.pack(table.unpack(count))
      tap.wait_for(function()
        return count[1] > before[1] and count[2] > before[2] and count[3] > before[3]
      end)
    end
    go = false
    for _, t in ipairs(threads) do assert(t:join()) end
  end
  sys.setswitchinterval(0.005)
end)

test("exc_info is the error that sys.pcall caught last, each thread's own", function()
  is(select("#", sys.exc_info()), 0)
  local object = {}
  local ok, err = sys.pcall(error, object)
  is(ok, false) is(err, object)
  local value, traceback = sys.exc_info()
  is(value, object)
  assert(traceback:find("stack traceback", 1, true), traceback)
  local t = Thread { target = function() return select("#", sys.exc_info()) end }:start()
  is(select(2, t:join()), 0)
  is(select("#", sys.pcall(function(...) return ... end, 1, nil, 3)), 4)
  is(sys.exc_info(), object)
end)

test("sys.pcall may be yielded across", function()
  local function fail() error(coroutine.yield(1), 0) end
  local co = coroutine.wrap(function() return sys.pcall(fail) end)
  is(co(), 1)
  local ok, err = co("late")
  is(ok, false) is(err, "late")
end)

test("stats has each thread's counters", function()
  local done = threading.Event()
  local t = Thread { target = function() done:wait() end }:start()
  local found
  for _, one in ipairs(sys.stats()) do
    for _, name in ipairs { "tid", "threads", "acquires", "contended", "forced", "handovers",
                            "requests", "wait_ns", "wait_max_ns" } do
      is(math.type(one[name]), "integer")
    end
    if one.tid == t.native_id then found = one end
  end
  assert(found and found.acquires > 0, "the thread is not among them")
  done:set()
  t:join()
end)

test("an interval that is none is an error that says what to do", function()
  fails("number expected, got string", sys.setcheckinterval, "often")
  fails("number has no integer representation", sys.setcheckinterval, 1.5)
  fails("number expected, got no value", sys.setcheckinterval)
  fails("the switch interval is more than 0 seconds", sys.setswitchinterval, 0)
  for _, none in ipairs { -1, 0 / 0 } do
    fails("the switch interval is a number of seconds that is not negative",
          sys.setswitchinterval, none)
  end
  fails("number expected, got table", sys.setswitchinterval, {})
  fails("value expected", sys.pcall)
end)

tap.done()
