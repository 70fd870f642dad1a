# An echo server thread, UDP or TCP, beside threads that compute: echo.rb udp|tcp COUNT.
# The same program as echo.py, and the same lines on standard output.
require "socket"

protocol, count = ARGV[0], ARGV[1].to_i
work = Array.new(count, 0)

if protocol == "udp"
  sock = UDPSocket.new
  sock.bind("127.0.0.1", 0)
  port = sock.addr[1]
  Thread.new do
    loop do
      data, peer = sock.recvfrom(2048)
      sock.send(data, 0, peer[3], peer[1])
    end
  end
else
  listener = TCPServer.new("127.0.0.1", 0)
  port = listener.addr[1]
  Thread.new do
    loop do
      connection = listener.accept
      connection.setsockopt(Socket::IPPROTO_TCP, Socket::TCP_NODELAY, 1)
      begin
        loop { connection.write(connection.readpartial(2048)) }
      rescue EOFError, SystemCallError
        connection.close
      end
    end
  end
end

count.times do |slot|
  Thread.new do
    x = slot + 1
    loop do
      100.times { x = (x * 1103515245 + 12345) & 0x7fffffff }
      work[slot] += 1
    end
  end
end

def line_or_exit
  exit!(0) unless $stdin.gets
end

$stdout.sync = true
puts %({"port": #{port}})
line_or_exit
began, before = Process.clock_gettime(Process::CLOCK_MONOTONIC), work.sum
line_or_exit
ended, after = Process.clock_gettime(Process::CLOCK_MONOTONIC), work.sum
puts %({"seconds": #{ended - began}, "work": #{(after - before) / (ended - began)}})
loop { line_or_exit }
