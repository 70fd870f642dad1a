(* An echo server thread, UDP or TCP, beside threads that compute: echo.ml udp|tcp COUNT.
   The same program as echo.py, and the same lines on standard output. *)

let protocol = Sys.argv.(1)
let count = int_of_string Sys.argv.(2)
let work = Array.make (max count 1) 0

let bound kind =
  let sock = Unix.socket Unix.PF_INET kind 0 in
  Unix.bind sock (Unix.ADDR_INET (Unix.inet_addr_loopback, 0));
  sock

let serve_udp sock =
  let data = Bytes.create 2048 in
  while true do
    let length, peer = Unix.recvfrom sock data 0 2048 [] in
    ignore (Unix.sendto sock data 0 length [] peer)
  done

let serve_tcp listener =
  let data = Bytes.create 2048 in
  while true do
    let connection, _ = Unix.accept listener in
    Unix.setsockopt connection Unix.TCP_NODELAY true;
    let rec echo () =
      let length = Unix.recv connection data 0 2048 [] in
      if length > 0 then begin
        ignore (Unix.send connection data 0 length []);
        echo ()
      end
    in
    (try echo () with Unix.Unix_error _ -> ());
    Unix.close connection
  done

let compute slot =
  let x = ref (slot + 1) in
  while true do
    for _ = 1 to 100 do
      x := (!x * 1103515245 + 12345) land 0x7fffffff
    done;
    work.(slot) <- work.(slot) + 1
  done

let line_or_exit () = try ignore (read_line ()) with End_of_file -> Unix._exit 0
let snapshot () = (Unix.gettimeofday (), Array.fold_left ( + ) 0 work)

let () =
  let sock = bound (if protocol = "udp" then Unix.SOCK_DGRAM else Unix.SOCK_STREAM) in
  if protocol = "tcp" then Unix.listen sock 16;
  ignore (Thread.create (if protocol = "udp" then serve_udp else serve_tcp) sock);
  for slot = 0 to count - 1 do
    ignore (Thread.create compute slot)
  done;
  (match Unix.getsockname sock with
  | Unix.ADDR_INET (_, port) -> Printf.printf "{\"port\": %d}\n%!" port
  | Unix.ADDR_UNIX _ -> exit 1);
  line_or_exit ();
  let began, before = snapshot () in
  line_or_exit ();
  let ended, after = snapshot () in
  Printf.printf "{\"seconds\": %f, \"work\": %f}\n%!" (ended -. began)
    (float_of_int (after - before) /. (ended -. began));
  while true do
    line_or_exit ()
  done
