//! Downloads from servers that behave, and from servers that do not.

use std::fs;
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::thread;

use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::*;
use server::{Reply, Server};

#[path = "../../tests/server/mod.rs"]
mod server;

const BYTES: usize = 200_000;

/// A file of a data set: half bytes, which gzip can pack, without a pattern that a mistake of place
/// could hide behind.
fn bytes(seed: u8) -> Vec<u8> {
    let words = (0..BYTES as u64 / 8)
        .map(|word| Sha256::digest([&[seed][..], &word.to_le_bytes()].concat()));
    words.flat_map(|digest| digest.map(|byte| byte & 15)[..8].to_vec()).collect()
}

fn gzip(bytes: &[u8], level: u32) -> Vec<u8> {
    let mut packed = Vec::new();
    let mut encoder = flate2::read::GzEncoder::new(bytes, flate2::Compression::new(level));
    std::io::Read::read_to_end(&mut encoder, &mut packed).unwrap();
    packed
}

/// A data set of the files that these bytes make, which are called `a`, `b` and so on.
fn set(suffix: &'static str, files: &[&[u8]]) -> Published {
    let file = |(name, content): (&'static str, &&[u8])| PublishedFile {
        name,
        suffix,
        bytes: content.len() as u64,
        sha256: crate::digest::hex(Sha256::new_with_prefix(content)).leak(),
    };
    let files: Vec<_> = ["a", "b", "c"].into_iter().zip(files).map(file).collect();
    Published { mirrors: &["http://127.0.0.1:1/unasked"], files: files.leak(), remedy: "" }
}

/// Remembers what it hears.
#[derive(Default)]
struct Ear {
    received: Vec<u64>,
    totals: Vec<Option<u64>>,
    failures: Vec<String>,
}

impl Observer for Ear {
    fn progress(&mut self, progress: &Progress<'_>) {
        self.received.push(progress.received);
        self.totals.push(progress.total);
    }

    fn failed(&mut self, failure: &Failure) {
        self.failures.push(failure.why.clone());
    }
}

/// A folder to fetch into, and what was heard.
struct Desk {
    temp: TempDir,
    ear: Mutex<Ear>,
    /// Time-out of reading: long, so that a busy machine fails no test.
    read: Duration,
}

impl Desk {
    fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        Self { temp, ear: Mutex::default(), read: Duration::from_secs(120) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.temp.path().join("set").join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::create_dir_all(self.path("")).unwrap();
        fs::write(self.path(name), bytes).unwrap();
    }

    fn fetch(&self, set: &Published, mirrors: &[&str]) -> Result<Vec<FetchedFile>> {
        let options = Options {
            mirrors: mirrors.iter().map(|mirror| mirror.to_string()).collect(),
            connect: Duration::from_secs(120),
            read: self.read,
        };
        let mut ear = Ear::default();
        let done = fetch_files(set, &self.path(""), &options, &mut ear);
        *self.ear.lock().unwrap() = ear;
        done
    }

    /// Fetches from a server that plays the script; returns the outcome and what it was asked.
    fn play(&self, set: &Published, script: Vec<Reply>) -> (Result<Vec<FetchedFile>>, Vec<String>) {
        let server = Server::start(script);
        (self.fetch(set, &[&server.url]), server.requests())
    }

    /// As `play`; returns the error's text without the server's address.
    fn fails(&self, set: &Published, script: Vec<Reply>) -> String {
        let server = Server::start(script);
        let error = told(&self.fetch(set, &[&server.url]).unwrap_err());
        error.replace(&server.url, "URL").replace(&self.path("").display().to_string(), "SET/")
    }

    /// Asserts that the folder holds these files and the lock alone.
    fn holds(&self, files: &[(&str, &[u8])]) {
        let mut names: Vec<_> = fs::read_dir(self.path(""))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != ".lock")
            .collect();
        names.sort();
        assert_eq!(names, files.iter().map(|file| file.0).collect::<Vec<_>>());
        for (name, bytes) in files {
            assert!(fs::read(self.path(name)).unwrap() == *bytes, "{name} differs");
        }
    }
}

/// An error with its source, as the binary prints it.
fn told(error: &Error) -> String {
    let source = std::error::Error::source(error);
    source.map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}

