-- Threads: starting, joining, errors in them, interrupting them, who there is.
local tap = require "tap"
local gil = require "gil"
local thread, threading, time = gil.thread, gil.threading, gil.time
local test, is, fails = tap.test, tap.is, tap.fails
local Thread = threading.Thread

-- What is printed about errors is not looked at here.
local function quietly(f)
  local hook = threading.excepthook
  threading.excepthook = function() end
  f()
  threading.excepthook = hook
end

test("each module can be required by itself", function()
  for name, module in pairs(gil) do is(require("gil." .. name), module) end
end)

test("a thread's target gets its arguments, and join returns its results", function()
  local t = Thread { target = function(...) return select("#", ...), ... end,
                     args = { "a", nil, "c", n = 3 } }
  t:start()
  local ok, n, a, b, c = t:join()
  is(ok, true) is(n, 3) is(a, "a") is(b, nil) is(c, "c")
end)

test("a subclass has a run method, and an init method that calls Thread.init", function()
  local MyThread = Thread:extend()
  function MyThread:init(n)
    Thread.init(self, { name = "mine" })
    self.n = n
  end
  function MyThread:run() return self.n * 2, self.name end
  local ok, twice, name = MyThread(21):start():join()
  is(ok, true) is(twice, 42) is(name, "mine")
end)

test("a thousand computing threads add up", function()
  local sum, lock = 0, threading.Lock()
  local threads = {}
  for i = 1, 1000 do
    threads[i] = Thread { target = function()
      local mine = 0
      for k = 1, 100 do mine = mine + k end
      lock:acquire()
      local held <close> = lock
      sum = sum + mine
    end }:start()
  end
  for _, t in ipairs(threads) do t:join() end
  is(sum, 5050000)
end)

test("threads that only compute take turns", function()
  local count, go = {}, true
  for i = 1, 3 do
    count[i] = 0
    Thread { target = function() while go do count[i] = count[i] + 1 end end }:start()
  end
  tap.wait_for(function() return count[1] > 1000 and count[2] > 1000 and count[3] > 1000 end)
  go = false
end)

test("an error in a thread is kept for join, and ends nothing else", function()
  quietly(function()
    local t = Thread { target = function() error("oops", 0) end }:start()
    local ok, message = t:join()
    is(ok, false) is(message, "oops") is(t:is_alive(), false)
    ok, message = t:join()
    is(ok, false) is(message, "oops")
    local object = {}
    ok, message = Thread { target = error, args = { object } }:start():join()
    is(message, object)
  end)
end)

test("excepthook gets the thread, the error and the traceback", function()
  local hook, seen = threading.excepthook, nil
  threading.excepthook = function(...) seen = { ... } end
  local t = Thread { target = function() local x = nil; return x.y end }:start()
  t:join()
  threading.excepthook = hook
  is(seen[1], t)
  assert(seen[2]:find("attempt to index a nil value", 1, true))
  assert(seen[3]:find("stack traceback", 1, true))
end)

test("join gives up after its timeout, and may be called again", function()
  local event = threading.Event()
  local t = Thread { target = function() event:wait() return 5 end }:start()
  local ok, why = t:join(0.01)
  is(ok, nil) is(why, "timeout") is(t:is_alive(), true)
  event:set()
  is(select(2, t:join()), 5)
  is(select(2, t:join(0)), 5)
end)

test("many threads join one", function()
  local event = threading.Event()
  local t = Thread { target = function() event:wait() return "x" end }:start()
  local joined = {}
  for i = 1, 10 do joined[i] = Thread { target = function() return t:join() end }:start() end
  event:set()
  for _, j in ipairs(joined) do is(select(3, j:join()), "x") end
end)

test("thread.exit ends a thread without an error", function()
  local t = Thread { target = function() thread.exit() end }:start()
  local ok, result = t:join()
  is(ok, true) is(result, nil)
end)

test("idents, native ids and names", function()
  local t = Thread { name = "worker", target = function()
    local file <close> = io.open("/proc/thread-self/comm")
    return thread.get_ident(), thread.get_native_id(), file:read(), threading.current_thread()
  end }
  is(t.ident, nil)
  t:start()
  local _, ident, native_id, comm, self = t:join()
  is(ident, t.ident) is(native_id, t.native_id) is(comm, "worker") is(self, t)
  assert(ident ~= thread.get_ident() and native_id ~= thread.get_native_id())
  is(threading.main_thread().ident, thread.get_ident())
  is(threading.current_thread(), threading.main_thread())
end)

