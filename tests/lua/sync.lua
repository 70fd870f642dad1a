-- What threads wait for each other with: locks, conditions, semaphores, events, barriers, queues.
local tap = require "tap"
local gil = require "gil"
local threading, queue = gil.threading, gil.queue
local test, is, fails = tap.test, tap.is, tap.fails
local Thread = threading.Thread

-- f(...) in a thread of its own: what it returns.
local function elsewhere(f, ...)
  local results = table.pack(Thread { target = f, args = table.pack(...) }:start():join())
  is(results[1], true)
  return table.unpack(results, 2, results.n)
end

-- Starts n threads that do f(i); returns a function that joins them all.
local function crowd(n, f)
  local all = {}
  for i = 1, n do all[i] = Thread { target = f, args = { i } }:start() end
  return function() for _, t in ipairs(all) do assert(t:join()) end end
end

test("a Lock is held by one thread, and may be released by another", function()
  local lock = threading.Lock()
  is(lock:locked(), false)
  is(lock:acquire(), true)
  is(lock:locked(), true)
  is(elsewhere(lock.acquire, lock, false), false)
  is(elsewhere(lock.acquire, lock, true, 0.01), false)
  elsewhere(lock.release, lock)
  is(lock:locked(), false)
end)

test("a Lock guards what several instructions do, by time and at every instruction", function()
  local lock, count = threading.Lock(), 0
  for _, set in ipairs { function() gil.sys.setcheckinterval(1) end,
                         function() gil.sys.setswitchinterval(0.005) end } do
    set()
    count = 0
    crowd(4, function()
      for _ = 1, 200 do
        lock:acquire()
        local held <close> = lock
        local before = count
        for _ = 1, 5 do count = count end
        count = before + 1
      end
    end)()
    is(count, 800)
  end
end)

test("an RLock is acquired again by its owner, and released as often", function()
  local lock = threading.RLock()
  is(lock:acquire(), true) is(lock:acquire(), true)
  lock:release()
  is(elsewhere(lock.acquire, lock, false), false)
  lock:release()
  is(lock:locked(), false)
  is(elsewhere(lock.acquire, lock, false), true)
end)

test("a Condition wakes as many as notify says", function()
  local condition, woken, ready = threading.Condition(), 0, 0
  local join = crowd(3, function()
    condition:acquire()
    local held <close> = condition
    ready = ready + 1
    condition:wait()
    woken = woken + 1
  end)
  local function notify(method, ...)
    condition:acquire()
    local held <close> = condition
    condition[method](condition, ...)
  end
  tap.wait_for(function() return ready == 3 end)
  notify("notify")
  tap.wait_for(function() return woken == 1 end)
  notify("notify_all")
  join()
  is(woken, 3)
end)

test("a Condition's wait and wait_for give up after their timeout", function()
  local condition = threading.Condition(threading.Lock())
  condition:acquire()
  is(condition:wait(0.01), false)
  is(condition:wait_for(function() return false end, 0.01), false)
  is(condition:wait_for(function() return "there" end), "there")
  condition:release()
end)

test("a Semaphore lets in as many as it says", function()
  local semaphore, guard, inside, most = threading.Semaphore(2), threading.Lock(), 0, 0
  local function change(by)
    guard:acquire()
    local held <close> = guard
    inside = inside + by
    most = math.max(most, inside)
  end
  crowd(8, function()
    for _ = 1, 20 do
      semaphore:acquire()
      change(1)
      gil.time.sleep(0)
      change(-1)
      semaphore:release()
    end
  end)()
  assert(most <= 2, most)
  is(semaphore:value(), 2)
  is(semaphore:acquire(false), true) is(semaphore:acquire(false), true)
  is(semaphore:acquire(false), false)
  semaphore:release(2)
  is(semaphore:value(), 2)
end)

test("a BoundedSemaphore is not released more often than acquired", function()
  local semaphore = threading.BoundedSemaphore(1)
  semaphore:acquire()
  semaphore:release()
  fails("the semaphore was released more often", semaphore.release, semaphore)
  is(semaphore:value(), 1)
end)

test("an Event lets all go on, until it is cleared", function()
  local event = threading.Event()
  is(event:is_set(), false)
  is(event:wait(0.01), false)
  local join = crowd(5, function() event:wait() end)
  event:set()
  join()
  is(event:wait(), true)
  event:clear()
  is(event:is_set(), false)
end)

test("a Barrier lets its parties go on together, again and again", function()
  local barrier, arrived, sums = threading.Barrier(3), { 0, 0, 0 }, { 0, 0, 0 }
  is(barrier:parties(), 3)
  crowd(3, function(i)
    for round = 1, 20 do
      arrived[i] = round
      local number = barrier:wait()
      sums[i] = sums[i] + number
      for k = 1, 3 do assert(arrived[k] >= round, "it let one go too early") end
    end
  end)()
  is(sums[1] + sums[2] + sums[3], 20 * (1 + 2 + 3))
end)

test("a Barrier is broken by a timeout or abort, and mended by reset", function()
  local barrier = threading.Barrier(2)
  local number, why = barrier:wait(0.01)
  is(number, nil) is(why, "timeout") is(barrier:broken(), true)
  is(select(2, barrier:wait()), "broken")
  barrier:reset()
  is(barrier:broken(), false)
  local join = crowd(1, function() is(select(2, barrier:wait()), "broken") end)
  tap.wait_for(function() return barrier:n_waiting() == 1 end)
  barrier:abort()
  join()
end)

test("a Queue gives what was put, in order, and knows when all is done", function()
  local q, sum = queue.Queue(2), 0
  local join = crowd(1, function()
    for i = 1, 100 do
      is(q:get(), i)
      sum = sum + i
      q:task_done()
    end
  end)
  for i = 1, 100 do is(q:put(i), true) end
  is(q:join(), true)
  is(sum, 5050) is(q:empty(), true)
  join()
end)

test("a Queue that is full or empty: at once, and after a timeout", function()
  local q = queue.Queue(1)
  is(select(2, q:get_nowait()), "empty") is(select(2, q:get(true, 0.01)), "empty")
  is(q:put("x"), true) is(q:full(), true) is(q:qsize(), 1)
  is(select(2, q:put_nowait("y")), "full") is(select(2, q:put("y", true, 0.01)), "full")
  is(q:join(0.01), false)
  is(q:get(), "x")
  q:task_done()
  fails("task_done was called more often than put", q.task_done, q)
end)

test("misuse is an error that says what to do", function()
  fails("release of a lock that nobody holds: acquire it first", function()
    threading.Lock():release()
  end)
  local lock = threading.RLock()
  lock:acquire()
  elsewhere(fails, "release of an RLock that this thread does not hold: acquire it first",
            lock.release, lock)
  lock:release()
  for _, method in ipairs { "wait", "notify", "notify_all" } do
    local condition = threading.Condition()
    fails(method .. ": acquire the condition's lock first", condition[method], condition)
  end
  fails("an acquire that does not block takes no timeout", lock.acquire, lock, false, 1)
  fails("a timeout is a number of seconds that is not negative", lock.acquire, lock, true, -1)
  fails("boolean expected", lock.acquire, lock, 1)
  fails("the number is out of range", threading.Semaphore, -1)
  fails("the number is out of range", threading.Barrier, 0)
  fails("number expected", threading.Barrier)
  fails("nil cannot be put into a queue", function() queue.Queue():put(nil) end)
  fails("the maximum size is a number", queue.Queue, "2")
  fails("the seconds of a Timer: a number expected", threading.Timer, "soon")
end)

tap.done()