#[test]
fn a_set_is_fetched_and_then_kept() {
    let (desk, a, b) = (Desk::new(), bytes(1), bytes(2));
    let set = set(".gz", &[&a, &b]);
    let (packed_a, packed_b) = (gzip(&a, 1), gzip(&b, 6));
    let script = vec![Reply::File(packed_a.clone()), Reply::File(packed_b.clone())];
    let (done, asked) = desk.play(&set, script);
    assert_eq!(asked, ["/a.gz", "/b.gz"]);
    assert!(done.unwrap().iter().all(|file| file.from.is_some()));
    desk.holds(&[("a.gz", &packed_a), ("b.gz", &packed_b)]);
    let ear = desk.ear.lock().unwrap();
    assert_eq!(ear.received.last(), Some(&(packed_b.len() as u64)));
    assert!(ear.totals.contains(&Some(packed_a.len() as u64)));
    drop(ear);

    let (again, asked) = desk.play(&set, vec![]);
    assert_eq!((again.unwrap()[1].from.clone(), asked.len()), (None, 0));
}

/// Files that the user unpacked are as good, and only the absent one is asked for.
#[test]
fn only_what_is_absent_is_asked_for() {
    let (desk, a, b) = (Desk::new(), bytes(1), bytes(2));
    desk.write("a", &a);
    let packed = gzip(&b, 1);
    let (done, asked) = desk.play(&set(".gz", &[&a, &b]), vec![Reply::File(packed.clone())]);
    assert_eq!((done.unwrap()[0].from.clone(), asked), (None, vec!["/b.gz".into()]));
    desk.holds(&[("a", &a), ("b.gz", &packed)]);
}

#[test]
fn a_cut_download_goes_on() {
    let (desk, a) = (Desk::new(), bytes(1));
    let set = set("", &[&a]);
    let error = desk.fails(&set, vec![Reply::Cut(a.clone(), 150_000)]);
    assert!(error.starts_with("cannot fetch a: URL/a: "), "{error}");
    let kept = "; what arrived is kept in SET/a.part, and the same command goes on there";
    assert!(error.ends_with(kept), "{error}");
    desk.holds(&[("a.part", &a[..150_000])]);

    let (done, asked) = desk.play(&set, vec![Reply::File(a.clone())]);
    done.unwrap();
    assert_eq!(asked, ["/a from 150000"]);
    assert_eq!(desk.ear.lock().unwrap().received[0], 150_000);
    desk.holds(&[("a", &a)]);
}

#[test]
fn the_next_mirror_goes_on_where_the_last_was_cut_off() {
    let (desk, a) = (Desk::new(), bytes(1));
    let script = vec![Reply::Cut(a.clone(), 70_000)];
    let (first, second) = (Server::start(script), Server::start(vec![Reply::File(a.clone())]));
    desk.fetch(&set("", &[&a]), &[&first.url, &second.url]).unwrap();
    assert_eq!(second.requests(), ["/a from 70000"]);
    desk.holds(&[("a", &a)]);
}

#[test]
fn a_server_without_ranges_starts_over() {
    let (desk, a) = (Desk::new(), bytes(1));
    desk.write("a.part", &a[..90_000]);
    let (done, asked) = desk.play(&set("", &[&a]), vec![Reply::Whole(a.clone())]);
    done.unwrap();
    assert_eq!(asked, ["/a from 90000"]);
    desk.holds(&[("a", &a)]);
}

#[test]
fn a_beginning_of_another_file_is_fetched_anew() {
    let a = bytes(1);
    let set = set(".gz", &[&a]);
    // Another mirror's compression, something else, and more than there is to send.
    for begin in [gzip(&a, 9)[..50_000].to_vec(), vec![7; 150_000], vec![7; 250_000]] {
        let desk = Desk::new();
        desk.write("a.gz.part", &begin);
        let packed = gzip(&a, 0);
        let script = vec![Reply::File(packed.clone()), Reply::File(packed.clone())];
        let (done, asked) = desk.play(&set, script);
        done.unwrap();
        assert_eq!(asked, [format!("/a.gz from {}", begin.len()), "/a.gz".into()]);
        desk.holds(&[("a.gz", &packed)]);
    }
}

/// As after a power cut between the last byte and the new name.
#[test]
fn a_whole_part_needs_only_its_name() {
    let (desk, a) = (Desk::new(), bytes(1));
    desk.write("a.part", &a);
    let (done, asked) = desk.play(&set("", &[&a]), vec![Reply::File(a.clone())]);
    done.unwrap();
    assert_eq!(asked, ["/a from 200000"]);
    desk.holds(&[("a", &a)]);
}

