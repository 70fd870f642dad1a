-- gil.file: files that are read and written while other threads run. The names and results are those
-- of the standard library, and pread, pwrite, sync and whole files besides.
local core = require "gil.file.core"

local file = {
  open = core.open,
  stat = core.stat,
  list = core.list,
  mkdir = core.mkdir,
  remove = core.remove,
  rename = core.rename,
}

-- An iterator: reads by a format ("l" without one) until the end. What fails is an error.
function core.methods:lines(format)
  return function()
    local line, message, code = self:read(format)
    if code then error(message, 2) end
    return line
  end
end

-- The lines of a file, which is closed after the last one, or when the loop is left.
function file.lines(path, format)
  local f, message = core.open(path)
  if not f then error(message, 2) end
  return f:lines(format), nil, nil, f
end

-- The whole file.
function file.read(path)
  local f, message, code = core.open(path)
  if not f then return nil, message, code end
  local closed <close> = f
  return f:read("a")
end

-- Makes, or replaces, a file.
function file.write(path, data)
  local f, message, code = core.open(path, "w")
  if not f then return nil, message, code end
  local closed <close> = f
  local ok
  ok, message, code = f:write(data)
  if not ok then return nil, message, code end
  return true
end

-- Reads many files: a table of their contents, by path, and one of the messages about those that
-- could not be read.
function file.read_many(paths)
  local contents, failures = {}, {}
  for _, path in ipairs(paths) do
    local message
    contents[path], message = file.read(path)
    failures[path] = message
  end
  return contents, failures
end

return file
