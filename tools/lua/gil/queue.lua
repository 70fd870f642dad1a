-- gil.queue: a first-in-first-out queue between threads.
local threading = require "gil.threading"

local Queue = {}
Queue.__index = Queue

-- A queue of at most `maxsize` items; without it, or with 0, of any number.
local function new(maxsize)
  if maxsize ~= nil and type(maxsize) ~= "number" then
    error("Queue: the maximum size is a number", 2)
  end
  local lock = threading.Lock()
  return setmetatable({
    maxsize = maxsize or 0,
    lock = lock,
    not_empty = threading.Condition(lock),
    not_full = threading.Condition(lock),
    all_done = threading.Condition(lock),
    first = 1,
    last = 0,
    unfinished = 0,
  }, Queue)
end

-- Waits, with the queue's lock held, until ready() is true. block: true unless it is false.
local function wait(condition, ready, block, timeout)
  if block == false then return ready() end
  return condition:wait_for(ready, timeout)
end

-- Adds an item at the end. Waits while the queue is full, for `timeout` seconds at most; not at all
-- if block is false. Returns true; or nil and "full".
function Queue:put(item, block, timeout)
  if item == nil then error("nil cannot be put into a queue: put false, or a table", 2) end
  self.lock:acquire()
  local held <close> = self.lock
  local function room() return self.maxsize <= 0 or self.last - self.first + 1 < self.maxsize end
  if not wait(self.not_full, room, block, timeout) then return nil, "full" end
  self.last = self.last + 1
  self[self.last] = item
  self.unfinished = self.unfinished + 1
  self.not_empty:notify()
  return true
end

-- Takes the first item. Waits while there is none, as put does. Returns it; or nil and "empty".
function Queue:get(block, timeout)
  self.lock:acquire()
  local held <close> = self.lock
  local function filled() return self.first <= self.last end
  if not wait(self.not_empty, filled, block, timeout) then return nil, "empty" end
  local item = self[self.first]
  self[self.first] = nil
  self.first = self.first + 1
  self.not_full:notify()
  return item
end

function Queue:put_nowait(item)
  return self:put(item, false)
end

function Queue:get_nowait()
  return self:get(false)
end

-- How many items are in the queue at this moment.
function Queue:qsize()
  self.lock:acquire()
  local held <close> = self.lock
  return self.last - self.first + 1
end

function Queue:empty()
  return self:qsize() == 0
end

function Queue:full()
  return self.maxsize > 0 and self:qsize() >= self.maxsize
end

-- Says that what was done with an item that get returned is done.
function Queue:task_done()
  self.lock:acquire()
  local held <close> = self.lock
  if self.unfinished == 0 then error("task_done was called more often than put", 2) end
  self.unfinished = self.unfinished - 1
  if self.unfinished == 0 then self.all_done:notify_all() end
end

-- Waits until task_done was called for every item; for `timeout` seconds at most. True: it was.
function Queue:join(timeout)
  self.lock:acquire()
  local held <close> = self.lock
  return self.all_done:wait_for(function() return self.unfinished == 0 end, timeout)
end

return { Queue = new }
