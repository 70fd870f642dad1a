-- A pool of workers over a queue: how many prime numbers there are below a limit.
--
--     lua5.4 worker_pool.lua LIMIT WORKERS
local threading = require "gil.threading"
local queue = require "gil.queue"

local limit, workers = math.tointeger(arg[1]), math.tointeger(arg[2])
local CHUNK = 1000

local function is_prime(n)
  for d = 2, math.floor(n ^ 0.5) do
    if n % d == 0 then return false end
  end
  return n >= 2
end

local tasks, found = queue.Queue(2 * workers), queue.Queue()

local function work()
  local first = tasks:get()
  while first do
    local count = 0
    for n = first, math.min(first + CHUNK, limit) - 1 do
      if is_prime(n) then count = count + 1 end
    end
    found:put(count)
    tasks:task_done()
    first = tasks:get()
  end
end

local pool = {}
for i = 1, workers do pool[i] = threading.Thread { target = work, name = "worker " .. i }:start() end
local chunks, sum = 0, 0
for first = 0, limit - 1, CHUNK do
  tasks:put(first)
  chunks = chunks + 1
end
tasks:join()
for _ = 1, workers do tasks:put(false) end -- there is no more
for _, t in ipairs(pool) do assert(t:join()) end
for _ = 1, chunks do sum = sum + found:get() end
print(sum)
