-- gil.socket: connecting, sending, receiving, timeouts, closing from another thread, misuse.
local tap = require "tap"
local gil = require "gil"
local socket, time = gil.socket, gil.time
local test, is, fails = tap.test, tap.is, tap.fails
local Thread = gil.threading.Thread

local function start(f, ...)
  return Thread { target = f, args = table.pack(...) }:start()
end

-- A connection to ourselves: both ends.
local function pair(host)
  local server <close> = assert(socket.bind(host or "127.0.0.1", 0))
  local _, port = server:getsockname()
  local client = assert(socket.connect(host or "127.0.0.1", port))
  return client, assert(server:accept())
end

local function has_ipv6()
  local s <close> = socket.tcp6()
  return s ~= nil and s:bind("::1", 0) ~= nil
end

local function temporary()
  local path = os.tmpname()
  os.remove(path)
  return path
end

test("a threaded echo server, a line at a time", function()
  local server = assert(socket.bind("127.0.0.1", 0))
  local _, port, family = server:getsockname()
  is(family, "inet")
  local serving = start(function()
    for _ = 1, 20 do
      local connection = server:accept()
      start(function()
        local line = connection:receive()
        while line do
          connection:send(line .. "\n")
          line = connection:receive()
        end
        connection:close()
      end)
    end
  end)
  local clients = {}
  for i = 1, 20 do
    clients[i] = start(function()
      local c <close> = assert(socket.connect("127.0.0.1", port))
      for k = 1, 20 do
        is(c:send(("%d %d\r\n"):format(i, k)), #("%d %d\r\n"):format(i, k))
        is(c:receive(), i .. " " .. k)
      end
    end)
  end
  for _, c in ipairs(clients) do is(c:join(), true) end
  serving:join()
  server:close()
end)

test("lines, numbers of bytes, all until the end; what is left over is kept", function()
  local a, b = pair()
  is(a:send("one\r\ntwo\n\nabcdefrest"), 20)
  a:shutdown("send")
  is(b:receive(), "one") is(b:dirty(), true)
  is(b:receive("*l"), "two") is(b:receive("l"), "")
  is(b:receive(0), "") is(b:receive(3), "abc") is(b:receive(3), "def")
  is(b:receive("*a"), "rest")
  local data, message, partial = b:receive("*a")
  is(data, nil) is(message, "closed") is(partial, "")
  a:close() b:close()
end)

test("what came before the end, or the timeout, is the third result", function()
  local a, b = pair()
  a:send("half a li")
  b:settimeout(0.01)
  local data, message, partial = b:receive()
  is(data, nil) is(message, "timeout") is(partial, "half a li")
  a:send("ne\n")
  is(b:receive("*l", partial), "half a line")
  a:send("12345")
  is(b:receive(4, "0"), "0123")
  a:close()
  data, message, partial = b:receive(10)
  is(data, nil) is(message, "closed") is(partial, "45")
  b:close()
end)

test("send takes a part of a string, as string.sub does", function()
  local a, b = pair()
  is(a:send("abcdef", 3), 6) is(a:send("abcdef", 2, 3), 3) is(a:send("abcdef", -2, -2), 5)
  is(a:send(""), 0) is(a:send("abc", 3, 1), 2) is(a:send("abc", 9), 8)
  a:close()
  is(b:receive("*a"), "cdefbce")
  b:close()
end)

test("four megabytes go each way at once", function()
  local a, b = pair()
  local data = ("0123456789abcdef"):rep(1 << 18)
  local function exchange(s)
    local sender = start(function() return s:send(data) end)
    local received = s:receive(#data)
    return received == data, select(2, sender:join())
  end
  local other = start(exchange, b)
  local same, sent = exchange(a)
  is(same, true) is(sent, #data)
  is(select(2, other:join()), true)
  a:close() b:close()
end)

test("a send whose peer does not receive times out, and says how much went", function()
  local a, b = pair()
  a:settimeout(0.02)
  local done, message, last = a:send(("x"):rep(1 << 26))
  is(done, nil) is(message, "timeout")
  assert(last > 0 and last < 1 << 26, last)
  a:close()
  is(#b:receive("*a"), last)
  b:close()
end)

test("threads that read lines from one socket each get whole ones", function()
  local a, b = pair()
  local seen, readers = {}, {}
  for i = 1, 4 do
    readers[i] = start(function()
      local line = b:receive()
      while line do
        seen[line] = true
        line = b:receive()
      end
    end)
  end
  for i = 1, 500 do a:send(("line %d\n"):format(i)) end
  a:close()
  for _, r in ipairs(readers) do is(r:join(), true) end
  for i = 1, 500 do assert(seen["line " .. i], i) end
  b:close()
end)

test("timeouts: of accept, of receive, none, total", function()
  local server = assert(socket.bind("127.0.0.1", 0))
  server:settimeout(0.01)
  local connection, message = server:accept()
  is(connection, nil) is(message, "timeout")
  server:settimeout(0)
  is(select(2, server:accept()), "timeout")
  server:close()
  local a, b = pair()
  b:settimeout(0)
  is(select(2, b:receive()), "timeout")
  b:settimeout(-1)
  is(b:gettimeout(), nil)
  b:settimeout(0.05, "t")
  is(select(2, b:gettimeout()), 0.05)
  local feeder = start(function()
    for _ = 1, 1000 do
      if not a:send("x") then return end
      time.sleep(0.002)
    end
  end)
  is(select(2, b:receive()), "timeout")
  b:close() a:close()
  feeder:join()
end)

test("closing from another thread ends accept, receive and receivefrom", function()
  local a, b = pair()
  local udp = socket.udp4()
  udp:setsockname("127.0.0.1", 0)
  local server = socket.bind("127.0.0.1", 0)
  for _, wait in ipairs { function() return b:receive() end, function() return udp:receivefrom() end,
                          function() return server:accept() end } do
    local t = start(wait)
    time.sleep(0.005)
    b:close() udp:close() server:close()
    local ok, result, message = t:join()
    is(ok, true) is(result, nil) is(message, "closed")
  end
  a:close()
end)

test("interrupting ends a receive, and the data that came stay", function()
  local a, b = pair()
  a:send("begun ")
  local hook = gil.threading.excepthook
  gil.threading.excepthook = function() end
  local t = start(function() return b:receive() end)
  tap.wait_for(function() return b:dirty() end)
  t:interrupt()
  local ok, message = t:join()
  gil.threading.excepthook = hook
  is(ok, false)
  assert(message:find("interrupted!", 1, true), message)
  a:send("and ended\n")
  is(b:receive(), "begun and ended")
  a:close() b:close()
end)

test("IPv6, and names", function()
  if has_ipv6() then
    local a, b = pair("::1")
    is(select(3, a:getpeername()), "inet6") is(a:getfamily(), "inet6")
    a:send("six\n")
    is(b:receive(), "six")
    a:close() b:close()
  end
  local a, b = pair("localhost")
  a:close() b:close()
  assert(socket.dns.toip("127.0.0.1") == "127.0.0.1")
  assert(#socket.dns.gethostname() > 0)
end)

test("UDP: receivefrom and sendto, setpeername, send and receive", function()
  local a, b = socket.udp4(), socket.udp()
  is(a:setsockname("127.0.0.1", 0), 1)
  local _, port = a:getsockname()
  is(b:sendto("hello", "127.0.0.1", port), 1)
  local data, host, from = a:receivefrom()
  is(data, "hello") is(host, "127.0.0.1") is(from, select(2, b:getsockname()))
  is(b:setpeername("127.0.0.1", port), 1)
  is(b:send(""), 1)
  is(a:receive(), "")
  is(a:sendto("a long answer", host, from), 1)
  is(b:receive(6), "a long")
  b:settimeout(0.005)
  is(select(2, b:receive()), "timeout")
  a:close()
  b:send("x")
  b:settimeout(1)
  is(select(2, b:receive()), "connection refused")
  b:close()
end)

test("unix sockets: streams and datagrams", function()
  local path = temporary()
  local server = socket.unix()
  is(server:bind(path), 1) is(server:listen(), 1) is(server:getsockname(), path)
  local client = socket.unix.stream()
  is(client:connect(path), 1)
  local connection = server:accept()
  client:send("via a path\n")
  is(connection:receive(), "via a path")
  client:close() connection:close() server:close()
  os.remove(path)
  local a, b = socket.unix.dgram(), socket.unix.dgram()
  a:bind(path)
  is(b:sendto("d", path), 1)
  local data, from = a:receivefrom()
  is(data, "d") is(from, "")
  a:close() b:close()
  os.remove(path)
end)

test("options", function()
  local s = socket.tcp()
  for _, name in ipairs { "keepalive", "reuseaddr", "reuseport", "tcp-nodelay" } do
    is(s:setoption(name, true), 1) is(s:getoption(name), true)
    is(s:setoption(name, false), 1) is(s:getoption(name), false)
  end
  is(s:setoption("linger", { on = true, timeout = 3 }), 1)
  local linger = s:getoption("linger")
  is(linger.on, true) is(linger.timeout, 3)
  is(s:setoption("recv-buffer-size", 10000), 1)
  assert(s:getoption("recv-buffer-size") >= 10000)
  s:close()
end)

test("sendfile sends a part of a file", function()
  local path = os.tmpname()
  gil.file.write(path, "0123456789")
  local f <close> = gil.file.open(path)
  local a, b = pair()
  is(a:sendfile(f, 2, 5), 5) is(a:sendfile(f, 8, 100), 2) is(a:sendfile(f, 50, 1), 0)
  a:close()
  is(b:receive("*a"), "2345689")
  is(select(2, a:sendfile(f, 0, 1)), "closed")
  b:close()
  os.remove(path)
end)

-- SIGPIPE once ended the program.
test("sendfile to one that is gone is an error", function()
  local a, b = pair()
  local f <close> = assert(gil.file.open("/proc/self/exe"))
  b:close()
  local sent, message
  for _ = 1, 1000 do
    sent, message = a:sendfile(f, 0, 100000)
    if not sent or message then break end
  end
  is(message, "closed")
  a:close()
end)

test("sockets that are not closed are collected", function()
  collectgarbage()
  local function count() return #gil.file.list("/proc/self/fd") end
  local before = count()
  for _ = 1, 10 do pair() end
  collectgarbage()
  collectgarbage()
  is(count(), before)
end)

test("what fails gives nil and a message, as LuaSocket does", function()
  local function refuses(text, f, ...)
    local result, message = f(...)
    is(result, nil)
    assert(tostring(message):find(text, 1, true), message)
  end
  local server <close> = socket.bind("127.0.0.1", 0)
  local _, port = server:getsockname()
  refuses("address already in use", socket.bind, "127.0.0.1", port)
  server:close()
  refuses("connection refused", socket.connect, "127.0.0.1", port)
  refuses("host not found: 'no such host'", socket.connect, "no such host", 80)
  refuses("or an IPv4 address such as 127.0.0.1", socket.connect, "1.2.3.4.5", 80)
end)

test("a closed socket says so", function()
  local a, b = pair()
  is(a:close(), 1) is(a:close(), 1)
  for _, f in ipairs { function() return a:receive() end, function() return a:send("x") end,
                       function() return a:connect("127.0.0.1", 1) end,
                       function() return a:getpeername() end,
                       function() return a:setoption("keepalive", true) end,
                       function() return a:listen() end, function() return a:shutdown() end } do
    local result, message = f()
    is(result, nil) is(message, "closed")
  end
  assert(tostring(a):find("closed", 1, true))
  is(b:receive(), nil)
  b:send("x")
  b:close()
end)

test("misuse is an error that says what to do", function()
  local s <close> = socket.tcp()
  fails("accept: bind the socket and call listen first", s.accept, s)
  fails("listen: bind the socket first", s.listen, s)
  fails("receive: connect the socket first", s.receive, s)
  fails("send: connect the socket first", s.send, s, "x")
  fails("a port is a number from 0 to 65535, not 99999", s.connect, s, "127.0.0.1", 99999)
  fails("a port is a number from 0 to 65535, not http", s.bind, s, "127.0.0.1", "http")
  fails("string expected", s.connect, s, nil, 80)
  fails("the options are linger, broadcast", s.setoption, s, "speed", true)
  fails("boolean expected", s.setoption, s, "keepalive", 1)
  fails("number expected", s.settimeout, s, "soon")
  fails("invalid option", s.settimeout, s, 1, "x")
  fails("gil.socket.stream expected", s.receive, {})
  fails("gil.socket.stream expected", socket.udp().receive and s.receive, socket.udp())
  local server <close> = socket.bind("127.0.0.1", 0)
  fails("receive: the socket listens; accept returns the connections", server.receive, server)
  local a, b = pair()
  fails('what to receive is "*l", "*a" or a number of bytes', a.receive, a, "*x")
  fails("a number of bytes is not negative", a.receive, a, -1)
  a:close() b:close()
  local u <close> = socket.unix()
  fails("the path of a unix socket has 1 to 107 bytes", u.bind, u, ("x"):rep(200))
  local d <close> = socket.udp()
  fails("receive: call setsockname or sendto first", d.receive, d)
  fails("send: call setpeername, or use sendto first", d.send, d, "x")
end)

tap.done()
