//! A client that POSTs, as simple as they come.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

/// Posts a body; the status line of the answer.
pub(super) fn post(addr: SocketAddr, path: &str, body: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(addr)?;
    let len = body.len();
    let head = format!("POST {path} HTTP/1.1\r\nHost: {addr}\r\nContent-Length: {len}\r\n");
    stream.write_all(format!("{head}Connection: close\r\n\r\n{body}").as_bytes())?;
    let (mut answer, mut status) = (BufReader::new(stream), String::new());
    answer.read_line(&mut status)?;
    // Whoever has answered may be killed before the end of it.
    let _ = answer.read_to_end(&mut Vec::new());
    Ok(status)
}
