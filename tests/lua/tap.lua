-- A test is a function with a name: tap.test(name, f). It fails by an error. tap.done() ends.
local tap = {}
local tests = {}

function tap.test(name, f)
  tests[#tests + 1] = { name = name, f = f }
end

-- Is it so? Otherwise says what was found.
function tap.is(found, expected)
  if found ~= expected then
    error(("found %s, expected %s"):format(tostring(found), tostring(expected)), 2)
  end
end

-- f(...) fails, and its message contains the text.
function tap.fails(text, f, ...)
  local ok, message = pcall(f, ...)
  if ok or not tostring(message):find(text, 1, true) then
    error(("found %s: %s, expected an error with: %s"):format(ok, tostring(message), text), 2)
  end
end

-- Waits until condition() is true, and fails when that takes more than half a minute.
function tap.wait_for(condition)
  local time = require "gil.time"
  local deadline = time.monotonic() + 30
  while not condition() do
    if time.monotonic() > deadline then error("it did not come to pass", 2) end
    time.sleep(0.001)
  end
end

-- Runs the tests, or those whose names contain the first argument of the program.
function tap.done()
  io.stdout:setvbuf("line")
  local chosen = {}
  for _, test in ipairs(tests) do
    if not arg[1] or test.name:find(arg[1], 1, true) then chosen[#chosen + 1] = test end
  end
  print("1.." .. #chosen)
  for i, test in ipairs(chosen) do
    local ok, message = xpcall(test.f, debug.traceback)
    print(("%s %d - %s"):format(ok and "ok" or "not ok", i, test.name))
    if not ok then print("# " .. tostring(message):gsub("\n", "\n# ")) end
  end
end

return tap
