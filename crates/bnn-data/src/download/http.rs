//! What is asked of servers, and their answers.

use std::io::{self, Read};
use std::time::Duration;

use ureq::http::{HeaderMap, Response, StatusCode, header};
use ureq::{Agent, Body, Timeout};

use crate::download::Options;

/// Asks servers for files.
pub(super) struct Client {
    agent: Agent,
    connect: Duration,
    read: Duration,
}

/// Bytes of a file that a server is about to send.
pub(super) struct Answer {
    /// Number of the first byte.
    pub(super) start: u64,
    /// Number of bytes, if the server tells.
    pub(super) bytes: Option<u64>,
    pub(super) body: Box<dyn Read>,
}

impl Client {
    pub(super) fn new(options: &Options) -> Self {
        let (connect, read) = (options.connect, options.read);
        let config = Agent::config_builder()
            .user_agent(concat!("bnn-data/", env!("CARGO_PKG_VERSION")))
            .http_status_as_error(false)
            .timeout_resolve(Some(connect))
            .timeout_connect(Some(connect))
            .timeout_send_request(Some(read))
            .timeout_recv_response(Some(read))
            .timeout_per_read(Some(read));
        Self { agent: config.build().into(), connect, read }
    }

    /// Longest time without any byte, and for every 64 KiB.
    pub(super) fn read(&self) -> Duration {
        self.read
    }

    /// Asks for a file from byte `start` on; a server may send it from its first byte all the same.
    ///
    /// # Errors
    /// What went wrong, in words.
    pub(super) fn get(&self, url: &str, start: u64) -> Result<Answer, String> {
        let mut request = self.agent.get(url);
        if start > 0 {
            request = request.header(header::RANGE, format!("bytes={start}-"));
        }
        let response = request.call().map_err(|error| self.reason(&error))?;
        match response.status() {
            StatusCode::OK => Ok(answer(response, 0)),
            StatusCode::PARTIAL_CONTENT => match first_byte(response.headers()) {
                Some(first) if first == start => Ok(answer(response, start)),
                _ => Err(format!("sent another part than the one from byte {start} on")),
            },
            // Nothing lies behind what is here: it is whole, or of another file.
            StatusCode::RANGE_NOT_SATISFIABLE if start > 0 => {
                Ok(Answer { start, bytes: Some(0), body: Box::new(io::empty()) })
            }
            status => Err(format!("answered {status}")),
        }
    }

    /// Why reading an answer failed.
    pub(super) fn read_reason(&self, error: &io::Error) -> String {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<ureq::Error>());
        inner.map_or_else(|| error.to_string(), |inner| self.reason(inner))
    }

    fn reason(&self, error: &ureq::Error) -> String {
        match error {
            ureq::Error::Timeout(Timeout::Resolve | Timeout::Connect) => {
                format!("no connection within {:?}", self.connect)
            }
            ureq::Error::Timeout(_) => format!("sent nothing for {:?}", self.read),
            ureq::Error::Io(error) => error.to_string(),
            error => error.to_string(),
        }
    }
}

fn answer(response: Response<Body>, start: u64) -> Answer {
    let body = response.into_body();
    Answer { start, bytes: body.content_length(), body: Box::new(body.into_reader()) }
}

/// The first byte of `Content-Range: bytes FIRST-LAST/WHOLE`.
fn first_byte(headers: &HeaderMap) -> Option<u64> {
    let range = headers.get(header::CONTENT_RANGE)?.to_str().ok()?;
    range.strip_prefix("bytes ")?.split_once('-')?.0.trim().parse().ok()
}
