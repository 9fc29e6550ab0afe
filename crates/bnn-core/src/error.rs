//! The one error type of the core and of every backend.

use std::fmt;

/// What can go wrong in a backend or a model file; every variant says where and why.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// Two operands do not fit together.
    Shape {
        /// Operation that refused.
        op: &'static str,
        /// What it needed.
        want: String,
        /// What it was given.
        got: String,
    },
    /// An argument lies outside its domain.
    Value {
        /// Name of the argument.
        what: &'static str,
        /// The value, and what would be allowed.
        why: String,
    },
    /// A backend, kernel or device that is not here; never replaced silently by another.
    Unavailable {
        /// What was asked for.
        what: String,
        /// Why it is absent, and the remedy.
        why: String,
    },
    /// A backend, kernel or device of a name that none has, on any machine.
    Unknown {
        /// What was asked for.
        what: String,
        /// The names that there are.
        why: String,
    },
    /// The device or its library failed.
    Device {
        /// Operation that failed.
        op: &'static str,
        /// The library's own error.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Bytes that are not what they should be.
    Format {
        /// Tensor or field at fault.
        place: String,
        /// What is wrong there.
        why: String,
    },
}

/// Result of every operation of the core and of the backends.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// A shape error of `op`.
    pub fn shape(op: &'static str, want: impl fmt::Display, got: impl fmt::Display) -> Self {
        Self::Shape { op, want: want.to_string(), got: got.to_string() }
    }

    /// An argument named `what` outside its domain.
    pub fn value(what: &'static str, why: impl fmt::Display) -> Self {
        Self::Value { what, why: why.to_string() }
    }

    /// Something absent, with the remedy in `why`.
    pub fn unavailable(what: impl fmt::Display, why: impl fmt::Display) -> Self {
        Self::Unavailable { what: what.to_string(), why: why.to_string() }
    }

    /// A name that nothing has, with those that there are in `why`.
    pub fn unknown(what: impl fmt::Display, why: impl fmt::Display) -> Self {
        Self::Unknown { what: what.to_string(), why: why.to_string() }
    }

    /// Damaged or foreign bytes at `place`.
    pub fn format(place: impl fmt::Display, why: impl fmt::Display) -> Self {
        Self::Format { place: place.to_string(), why: why.to_string() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shape { op, want, got } => write!(f, "{op}: want {want}, got {got}"),
            Self::Value { what, why } => write!(f, "{what}: {why}"),
            Self::Unknown { what, why } => write!(f, "{what} is not known: {why}"),
            Self::Unavailable { what, why } => write!(f, "{what} is not available: {why}"),
            Self::Device { op, source } => write!(f, "{op}: {source}"),
            Self::Format { place, why } => write!(f, "{place}: {why}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Device { source, .. } => source.source(), // its own text is in ours
            _ => None,
        }
    }
}
