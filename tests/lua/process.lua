-- gil.process: popen, waiting, signals, misuse.
local tap = require "tap"
local gil = require "gil"
local process, time = gil.process, gil.time
local test, is, fails = tap.test, tap.is, tap.fails
local Thread = gil.threading.Thread

test("popen reads what a command prints, for the shell or as a list", function()
  local p = assert(process.popen("echo one; echo two; exit 3"))
  is(p:read(), "one") is(p:read("a"), "two\n")
  local ok, how, code = p:close()
  is(ok, nil) is(how, "exit") is(code, 3)
  p = process.popen { "echo", "a  b", "$HOME" }
  for line in p:lines() do is(line, "a  b $HOME") end
  is(p:close(), true)
end)

test("popen writes what a command reads", function()
  local path = os.tmpname()
  local p = assert(process.popen("cat > " .. path, "w"))
  is(p:write("some ", "words"), p) is(p:close(), true)
  is(gil.file.read(path), "some words")
  os.remove(path)
end)

test("execute returns what os.execute does", function()
  is(process.execute("true"), true)
  local ok, how, code = process.execute("kill -9 $$")
  is(ok, nil) is(how, "signal") is(code, 9)
end)

test("wait has a timeout, may be called by many threads, and again", function()
  local p <close> = process.spawn { "sleep", "1000" }
  is(select(2, p:wait(0.01)), "timeout") is(select(2, p:wait(0)), "timeout")
  local waiting = {}
  for i = 1, 5 do waiting[i] = Thread { target = p.wait, args = { p } }:start() end
  is(p:kill(), true)
  for _, t in ipairs(waiting) do
    local _, ok, how, code = t:join()
    is(ok, nil) is(how, "signal") is(code, 15)
  end
  is(select(3, p:wait()), 15) is(select(3, p:wait(0)), 15)
end)

test("threads that wait for processes wait at the same time", function()
  local begin = time.monotonic()
  local threads = {}
  for i = 1, 20 do
    threads[i] = Thread { target = process.execute, args = { { "sleep", "0.3" } } }:start()
  end
  for _, t in ipairs(threads) do is(select(2, t:join()), true) end
  assert(time.monotonic() - begin < 20 * 0.3)
end)

test("a process has none of our files but the pipe", function()
  local s <close> = gil.socket.bind("127.0.0.1", 0)
  local f <close> = gil.file.open("/dev/null")
  local p = process.popen("ls -l /proc/self/fd")
  local found = p:read("a")
  p:close()
  assert(not found:find("socket:", 1, true), found)
end)

test("a process that nobody waits for is collected when it has ended", function()
  local p = process.spawn("exit 0")
  local pid = p:pid()
  tap.wait_for(function()
    local stat = gil.file.read("/proc/" .. pid .. "/stat")
    return not stat or stat:find(") Z", 1, true)
  end)
  p = nil
  collectgarbage()
  collectgarbage()
  is(gil.file.read("/proc/" .. pid .. "/stat"), nil)
end)

test("misuse is an error that says what to do", function()
  local p, message, code = process.popen { "/no/such/program" }
  is(p, nil) is(code, 2)
  assert(message:find("/no/such/program: No such file or directory", 1, true), message)
  fails("a command is a string, or a list of a program and its arguments", process.popen)
  fails("a program and its arguments are strings", process.popen, { "echo", {} })
  fails("the list has no program", process.popen, {})
  fails('the mode of popen is "r" or "w"', process.popen, "true", "rw")
  p = process.spawn("true")
  fails("this process has no pipe: start it with popen", p.read, p)
  p:wait()
  fails("kill: the process has ended", p.kill, p)
  fails("a timeout is a number of seconds", p.wait, p, -1)
end)

tap.done()
