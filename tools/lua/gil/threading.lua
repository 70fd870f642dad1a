-- gil.threading: threads as objects, and what they wait for each other with. Built on gil.thread.
--
-- A Thread is in `limbo` from start() until it runs, and then in `active`, by its ident, until it
-- has ended. Both are guarded by `guard`: a table must not grow while another thread traverses it.
local thread = require "gil.thread"

local threading = {
  Lock = thread.allocate_lock,
  RLock = thread.allocate_rlock,
  Condition = thread.allocate_condition,
  Semaphore = thread.allocate_semaphore,
  BoundedSemaphore = thread.allocate_bounded_semaphore,
  Event = thread.allocate_event,
  Barrier = thread.allocate_barrier,
  get_ident = thread.get_ident,
  get_native_id = thread.get_native_id,
  stack_size = thread.stack_size,
}

local guard = thread.allocate_lock()
local limbo, active = {}, {}
local count = 0

local function guarded(f, ...)
  guard:acquire()
  local held <close> = guard
  return f(...)
end

local function check(value, kind, what, level)
  if value ~= nil and type(value) ~= kind then
    error(("%s: a %s expected, got a %s"):format(what, kind, type(value)), level + 1)
  end
end

---- Classes ----

-- Calling a class makes an object and calls its init method.
local function new(class, ...)
  local object = setmetatable({}, class)
  object:init(...)
  return object
end

local function subclass(parent)
  local class = {}
  class.__index = class
  class.__tostring = parent and parent.__tostring
  return setmetatable(class, { __index = parent, __call = new })
end

---- Thread ----

local Thread = subclass()
threading.Thread = Thread

-- A subclass, which may have methods init and run of its own.
function Thread:extend()
  return subclass(self)
end

-- options: target, args, name, daemon. A subclass that has an init of its own calls this one.
function Thread:init(options)
  check(options, "table", "Thread", 3)
  options = options or {}
  check(options.target, "function", "target", 3)
  check(options.args, "table", "args", 3)
  check(options.name, "string", "name", 3)
  check(options.daemon, "boolean", "daemon", 3)
  count = count + 1
  self.target, self.args = options.target, options.args or {}
  self.name = options.name or "Thread-" .. count
  self.daemon = options.daemon
  if self.daemon == nil then self.daemon = threading.current_thread().daemon end
  self.locals = {}
end

-- What the thread does: calls target with args, unless a subclass does something else.
function Thread:run()
  if self.target then return self.target(table.unpack(self.args, 1, self.args.n or #self.args)) end
end

-- Called in a thread that has ended with an error, which has not been caught. May be replaced.
function threading.excepthook(t, err, traceback)
  io.stderr:write(("gil: error in %s: %s\n"):format(t.name, traceback))
end

local function failed(err)
  if thread.is_exit(err) then return err end
  return { error = err, traceback = debug.traceback(tostring(err), 2) }
end

local function finish(t, ok, failure, ...)
  if ok then
    t.results = table.pack(failure, ...)
  elseif thread.is_exit(failure) then
    t.results = table.pack()
  else
    t.failed, t.error = true, failure.error
    threading.excepthook(t, failure.error, failure.traceback)
  end
end

-- However the thread ends, even if it is interrupted in here, it is not active any more.
local function run(t)
  local left <close> = setmetatable({}, { __close = function(_, err)
    guarded(function() active[t.ident] = nil end)
    t.locals = nil
    if err ~= nil then t.failed, t.error = true, err end
  end })
  t.ident, t.native_id = thread.get_ident(), thread.get_native_id()
  guarded(function() active[t.ident], limbo[t] = t, nil end)
  t.started:set()
  finish(t, xpcall(t.run, failed, t))
end

-- Starts the thread, and returns it as soon as it runs.
function Thread:start()
  if self.handle then error("a thread can be started only once: make another Thread", 2) end
  if not self.locals then error("Thread.init was not called: a subclass's init has to", 2) end
  self.started = thread.allocate_event()
  guarded(function() limbo[self] = true end)
  local ok, handle = pcall(thread.start_joinable_thread, function() run(self) end,
                           { name = self.name, daemon = self.daemon })
  if not ok then
    guarded(function() limbo[self] = nil end)
    error(handle, 2)
  end
  self.handle = handle
  self.started:wait()
  return self
end

-- Waits until the thread has ended, for `timeout` seconds at most. Returns true and what run
-- returned; false and the error with which it ended; or nil and "timeout".
function Thread:join(timeout)
  if self == threading.current_thread() then
    error("a thread cannot join itself: it would wait for ever", 2)
  end
  if not self.handle then error("start the thread before you join it", 2) end
  if not self.handle:join(timeout) then return nil, "timeout" end
  if self.failed then return false, self.error end
  local results = self.results or {}
  return true, table.unpack(results, 1, results.n)
end

function Thread:is_alive()
  return self.handle ~= nil and not self.handle:is_done()
end

-- Has an error, "interrupted!", raised in the thread, as soon as it runs Lua or where it waits.
function Thread:interrupt()
  if not self.handle then error("start the thread before you interrupt it", 2) end
  self.handle:interrupt()
end

function Thread:__tostring()
  return ("Thread(%s, %s)"):format(self.name, self.ident or "initial")
end

---- Which threads there are ----

-- A thread that was not started by start(): the main thread, and those of gil.thread.
local function adopt(name, daemon)
  local t = setmetatable({ name = name, daemon = daemon, locals = {}, ident = thread.get_ident(),
                           native_id = thread.get_native_id() }, Thread)
  guarded(function() active[t.ident] = t end)
  return t
end

local main = adopt("MainThread", false)

function main:is_alive() -- luacheck: no self
  return true
end

function main:join()
  error("the main thread cannot be joined: it ends with the program", 2)
end

function main:interrupt() -- luacheck: no self
  thread.interrupt_main()
end

function threading.main_thread()
  return main
end

function threading.current_thread()
  return active[thread.get_ident()] or adopt("Foreign-" .. thread.get_native_id(), true)
end

-- All threads that have been started and have not ended.
function threading.enumerate()
  return guarded(function()
    local all = {}
    for _, t in pairs(active) do all[#all + 1] = t end
    for t in pairs(limbo) do all[#all + 1] = t end
    return all
  end)
end

function threading.active_count()
  return #threading.enumerate()
end

---- Timer ----

-- Calls f(table.unpack(args)) after so many seconds, unless it is cancelled before.
local Timer = Thread:extend()
threading.Timer = Timer

function Timer:init(seconds, f, args)
  check(seconds, "number", "the seconds of a Timer", 3)
  Thread.init(self, { target = f, args = args })
  self.seconds, self.cancelled = seconds, thread.allocate_event()
end

function Timer:run()
  if not self.cancelled:wait(self.seconds) then return Thread.run(self) end
end

function Timer:cancel()
  self.cancelled:set()
end

---- local ----

-- A table whose fields are each thread's own; they go when the thread ends.
threading["local"] = function()
  local key = {}
  local function fields()
    local locals = threading.current_thread().locals
    local mine = locals[key]
    if not mine then
      mine = {}
      locals[key] = mine
    end
    return mine
  end
  return setmetatable({}, {
    __index = function(_, name) return fields()[name] end,
    __newindex = function(_, name, value) fields()[name] = value end,
    __pairs = function() return pairs(fields()) end,
  })
end

return threading