#[test]
fn wrong_content_never_gets_the_name() {
    let (desk, a, b) = (Desk::new(), bytes(1), bytes(2));
    let packed = set(".gz", &[&a]);
    let error = desk.fails(&packed, vec![Reply::File(gzip(&b, 1))]);
    assert!(
        error.starts_with("cannot fetch a.gz: URL/a.gz: SHA-256 of its content is "),
        "{error}"
    );
    assert!(error.ends_with("; try again later, or name another server with --mirror"), "{error}");
    desk.holds(&[]);
    let page = || b"<html>Log in to the network".to_vec();
    let error = desk.fails(&packed, vec![Reply::File(page())]);
    assert!(error.contains("its content is 27 bytes long, not 200000"), "{error}");
    let mut broken = gzip(&a, 1);
    broken.truncate(100_000);
    assert!(desk.fails(&packed, vec![Reply::File(broken)]).contains("a.gz: gzip: "));
    assert!(desk.fails(&set("", &[&a]), vec![Reply::File(b)]).contains("SHA-256"));
    desk.holds(&[]);
}

#[test]
fn too_much_is_refused_announced_or_not() {
    let (desk, a) = (Desk::new(), bytes(1));
    let long = [&a[..], &[0]].concat();
    let plain = desk.fails(&set("", &[&a]), vec![Reply::File(long)]);
    assert!(plain.contains("URL/a: sends more than the 200000 bytes expected"), "{plain}");
    let endless = desk.fails(&set(".gz", &[&a]), vec![Reply::Endless]);
    assert!(endless.contains("URL/a.gz: sends more than the 201224 bytes expected"), "{endless}");
    // A small file that unpacks to more than there is room for.
    let bomb = desk.fails(&set(".gz", &[&a]), vec![Reply::File(gzip(&vec![0; 50_000_000], 9))]);
    assert!(bomb.contains("its content is longer than 200000 bytes"), "{bomb}");
    desk.holds(&[]);
}

#[test]
fn mirrors_take_turns() {
    let (desk, a) = (Desk::new(), bytes(1));
    let set = set("", &[&a]);
    let first = Server::start(vec![Reply::Status("404 Not Found")]);
    let second = Server::start(vec![Reply::File(a.clone())]);
    let done = desk.fetch(&set, &[&format!("{}/", first.url), &second.url]).unwrap();
    assert_eq!(done[0].from, Some(format!("{}/a", second.url)));
    assert_eq!(desk.ear.lock().unwrap().failures, ["answered 404 Not Found"]);
    assert_eq!(first.requests(), ["/a"]);
}

#[test]
fn all_mirrors_are_named_if_none_works() {
    let (desk, a) = (Desk::new(), bytes(1));
    let server = Server::start(vec![Reply::Status("503 Service Unavailable")]);
    let mirrors = [&server.url, "http://127.0.0.1:1", "no address", "ftp://127.0.0.1"];
    let error = desk.fetch(&set("", &[&a]), &mirrors).unwrap_err().to_string();
    for part in [
        format!("cannot fetch a: {}/a: answered 503 Service Unavailable; ", server.url),
        "; http://127.0.0.1:1/a: Connection refused".into(),
        "; no address/a: ".into(),
        "; ftp://127.0.0.1/a: ".into(),
    ] {
        assert!(error.contains(&part), "{part} is not in: {error}");
    }
    desk.holds(&[]);
}

/// A handshake is begun, and an answer that is none is an error: the TLS library is set up.
#[test]
fn https_means_tls() {
    let (desk, a) = (Desk::new(), bytes(1));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mirror = format!("https://{}", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let (mut stream, mut hello) = (listener.accept().unwrap().0, [0; 3]);
        std::io::Read::read_exact(&mut stream, &mut hello).unwrap();
        std::io::Write::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        hello
    });
    let error = desk.fetch(&set("", &[&a]), &[&mirror]).unwrap_err().to_string();
    assert_eq!(server.join().unwrap(), [22, 3, 1], "a record of a handshake");
    assert!(error.contains("corrupt message"), "{error}");
}

