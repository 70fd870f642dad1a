-- gil.file: reading, writing, positions, directories, many files, misuse.
local tap = require "tap"
local gil = require "gil"
local file, time = gil.file, gil.time
local test, is, fails = tap.test, tap.is, tap.fails
local Thread = gil.threading.Thread

-- A new directory; it goes when the variable does.
local function directory()
  local path = os.tmpname()
  os.remove(path)
  assert(file.mkdir(path))
  return setmetatable({ path = path }, {
    __concat = function(d, name) return d.path .. name end,
    __close = function(d)
      for _, name in ipairs(file.list(d.path)) do file.remove(d .. "/" .. name) end
      assert(file.remove(d.path))
    end,
  })
end

test("what is written can be read: lines, bytes, all", function()
  local d <close> = directory()
  local path = d .. "/text"
  local f = assert(file.open(path, "w"))
  is(f:write("one\n", "two\r\n", 3, "\nlast"), f) is(f:close(), true)
  f = assert(file.open(path))
  is(f:read(), "one") is(f:read("l"), "two\r") is(f:read("*L"), "3\n")
  is(f:read(2), "la") is(f:read(0), "") is(f:read("a"), "st")
  is(f:read("a"), "") is(f:read(), nil) is(f:read(0), nil) is(f:read(1), nil)
  is(f:seek("set", 0), 0)
  local a, b, c = f:read("l", 3, "a")
  is(a, "one") is(b, "two") is(c, "\r\n3\nlast")
  f:close()
  is(file.read(path), "one\ntwo\r\n3\nlast")
end)

