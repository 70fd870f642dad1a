-- gil.socket: sockets, with LuaSocket's names and results. A method that fails returns nil and a
-- message; the thread that calls one waits, and others run meanwhile.
local core = require "gil.socket.core"
local time = require "gil.time"

local socket = { sleep = time.sleep }

-- A socket whose family is known when it is bound or connected; or one of IPv4, or IPv6.
function socket.tcp() return core.stream() end
function socket.tcp4() return core.stream("inet") end
function socket.tcp6() return core.stream("inet6") end
function socket.udp() return core.datagram() end
function socket.udp4() return core.datagram("inet") end
function socket.udp6() return core.datagram("inet6") end

-- Unix sockets: socket.unix() is a stream. Their addresses are paths.
socket.unix = setmetatable({
  stream = function() return core.stream("unix") end,
  dgram = function() return core.datagram("unix") end,
}, { __call = function() return core.stream("unix") end })

-- What fails closes the new socket, and is the result.
local function done(s, ok, message)
  if ok then return s end
  s:close()
  return nil, message
end

-- A TCP socket that listens.
function socket.bind(host, port, backlog)
  local s = core.stream()
  local bound, message = s:bind(host, port)
  if not bound then return done(s, nil, message) end
  return done(s, s:listen(backlog))
end

-- A connected TCP socket; from a certain address of this machine, if one is given.
function socket.connect(host, port, local_host, local_port, family)
  local s, message = core.stream(family)
  if s and local_host then
    local bound, why = s:bind(local_host, local_port or 0)
    if not bound then return done(s, nil, why) end
  end
  if not s then return nil, message end
  return done(s, s:connect(host, port))
end

socket.dns = { getaddrinfo = core.getaddrinfo, gethostname = core.gethostname }

-- The first address of a host, and all of them.
function socket.dns.toip(host)
  local found, message = core.getaddrinfo(host)
  if not found then return nil, message end
  return found[1].addr, found
end

return socket