#[test]
fn known_mirrors_are_used_if_none_is_named() {
    let (desk, a) = (Desk::new(), bytes(1));
    let error = desk.fetch(&set("", &[&a]), &[]).unwrap_err().to_string();
    assert!(error.starts_with("cannot fetch a: http://127.0.0.1:1/unasked/a: "), "{error}");
}

#[test]
fn silent_and_slow_servers_are_left() {
    let a = bytes(1);
    let set = set("", &[&a]);
    // A server on a busy machine is given five seconds to begin with.
    let fails = |reply: Reply| {
        let desk = Desk { read: Duration::from_secs(5), ..Desk::new() };
        let error = desk.fails(&set, vec![reply]);
        (desk, error)
    };
    thread::scope(|scope| {
        let stalled = scope.spawn(|| fails(Reply::Stall(a.clone(), 1000)));
        let silent = scope.spawn(|| fails(Reply::Silence));
        let slow = scope.spawn(|| fails(Reply::Drip(a.clone())));
        let (desk, error) = stalled.join().unwrap();
        assert!(error.starts_with("cannot fetch a: URL/a: sent nothing for 5s; "), "{error}");
        desk.holds(&[("a.part", &a[..1000])]);
        let (_, error) = silent.join().unwrap();
        assert!(error.contains("URL/a: sent nothing for 5s"), "{error}");
        let (_, error) = slow.join().unwrap();
        assert!(error.contains("URL/a: too slow: ") && error.contains("bytes in 5s"), "{error}");
    });
}

#[test]
fn a_wrong_file_is_left_and_named() {
    let (desk, a) = (Desk::new(), bytes(1));
    desk.write("a", b"mine");
    let (done, asked) = desk.play(&set(".gz", &[&a]), vec![]);
    let error = done.unwrap_err().to_string();
    let place = desk.path("a").display().to_string();
    let why = "its content is 4 bytes long, not 200000; remove it and fetch it again";
    assert_eq!((error, asked.len()), (format!("{place}: {why}"), 0));
    desk.holds(&[("a", b"mine")]);
}

#[test]
fn folders_that_cannot_be_written_are_named_before_anything_is_fetched() {
    let (desk, a) = (Desk::new(), bytes(1));
    fs::write(desk.temp.path().join("set"), "a file in the way").unwrap();
    let (done, asked) = desk.play(&set("", &[&a]), vec![]);
    let error = done.unwrap_err();
    assert!(matches!(&error, Error::File { path, .. } if path.ends_with("set")), "{error}");
    assert_eq!(asked.len(), 0);
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_named() {
    let (desk, a) = (Desk::new(), bytes(1));
    fs::create_dir_all(desk.path("")).unwrap();
    std::os::unix::fs::symlink("/dev/full", desk.path("a.part")).unwrap();
    let error = desk.fails(&set("", &[&a]), vec![Reply::File(a.clone())]);
    assert_eq!(error, "SET/a.part: No space left on device (os error 28)");
}

/// The second one is refused while the first is under way, and what the first brings is whole.
#[test]
fn two_at_once_do_not_meet() {
    let (desk, a) = (Desk::new(), bytes(1));
    let set = set("", &[&a]);
    let (open, gate) = channel();
    let server = Server::start(vec![Reply::After(gate, a.clone())]);
    thread::scope(|scope| {
        let first = scope.spawn(|| desk.fetch(&set, &[&server.url]));
        let begun = || {
            thread::sleep(Duration::from_millis(2));
            desk.path("a.part").exists()
        };
        assert!((0..5000).any(|_| begun()), "the first one has not begun");
        let error = told(&desk.fetch(&set, &["http://127.0.0.1:1"]).unwrap_err());
        open.send(()).unwrap();
        let lock = desk.path(".lock").display().to_string();
        let why = "another process is fetching into this folder; wait until it is done";
        assert_eq!(error, format!("{lock}: {why}"));
        first.join().unwrap().unwrap();
    });
    desk.holds(&[("a", &a)]);
}

#[test]
#[cfg(unix)]
fn a_pipe_where_a_file_is_written_is_refused() {
    for name in [".lock", "a.part"] {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join(name);
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let published = set("", &[b"content"]);
        let error = fetch_files(&published, folder.path(), &Options::default(), &mut ());
        let Err(Error::File { path, source }) = error else { panic!("{error:?}") };
        assert_eq!(path, pipe);
        assert_eq!(source.to_string(), "this is a pipe, and a regular file was expected");
    }
}
