-- Computes: objects, closures, strings, tables, coroutines. single.lua [HOW [COUNT]], and HOW says
-- who else is there:
--   alone     nobody: Lua as it is, without gil (as also without arguments)
--   threads   gil, and COUNT threads that share the work
--   asleep    gil, and a thread that sleeps as long as the work takes
--   naps      gil, and a thread that sleeps for 10 ms, again and again
local how, count = arg[1] or "alone", tonumber(arg[2] or 1)
local steps = 60

local Body = {}
Body.__index = Body

local function new_body(number)
  return setmetatable({ place = { number * 1.5, number * -0.7, number * 0.3 },
                        speed = { 0.01 * number, 0.02, -0.01 * number } }, Body)
end

function Body:pull_at(other, dt)
  local square, gap = 0.01, {}
  for axis = 1, 3 do
    gap[axis] = self.place[axis] - other.place[axis]
    square = square + gap[axis] ^ 2
  end
  for axis = 1, 3 do
    self.speed[axis] = self.speed[axis] - gap[axis] * dt / square ^ 1.5
    other.speed[axis] = other.speed[axis] + gap[axis] * dt / square ^ 1.5
  end
end

local function advance(bodies, dt)
  for i = 1, #bodies do
    for k = i + 1, #bodies do bodies[i]:pull_at(bodies[k], dt) end
  end
  for _, body in ipairs(bodies) do
    for axis = 1, 3 do body.place[axis] = body.place[axis] + dt * body.speed[axis] end
  end
end

local text = ("the lazy dog looks on while a well-fed quick brown fox jumps over it, again "):rep(40)

local function count_words()
  local words, list = {}, {}
  for word in text:gmatch("%a+") do words[word] = (words[word] or 0) + 1 end
  for word, n in pairs(words) do list[#list + 1] = ("%s %d"):format(word, n) end
  table.sort(list, function(a, b) return a > b end)
  return table.concat(list, "\n")
end

local function primes(limit)
  return coroutine.wrap(function()
    local composite = {}
    for n = 2, limit do
      if not composite[n] then
        coroutine.yield(n)
        for multiple = n * n, limit, n do composite[multiple] = true end
      end
    end
  end)
end

local function work()
  local bodies = {}
  for number = 1, 5 do bodies[number] = new_body(number) end
  for _ = 1, steps // count do
    for _ = 1, 600 do advance(bodies, 0.001) end
    for _ = 1, 8 do count_words() end
    local sum = 0
    for n in primes(10000) do sum = sum + n end
  end
end

if how == "alone" then
  work()
  return
end

local gil = require "gil"

if how == "threads" then
  local threads = {}
  for i = 1, count do threads[i] = gil.threading.Thread { target = work }:start() end
  for _, t in ipairs(threads) do t:join() end
else
  gil.threading.Thread { daemon = true, target = function()
    repeat gil.time.sleep(how == "naps" and 0.01 or 1000) until false
  end }:start()
  work()
end
