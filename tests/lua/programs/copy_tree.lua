-- Copies a tree of files with threads. What is there already is replaced.
--
--     lua5.4 copy_tree.lua FROM TO THREADS
local threading = require "gil.threading"
local queue = require "gil.queue"
local file = require "gil.file"

local from, to, threads = arg[1], arg[2], math.tointeger(arg[3])
local BLOCK = 1 << 17

local files, lock, copied, failures = queue.Queue(100), threading.Lock(), 0, {}

local function fail(message)
  lock:acquire()
  local held <close> = lock
  failures[#failures + 1] = message
end

local function copy(name)
  local source, message = file.open(from .. name)
  if not source then return fail(message) end
  local closed <close> = source
  local target
  target, message = file.open(to .. name, "w")
  if not target then return fail(message) end
  local closed_too <close> = target
  local block
  repeat
    block, message = source:read(BLOCK)
    if block then
      local ok
      ok, message = target:write(block)
      block = ok and block
    end
  until not block
  if message then return fail(message) end
  lock:acquire()
  local held <close> = lock
  copied = copied + 1
end

local function work()
  local name = files:get()
  while name do
    copy(name)
    name = files:get()
  end
end

-- Directories first, by one thread: a file's is there before the file.
local function walk(name)
  local ok, message, code = file.mkdir(to .. name)
  local there = not ok and file.stat(to .. name)
  if not ok and not (there and there.type == "directory") then return fail(message) end
  local names
  names, message = file.list(from .. name)
  if not names then return fail(message) end
  table.sort(names)
  for _, entry in ipairs(names) do
    entry = name .. "/" .. entry
    local about = file.stat(from .. entry)
    if about and about.type == "directory" then
      walk(entry)
    elseif about and about.type == "file" then
      files:put(entry)
    else
      fail(from .. entry .. ": neither a file nor a directory")
    end
  end
end

local all = {}
for i = 1, threads do all[i] = threading.Thread { target = work }:start() end
walk("")
for _ = 1, threads do files:put(false) end
for _, t in ipairs(all) do assert(t:join()) end
print(copied .. " files")
for _, message in ipairs(failures) do io.stderr:write(message, "\n") end
os.exit(#failures == 0 and 0 or 1, true)
