//! What libtorch throws, as errors that say what to do.

use std::fmt;

use bnn_core::Error;
use tch::TchError;

/// What ends an operation early: libtorch threw, or an operand does not fit.
#[derive(Debug)]
pub enum Fault {
    Torch(TchError),
    Refused(Error),
}

pub type Result<T> = std::result::Result<T, Fault>;

impl From<TchError> for Fault {
    fn from(error: TchError) -> Self {
        Self::Torch(error)
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

/// The result of operation `op` as the contract wants it.
pub fn named<T>(op: &'static str, result: Result<T>) -> bnn_core::Result<T> {
    result.map_err(|fault| match fault {
        Fault::Torch(error) => Error::Device { op, source: Box::new(Thrown::new(&error)) },
        Fault::Refused(error) => error,
    })
}

/// What libtorch says in its first line; the others are a stack of C++ frames.
pub fn said(error: &TchError) -> String {
    let text = error.to_string();
    let first = text.lines().next().unwrap_or_default().trim_end();
    first.strip_prefix("Internal torch error: ").unwrap_or(first).into()
}

/// An exception of libtorch, and a remedy where one is known.
#[derive(Debug)]
struct Thrown {
    what: String,
    remedy: Option<&'static str>,
}

/// Words of libtorch, and what to do about them.
const REMEDIES: [(&str, &str); 5] = [
    ("not enough memory", "take a smaller batch or network, or free memory"),
    ("can't allocate memory", "take a smaller batch or network, or free memory"),
    ("out of memory", "take a smaller batch or network, or end what else uses the device"),
    ("driver version is insufficient", "install a driver for CUDA 13.0 or later"),
    ("no kernel image", "this GPU is not one of those that this libtorch was built for; use `tch`"),
];

impl Thrown {
    fn new(error: &TchError) -> Self {
        let text = error.to_string();
        let known = REMEDIES.iter().find(|(words, _)| text.contains(words));
        Self { what: said(error), remedy: known.map(|(_, remedy)| *remedy) }
    }
}

impl fmt::Display for Thrown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "libtorch: {}", self.what)?;
        self.remedy.map_or(Ok(()), |remedy| write!(f, "; {remedy}"))
    }
}

impl std::error::Error for Thrown {}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, Tensor};

    use super::*;

    #[test]
    fn memory_that_is_not_there_is_an_error_with_a_remedy() {
        let exbibyte = Tensor::f_zeros([1 << 58], (Kind::Float, Device::Cpu));
        let error = named("put", exbibyte.map_err(Fault::from)).unwrap_err().to_string();
        assert!(error.starts_with("put: libtorch: "), "{error}");
        assert!(error.ends_with("; take a smaller batch or network, or free memory"), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }

    #[test]
    fn refusals_keep_their_words() {
        let refused = named::<()>("put", Err(Error::value("keep", "2 is not in (0, 1]").into()));
        assert_eq!(refused.unwrap_err().to_string(), "keep: 2 is not in (0, 1]");
    }
}
