-- The ten pages that were fetched most often, by a web server's log, with threads.
--
--     lua5.4 wide_finder.lua LOG THREADS
--
-- Each thread reads a part of the file, in blocks, and counts the lines that begin there.
local threading = require "gil.threading"
local file = require "gil.file"

local path, threads = arg[1], math.tointeger(arg[2])
local BLOCK = 1 << 16

-- Calls fn for each line that begins at first or later, and before last.
local function lines_of(log, first, last, fn)
  local at, rest = first, ""
  if first > 0 then -- the line that is under way there is somebody else's
    at = first - 1
  end
  local skip, begins = first > 0, at
  while begins < last do
    local block = log:pread(BLOCK, at)
    if not block or block == "" then
      if rest ~= "" and not skip then fn(rest) end
      return
    end
    at = at + #block
    rest = rest .. block
    local from = 1
    for line, after in rest:gmatch("([^\n]*)\n()") do
      if begins >= last then return end
      if not skip then fn(line) end
      skip, begins, from = false, begins + after - from, after
    end
    rest = rest:sub(from)
  end
end

local function count(first, last)
  local log <close> = assert(file.open(path))
  local hits = {}
  lines_of(log, first, last, function(line)
    local page = line:match('"GET (%S+) HTTP')
    if page then hits[page] = (hits[page] or 0) + 1 end
  end)
  return hits
end

local about, message = file.stat(path)
if not about then
  io.stderr:write(message, "\n")
  os.exit(1)
end
local parts, total = {}, {}
for i = 1, threads do
  local first, last = about.size * (i - 1) // threads, about.size * i // threads
  parts[i] = threading.Thread { target = count, args = { first, last } }:start()
end
for _, t in ipairs(parts) do
  local ok, hits = t:join()
  if not ok then error(hits, 0) end
  for page, n in pairs(hits) do total[page] = (total[page] or 0) + n end
end
local pages = {}
for page in pairs(total) do pages[#pages + 1] = page end
table.sort(pages, function(a, b)
  return total[a] > total[b] or total[a] == total[b] and a < b
end)
for i = 1, math.min(10, #pages) do print(total[pages[i]], pages[i]) end