test("enumerate and active_count know who is there", function()
  tap.wait_for(function() return threading.active_count() == 1 end)
  local event = threading.Event()
  local t = Thread { target = event.wait, args = { event } }
  is(threading.active_count(), 1)
  t:start()
  is(threading.active_count(), 2)
  local found = false
  for _, each in ipairs(threading.enumerate()) do found = found or each == t end
  is(found, true)
  event:set()
  t:join()
  is(threading.active_count(), 1)
end)

test("start_new_thread calls a function with arguments", function()
  local seen, done = nil, threading.Event()
  local ident = thread.start_new_thread(function(...) seen = { thread.get_ident(), ... } done:set() end,
                                        1, 2)
  done:wait()
  is(seen[1], ident) is(seen[2], 1) is(seen[3], 2)
end)

test("a thread that waits is interrupted", function()
  quietly(function()
    for _, wait in ipairs { function() threading.Event():wait() end,
                            function() time.sleep(1000) end,
                            function() gil.queue.Queue():get() end } do
      local t = Thread { target = wait }:start()
      t:interrupt()
      local ok, message = t:join()
      is(ok, false)
      assert(message:find("interrupted!", 1, true), message)
    end
  end)
end)

test("a thread that computes is interrupted", function()
  quietly(function()
    local t = Thread { target = function() while true do end end }:start()
    t:interrupt()
    is(t:join(), false)
  end)
end)

test("interrupt_main raises an error in the main thread", function()
  local main = threading.main_thread()
  fails("interrupted!", function() main:interrupt() end)
  local t = Thread { target = function() thread.interrupt_main() end }
  fails("interrupted!", function() t:start() threading.Event():wait() end)
  t:join()
end)

test("threading.local is each thread's own", function()
  local mine = threading["local"]()
  mine.x = 1
  local t = Thread { target = function()
    local before = mine.x
    mine.x = 2
    return before, mine.x
  end }:start()
  local _, before, after = t:join()
  is(before, nil) is(after, 2) is(mine.x, 1)
end)

test("a Timer calls its function, unless it is cancelled", function()
  local called = 0
  local t = threading.Timer(0.001, function(n) called = called + n end, { 5 })
  t:start()
  t:join()
  is(called, 5)
  t = threading.Timer(1000, function() called = -1 end)
  t:start()
  t:cancel()
  t:join()
  is(called, 5)
end)

test("misuse is an error that says what to do", function()
  fails("the function that the thread is to call expected, got no value", thread.start_new_thread)
  fails("target: a function expected, got a string", Thread, { target = "print" })
  fails("name: a string expected", Thread, { name = 5 })
  fails("the main thread cannot be joined", function() threading.current_thread():join() end)
  local t = Thread { target = function() return threading.current_thread():join() end }
  quietly(function() is(t:start():join(), false) end)
  assert(t.error:find("a thread cannot join itself", 1, true))
  fails("start the thread before you join it", function() Thread {}:join() end)
  fails("a thread can be started only once", function() t:start() end)
  local Sub = Thread:extend()
  function Sub:init() end
  fails("Thread.init was not called", function() Sub():start() end)
  fails("the main thread ends with the program", thread.exit)
  fails("a stack has 1048576 bytes at least", thread.stack_size, 100)
  fails("a timeout is a number of seconds that is not negative", function() t:join(-1) end)
  fails("a timeout is a number of seconds that is not negative", function() t:join(0 / 0) end)
  fails("number expected", function() t:join("soon") end)
end)

test("a yield across the boundary of a thread is an error that says what to do", function()
  local t = Thread { target = coroutine.yield }
  quietly(function() t:start():join() end)
  assert(t.error:find("a thread cannot yield to another one", 1, true), t.error)
end)

test("a stack size is for the threads that are started next", function()
  is(thread.stack_size(1 << 20), 0)
  is(Thread { target = function() return 1 end }:start():join(), true)
  is(thread.stack_size(0), 1 << 20)
end)

tap.done()
