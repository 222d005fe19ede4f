//! Connections have a cap: who comes later waits, and event streams leave room for everything else.

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    time::Duration,
};

use super::http::{Options, Server};

/// A connection that has been answered once, and is kept open.
fn kept_open(server: &Server) -> TcpStream {
    let mut stream = asking(server);
    assert!(answer(&mut stream, 10_000).unwrap().starts_with("HTTP/1.1 200"));
    stream
}

fn asking(server: &Server) -> TcpStream {
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    stream
}

/// What the server says within so many milliseconds; `None` while it is silent.
fn answer(stream: &mut TcpStream, within_ms: u64) -> Option<String> {
    stream.set_read_timeout(Some(Duration::from_millis(within_ms))).unwrap();
    let mut buffer = [0; 1024];
    match stream.read(&mut buffer) {
        Ok(read) => Some(String::from_utf8_lossy(&buffer[..read]).into_owned()),
        Err(error) if [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind()) => None,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn beyond_the_cap_a_connection_waits_until_another_ends() {
    let server = Server::with(Options { settings: "connections_limit = 3", ..Options::default() });
    let mut open: Vec<TcpStream> = (0..3).map(|_| kept_open(&server)).collect();
    let mut fourth = asking(&server);
    assert_eq!(answer(&mut fourth, 700), None, "a fourth was served");
    drop(open.pop());
    assert!(answer(&mut fourth, 10_000).unwrap().starts_with("HTTP/1.1 200"));
}

#[test]
fn event_streams_leave_room_for_everything_else() {
    let server = Server::with(Options { settings: "connections_limit = 8", ..Options::default() });
    let conversation = server.conversation();
    let open: Vec<_> = (0..7).map(|_| server.follow(&conversation, 0)).collect();
    let refused = server.get(&format!("/v1/conversations/{conversation}/events"));
    assert_eq!((refused.status, refused.code().as_str()), (503, "busy"));
    assert!(refused.headers["retry-after"].parse::<u32>().unwrap() >= 1);
    assert_eq!(server.get("/healthz").status, 200);
    drop(open);
}
