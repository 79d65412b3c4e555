//! A server of a few files on the loopback address, with range requests or as if it had none.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read, Seek as _, SeekFrom, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// How long a connection may be silent.
const PATIENCE: Duration = Duration::from_secs(30);

/// Most bytes of a request's head.
const HEAD_BYTES: u64 = 16 << 10;

/// A file, and the path that it is asked for by.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    pub(crate) path: &'static str,
    pub(crate) file: PathBuf,
    /// Its content type.
    pub(crate) kind: &'static str,
}

/// Waits for requests.
pub(crate) struct Server {
    listener: TcpListener,
    pages: Arc<Vec<Page>>,
    ranges: bool,
}

impl Server {
    /// Takes a port, any that is free for 0.
    pub(crate) fn bind(port: u16, pages: Vec<Page>, ranges: bool) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        Ok(Self { listener, pages: Arc::new(pages), ranges })
    }

    /// Where its first page is.
    pub(crate) fn url(&self) -> io::Result<String> {
        Ok(format!("http://{}/", self.listener.local_addr()?))
    }

    /// Answers for ever, each connection on a thread of its own.
    pub(crate) fn serve(&self) -> io::Result<()> {
        for stream in self.listener.incoming() {
            let (pages, ranges, stream) = (Arc::clone(&self.pages), self.ranges, stream?);
            // A connection that breaks off is the browser's business.
            thread::spawn(move || answer(stream, &pages, ranges));
        }
        Ok(())
    }
}

/// What a request asks for.
#[derive(Debug, PartialEq, Eq)]
struct Request {
    path: String,
    range: Option<String>,
}

fn read(reader: impl Read) -> io::Result<Option<Request>> {
    let mut lines = BufReader::new(reader.take(HEAD_BYTES)).lines();
    let Some(first) = lines.next().transpose()? else { return Ok(None) };
    let mut words = first.split(' ');
    let (Some("GET"), Some(path)) = (words.next(), words.next()) else { return Ok(None) };
    let mut range = None;
    for line in lines {
        let line = line?;
        let Some((name, value)) = line.split_once(':') else { break };
        if name.eq_ignore_ascii_case("range") {
            range = Some(value.trim().to_owned());
        }
    }
    let path = path.split('?').next().unwrap_or_default().to_owned();
    Ok(Some(Request { path, range }))
}

/// The bytes of `bytes=FIRST-LAST` or `bytes=FIRST-` in a file of `size`; nothing for other forms, an error for bytes that there are not.
fn range(asked: &str, size: u64) -> Option<Result<Range<u64>, ()>> {
    let (first, last) = asked.strip_prefix("bytes=")?.split_once('-')?;
    let first = first.parse::<u64>().ok()?;
    let end = if last.is_empty() { size } else { last.parse::<u64>().ok()?.saturating_add(1).min(size) };
    Some(if first < end { Ok(first..end) } else { Err(()) })
}

fn answer(mut stream: TcpStream, pages: &[Page], ranges: bool) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let Some(request) = read(&stream)? else { return status(&mut stream, "400 Bad Request", "") };
    let Some(page) = pages.iter().find(|page| page.path == request.path) else {
        return status(&mut stream, "404 Not Found", "");
    };
    let mut file = File::open(&page.file)?;
    let size = file.metadata()?.len();
    let asked = request.range.filter(|_| ranges).and_then(|asked| range(&asked, size));
    let (line, bytes) = match asked {
        None => ("200 OK".to_owned(), 0..size),
        Some(Err(())) => {
            let header = format!("Content-Range: bytes */{size}\r\n");
            return status(&mut stream, "416 Range Not Satisfiable", &header);
        }
        Some(Ok(bytes)) => {
            let (first, last) = (bytes.start, bytes.end - 1);
            (format!("206 Partial Content\r\nContent-Range: bytes {first}-{last}/{size}"), bytes)
        }
    };
    let accepts = if ranges { "Accept-Ranges: bytes\r\n" } else { "" };
    let (kind, length) = (page.kind, bytes.end - bytes.start);
    write!(
        stream,
        "HTTP/1.1 {line}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n{accepts}Cache-Control: no-store\r\n\
         Connection: close\r\n\r\n"
    )?;
    file.seek(SeekFrom::Start(bytes.start))?;
    io::copy(&mut file.take(length), &mut stream).map(drop)
}

fn status(stream: &mut TcpStream, line: &str, header: &str) -> io::Result<()> {
    write!(stream, "HTTP/1.1 {line}\r\n{header}Content-Length: 0\r\nConnection: close\r\n\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_and_held_against_the_file() {
        assert_eq!(range("bytes=0-9", 100), Some(Ok(0..10)));
        assert_eq!(range("bytes=90-", 100), Some(Ok(90..100)));
        assert_eq!(range("bytes=90-1000", 100), Some(Ok(90..100)));
        assert_eq!(range("bytes=0-18446744073709551615", 100), Some(Ok(0..100)));
        assert_eq!(range("bytes=100-", 100), Some(Err(())));
        assert_eq!(range("bytes=5-4", 100), Some(Err(())));
        for other in ["bytes=-5", "bytes=0-1,3-4", "bytes=a-b", "lines=1-2", ""] {
            assert_eq!(range(other, 100), None, "{other}");
        }
    }

    #[test]
    fn requests_are_read() {
        let request = |text: &str| read(text.as_bytes()).expect("text");
        let path = |path: &str| path.to_owned();
        assert_eq!(request("GET /a?b HTTP/1.1\r\n\r\n"), Some(Request { path: path("/a"), range: None }));
        let ranged = request("GET /a HTTP/1.1\r\nrAnge:  bytes=1-2\r\n\r\nRange: no");
        assert_eq!(ranged, Some(Request { path: path("/a"), range: Some("bytes=1-2".to_owned()) }));
        assert_eq!(request("POST / HTTP/1.1\r\n\r\n"), None);
        assert_eq!(request(""), None);
    }

    /// What a server says to a request for `/file`, whose bytes are `0123456789`.
    fn said(head: &str, ranges: bool) -> String {
        let folder = std::env::temp_dir().join(format!("xtask-server-{}-{ranges}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let file = folder.join("file");
        std::fs::write(&file, "0123456789").expect("a file");
        let server =
            Server::bind(0, vec![Page { path: "/file", file, kind: "text/plain" }], ranges).expect("a port");
        let address = server.listener.local_addr().expect("an address");
        thread::spawn(move || server.serve());
        let mut stream = TcpStream::connect(address).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a deadline");
        stream.write_all(format!("GET {head}\r\n\r\n").as_bytes()).expect("a request");
        let mut said = String::new();
        stream.read_to_string(&mut said).expect("an answer");
        let _ = std::fs::remove_dir_all(folder);
        said
    }

    #[test]
    fn files_are_sent_whole_or_in_part() {
        let part = said("/file HTTP/1.1\r\nRange: bytes=2-4", true);
        assert!(
            part.starts_with("HTTP/1.1 206 ") && part.contains("Content-Range: bytes 2-4/10\r\n"),
            "{part}"
        );
        assert!(part.ends_with("\r\n\r\n234"), "{part}");
        let whole = said("/file HTTP/1.1\r\nRange: bytes=2-4", false);
        assert!(whole.starts_with("HTTP/1.1 200 ") && whole.ends_with("\r\n\r\n0123456789"), "{whole}");
        assert!(said("/file HTTP/1.1\r\nRange: bytes=10-", true).starts_with("HTTP/1.1 416 "));
        assert!(said("/../Cargo.toml HTTP/1.1", true).starts_with("HTTP/1.1 404 "));
    }
}
