-- gil.process: other programs, which are waited for while other threads run.
--
-- A command is a string, for the shell, or a list: a program and its arguments.
require "gil.file" -- the methods of a pipe
local core = require "gil.process.core"

local process = {}
local Process = {}
Process.__index = Process

local function start(command, mode)
  local arguments
  if type(command) == "string" then
    arguments = { "/bin/sh", "-c", command }
  elseif type(command) == "table" then
    arguments = table.move(command, 1, #command, 1, {})
  else
    error("a command is a string, or a list of a program and its arguments", 3)
  end
  local child, pipe, code = core.start(arguments, mode)
  if not child then return nil, pipe, code end
  return setmetatable({ child = child, pipe = pipe }, Process)
end

-- Starts a process; mode "r" (the default): what it prints can be read; "w": what is written, it reads.
function process.popen(command, mode)
  mode = mode or "r"
  if mode ~= "r" and mode ~= "w" then error('the mode of popen is "r" or "w"', 2) end
  return start(command, mode)
end

-- Starts a process without a pipe.
function process.spawn(command)
  return start(command)
end

-- Runs a command to its end: true or nil, "exit" or "signal", and its number, as os.execute.
function process.execute(command)
  local p, message, code = start(command)
  if not p then return nil, message, code end
  return p:wait()
end

-- Waits for the end, for `timeout` seconds at most. The results are those of os.execute; or nil and
-- "timeout".
function Process:wait(timeout)
  return self.child:wait(timeout)
end

-- Sends a signal, 15 (to end) without a number.
function Process:kill(signal)
  return self.child:kill(signal)
end

function Process:pid()
  return self.child:pid()
end

local function pipe_of(p)
  return p.pipe or error("this process has no pipe: start it with popen", 3)
end

function Process:read(...)
  return pipe_of(self):read(...)
end

function Process:lines(format)
  return pipe_of(self):lines(format)
end

function Process:write(...)
  local ok, message, code = pipe_of(self):write(...)
  if not ok then return nil, message, code end
  return self
end

-- Closes the pipe, and waits for the end: the results of wait.
function Process:close()
  if self.pipe then self.pipe:close() end
  return self:wait()
end

Process.__close = Process.close

return process
