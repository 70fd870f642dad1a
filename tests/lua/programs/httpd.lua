-- A file server for HTTP/1.1: a thread for each connection, which lasts for many requests.
--
--     lua5.4 httpd.lua FOLDER [PORT [COMPUTING]]
--
-- Prints the port (0, the default, lets the kernel choose). COMPUTING threads compute meanwhile, to
-- see what becomes of the requests. It ends by a signal.
local threading = require "gil.threading"
local socket = require "gil.socket"
local file = require "gil.file"

local folder, port, computing = arg[1], math.tointeger(arg[2] or 0), math.tointeger(arg[3] or 0)

local TYPES = { html = "text/html", txt = "text/plain", css = "text/css", js = "text/javascript" }
local LINES_MOST = 100

-- A request, as a table; nil: the connection has ended. An error: it is no request.
local function read_request(connection)
  local line = connection:receive()
  if not line then return nil end
  local method, target, version = line:match("^(%u+) (/%S*) HTTP/1%.([01])$")
  if not method then error("no request") end
  local request = { method = method, target = target, version = version, headers = {} }
  for _ = 1, LINES_MOST do
    line = connection:receive()
    if not line then return nil end
    if line == "" then return request end
    local name, value = line:match("^([^%s:]+):%s*(.-)%s*$")
    if not name then error("no header") end
    request.headers[name:lower()] = value
  end
  error("too many headers")
end

local function stays(request)
  local asked = (request.headers.connection or ""):lower()
  return asked == "keep-alive" or request.version == "1" and asked ~= "close"
end

local function respond(connection, status, stay, size, kind, body)
  return connection:send(("HTTP/1.1 %s\r\nContent-Length: %d\r\nContent-Type: %s\r\n%s\r\n%s"):format(
    status, size, kind, stay and "" or "Connection: close\r\n", body or ""))
end

local function refuse(connection, request, status)
  local body = request.method ~= "HEAD" and status .. "\n" or ""
  return respond(connection, status, stays(request), #status + 1, "text/plain", body)
end

-- Returns nil when the connection has broken.
local function answer(connection, request)
  if request.method ~= "GET" and request.method ~= "HEAD" then
    return refuse(connection, request, "405 Method Not Allowed")
  end
  local path = request.target:gsub("%?.*", ""):gsub("%%(%x%x)", function(hex)
    return string.char(tonumber(hex, 16))
  end)
  if (path .. "/"):find("/../", 1, true) or path:find("\0", 1, true) then
    return refuse(connection, request, "403 Forbidden")
  end
  if path:sub(-1) == "/" then path = path .. "index.html" end
  local about = file.stat(folder .. path)
  local source = about and about.type == "file" and file.open(folder .. path)
  if not source then return refuse(connection, request, "404 Not Found") end
  local closed <close> = source
  local kind = TYPES[path:match("%.(%w+)$")] or "application/octet-stream"
  if not respond(connection, "200 OK", stays(request), about.size, kind) then return nil end
  if request.method == "HEAD" then return true end
  return connection:sendfile(source, 0, about.size) == about.size
end

local function serve(connection)
  local closed <close> = connection
  connection:setoption("tcp-nodelay", true)
  local ok, request
  repeat
    ok, request = pcall(read_request, connection)
    if not ok then
      return respond(connection, "400 Bad Request", false, 12, "text/plain", "Bad Request\n")
    end
  until not request or not answer(connection, request) or not stays(request)
end

local server = assert(socket.bind("127.0.0.1", port, 1024))
print((select(2, server:getsockname())))
io.stdout:flush()
for _ = 1, computing do
  threading.Thread { daemon = true, target = function()
    local n = 0
    while true do n = n + 1 end
  end }:start()
end
while true do
  local connection, message = server:accept()
  if connection then
    threading.Thread { daemon = true, target = serve, args = { connection } }:start()
  else
    io.stderr:write(message, "\n")
    require "gil.time".sleep(0.01) -- too many files, most likely: some will be closed
  end
end