test("lines: of a file, and of a name", function()
  local d <close> = directory()
  local path, lines = d .. "/text", {}
  is(file.write(path, "a\nb\n\nc"), true)
  for line in file.lines(path) do lines[#lines + 1] = line end
  is(table.concat(lines, "|"), "a|b||c")
  for block in file.lines(path, 4) do lines[#lines + 1] = block end
  is(lines[5], "a\nb\n") is(lines[6], "\nc")
  fails("No such file", file.lines, d .. "/none")
end)

test("modes", function()
  local d <close> = directory()
  local path = d .. "/f"
  is(file.open(path), nil) is(file.open(path, "r+"), nil)
  file.write(path, "12345")
  local f = file.open(path, "a")
  f:write("6")
  f:close()
  f = file.open(path, "r+b")
  is(f:read(1), "1") is(f:seek(), 1)
  f:write("x")
  is(f:read("a"), "3456")
  f:close()
  is(file.read(path), "1x3456")
  is(file.open(path, "wx"), nil)
  file.open(path, "w"):close()
  is(file.read(path), "")
end)

test("pread and pwrite leave the position alone", function()
  local d <close> = directory()
  local f <close> = file.open(d .. "/f", "w+")
  f:write("0123456789")
  is(f:pread(3, 4), "456") is(f:pread(5, 8), "89") is(f:pread(5, 10), nil) is(f:pread(0, 0), "")
  is(f:pwrite("xy", 1), f) is(f:pwrite("end", 12), f)
  is(f:seek(), 10) is(f:seek("end"), 15)
  is(f:pread(100, 0), "0xy3456789\0\0end")
  is(f:sync(), f) is(f:sync(true), f)
end)

test("a large file, read and written by many threads", function()
  local d <close> = directory()
  local f <close> = file.open(d .. "/f", "w+")
  local block, threads = ("x"):rep(100000), {}
  for i = 1, 20 do
    threads[i] = Thread { target = function()
      f:pwrite(i .. block, (i - 1) * 100010)
      return f:pread(100010, (i - 1) * 100010):sub(1, #tostring(i) + 1)
    end }:start()
  end
  for i, t in ipairs(threads) do is(select(2, t:join()), i .. "x") end
end)

test("lines that threads write at once are not mixed", function()
  local d <close> = directory()
  local f, threads = file.open(d .. "/f", "a"), {}
  for i = 1, 8 do
    threads[i] = Thread { target = function()
      for _ = 1, 50 do f:write(tostring(i):rep(60) .. "\n") end
    end }:start()
  end
  for _, t in ipairs(threads) do t:join() end
  f:close()
  local count = 0
  for line in file.lines(d .. "/f") do
    is(line, line:sub(1, 1):rep(60))
    count = count + 1
  end
  is(count, 400)
end)

test("stat, list, rename, remove, mkdir", function()
  local d <close> = directory()
  file.write(d .. "/a", "12345")
  assert(file.mkdir(d .. "/sub", 448))
  local a, sub = file.stat(d .. "/a"), file.stat(d .. "/sub")
  is(a.type, "file") is(a.size, 5) is(sub.type, "directory") is(sub.mode, 448)
  assert(math.abs(a.mtime - os.time()) < 1000)
  is(file.rename(d .. "/a", d .. "/b"), true)
  local names = file.list(d.path)
  table.sort(names)
  is(table.concat(names, " "), "b sub")
  local ok, message, code = file.stat(d .. "/a")
  is(ok, nil) is(code, 2)
  assert(message:find("/a: No such file or directory", 1, true), message)
  is(select(3, file.list(d .. "/none")), 2) is(select(3, file.mkdir(d.path)), 17)
  is(select(3, file.remove(d .. "/none")), 2)
end)

test("many files are read at once; those that cannot be read are named", function()
  local d <close> = directory()
  local paths = {}
  for i = 1, 700 do
    paths[i] = d .. "/" .. i
    file.write(paths[i], ("%d\n"):format(i):rep(i))
  end
  file.write(d .. "/empty", "")
  paths[#paths + 1] = d .. "/empty"
  paths[#paths + 1] = d .. "/none"
  paths[#paths + 1] = d.path
  paths[#paths + 1] = "/proc/self/stat"
  local contents, failures = file.read_many(paths)
  for i = 1, 700 do is(contents[paths[i]], ("%d\n"):format(i):rep(i)) end
  is(contents[d .. "/empty"], "") is(contents[d .. "/none"], nil)
  assert(failures[d .. "/none"]:find("No such file", 1, true))
  assert(failures[d.path]:find("directory", 1, true))
  assert(#contents["/proc/self/stat"] > 10)
  is(next((file.read_many {})), nil)
end)

test("a FIFO: a thread waits for its other end while others run", function()
  local d <close> = directory()
  local path = d .. "/fifo"
  assert(gil.process.execute { "mkfifo", path })
  local reader = Thread { target = function() return file.read(path) end }:start()
  time.sleep(0.005)
  file.write(path, "through")
  is(select(2, reader:join()), "through")
end)

test("closing from another thread ends a read", function()
  local p = gil.process.popen({ "sleep", "1000" })
  local reader = Thread { target = function() return p:read() end }:start()
  time.sleep(0.005)
  p.pipe:close()
  local ok, line, message = reader:join()
  is(ok, true) is(line, nil)
  assert(message:find("the file was closed", 1, true), message)
  p:kill()
  p:close()
end)

test("misuse is an error that says what to do", function()
  local d <close> = directory()
  local f = file.open(d .. "/f", "w+")
  fails("a number of bytes is not negative", f.read, f, -1)
  fails('what to read is "l", "L", "a" or a number of bytes', f.read, f, "n")
  fails("an offset is not negative", f.pread, f, 1, -1)
  fails("not enough memory", f.pread, f, 1 << 50, 0)
  fails("string expected", f.write, f, {})
  fails("a mode is r, w or a", file.open, "x", "q")
  fails("a mode has +, x and b only", file.open, "x", "rw")
  fails("string expected", file.open)
  f:close() f:close()
  fails("the file is closed: open it again", f.read, f)
  fails("the file is closed: open it again", f.write, f, "x")
  fails("gil.file expected", f.read, {})
  is(select(3, file.write("/dev/full", "x")), 28)
end)

tap.done()
