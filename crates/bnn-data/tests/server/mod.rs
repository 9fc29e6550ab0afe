//! An HTTP server on this machine that plays a script, one reply per request, and ends with it.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// No server and no connection lives longer.
const LIFE: Duration = Duration::from_secs(120);

/// What one request is answered with.
#[allow(dead_code, reason = "no test needs them all")]
pub enum Reply {
    /// The file, or the part of it that is asked for.
    File(Vec<u8>),
    /// The whole file, whatever part is asked for.
    Whole(Vec<u8>),
    /// The head for the file, or for the part of it that is asked for, and so many bytes of that.
    Cut(Vec<u8>, usize),
    /// As `Cut`, and silence instead of the end.
    Stall(Vec<u8>, usize),
    /// Nothing, not even a head.
    Silence,
    /// The first 1000 bytes of the file, one every 20 milliseconds.
    Drip(Vec<u8>),
    /// Zeros without an announced end, until the client has enough.
    Endless,
    /// This status and no file.
    Status(&'static str),
    /// The file, after something was sent into the channel.
    After(Receiver<()>, Vec<u8>),
}

/// A server; dropping it ends it.
pub struct Server {
    /// Its address, without a slash behind.
    pub url: String,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Vec<String>>>,
}

impl Server {
    /// Starts to listen on a free port.
    pub fn start(script: Vec<Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let stop = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stop);
        let job = move || {
            let requests = script
                .into_iter()
                .map_while(|reply| accept(&listener, &flag).map(|stream| serve(stream, reply)));
            requests.collect()
        };
        Self { url, stop, thread: Some(thread::spawn(job)) }
    }

    /// Ends the server and returns what it was asked: per request the path and the range, if any.
    pub fn requests(mut self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // a panic there was printed there
        }
    }
}

/// The next connection, unless the server is to end.
fn accept(listener: &TcpListener, stop: &AtomicBool) -> Option<TcpStream> {
    let started = Instant::now();
    while !stop.load(Ordering::Relaxed) && started.elapsed() < LIFE {
        match listener.accept() {
            Ok((stream, _)) => return Some(stream),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                thread::sleep(Duration::from_millis(2));
            }
            Err(error) => panic!("{error}"),
        }
    }
    None
}

/// Reads one request and plays the reply.
fn serve(mut stream: TcpStream, reply: Reply) -> String {
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(LIFE)).unwrap();
    stream.set_write_timeout(Some(LIFE)).unwrap();
    let (path, start) = request(&mut stream);
    // A client that has gone away is no fault of the server.
    let _ = play(&mut stream, reply, start);
    let _ = stream.shutdown(Shutdown::Write);
    let _ = stream.read(&mut [0]); // lets the client read before the connection is reset
    start.map_or(path.clone(), |start| format!("{path} from {start}"))
}

/// The path asked for and the first byte of the range.
fn request(stream: &mut TcpStream) -> (String, Option<usize>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    let path = head.split(' ').nth(1).unwrap().to_string();
    let range = head.lines().find_map(|line| line.strip_prefix("range: bytes="));
    (path, range.map(|range| range.trim_end_matches('-').parse().unwrap()))
}

fn play(stream: &mut TcpStream, reply: Reply, start: Option<usize>) -> std::io::Result<()> {
    match reply {
        Reply::File(file) => part(stream, &file, start, usize::MAX),
        Reply::Whole(file) => part(stream, &file, None, usize::MAX),
        Reply::Cut(file, bytes) => part(stream, &file, start, bytes),
        Reply::Stall(file, bytes) => {
            part(stream, &file, start, bytes)?;
            stream.read(&mut [0]).map(drop) // until the client hangs up
        }
        Reply::Silence => stream.read(&mut [0]).map(drop),
        Reply::Drip(file) => {
            part(stream, &file, start, 0)?;
            file.iter().take(1000).try_for_each(|byte| {
                thread::sleep(Duration::from_millis(20));
                stream.write_all(&[*byte])
            })
        }
        Reply::Endless => {
            head(stream, "200 OK", "")?;
            (0..1000).try_for_each(|_| stream.write_all(&[0; 10_000]))
        }
        Reply::Status(status) => head(stream, status, "Content-Length: 0\r\n"),
        Reply::After(gate, file) => {
            gate.recv_timeout(LIFE).unwrap();
            part(stream, &file, start, usize::MAX)
        }
    }
}

/// The head for the file from byte `start` on, and at most `bytes` bytes of it.
fn part(
    stream: &mut TcpStream,
    file: &[u8],
    start: Option<usize>,
    bytes: usize,
) -> std::io::Result<()> {
    let (end, first) = (file.len(), start.unwrap_or(0));
    if first >= end && start.is_some() {
        return head(stream, "416 Range Not Satisfiable", "Content-Length: 0\r\n");
    }
    let length = format!("Content-Length: {}\r\n", end - first);
    match start {
        None => head(stream, "200 OK", &length)?,
        Some(first) => {
            let range = format!("Content-Range: bytes {first}-{}/{end}\r\n{length}", end - 1);
            head(stream, "206 Partial Content", &range)?;
        }
    }
    stream.write_all(&file[first..end.min(first.saturating_add(bytes))])
}

fn head(stream: &mut TcpStream, status: &str, lines: &str) -> std::io::Result<()> {
    write!(stream, "HTTP/1.1 {status}\r\nConnection: close\r\n{lines}\r\n")
}
