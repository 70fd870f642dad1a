-- Which TCP ports of a host are open.
--
--     lua5.4 port_scanner.lua HOST FIRST LAST THREADS
local threading = require "gil.threading"
local queue = require "gil.queue"
local socket = require "gil.socket"

local host, first, last = arg[1], math.tointeger(arg[2]), math.tointeger(arg[3])
local threads = math.tointeger(arg[4])
local TIMEOUT = 1

local ports, open, lock = queue.Queue(), {}, threading.Lock()

local function try(port)
  local s <close> = assert(socket.tcp())
  s:settimeout(TIMEOUT)
  if not s:connect(host, port) then return end
  lock:acquire()
  local held <close> = lock
  open[#open + 1] = port
end

local function scan()
  local port = ports:get()
  while port do
    try(port)
    port = ports:get()
  end
end

for port = first, last do ports:put(port) end
for _ = 1, threads do ports:put(false) end -- there is no more
local all = {}
for i = 1, threads do all[i] = threading.Thread { target = scan }:start() end
for _, t in ipairs(all) do assert(t:join()) end
table.sort(open)
for _, port in ipairs(open) do print(port) end
