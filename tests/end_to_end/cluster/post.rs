//! A minimal HTTP client.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

/// Posts a body; returns the status line.
pub(super) fn post(addr: SocketAddr, path: &str, body: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(addr)?;
    let len = body.len();
    let head = format!("POST {path} HTTP/1.1\r\nHost: {addr}\r\nContent-Length: {len}\r\n");
    stream.write_all(format!("{head}Connection: close\r\n\r\n{body}").as_bytes())?;
    let (mut answer, mut status) = (BufReader::new(stream), String::new());
    answer.read_line(&mut status)?;
    // The server may be killed before the end of its answer.
    let _ = answer.read_to_end(&mut Vec::new());
    Ok(status)
}
