//! The kernels' sources, as they are handed to a compiler.

/// In front of every file.
const COMMON: &str = include_str!("../../kernels/common.cuh");

/// In front of every file with a sign product.
const FINISH: &str = include_str!("../../kernels/finish.cuh");

/// In front of every file whose threads copy tiles.
const COPIES: &str = include_str!("../../kernels/copies.cuh");

/// In front of every file whose warps feed tensor cores.
const MMA: &str = include_str!("../../kernels/mma.cuh");

/// In front of the file whose products are asynchronous.
const WGMMA: &str = include_str!("../../kernels/wgmma.cuh");

/// A file of kernels.
pub(super) struct Source {
    /// Its name, without the ending.
    pub(super) name: &'static str,
    /// What it needs in front.
    headers: &'static [&'static str],
    text: &'static str,
}

macro_rules! sources {
    ($($name:literal $headers:expr),* $(,)?) => {
        [$(Source {
            name: $name,
            headers: &$headers,
            text: include_str!(concat!("../../kernels/", $name, ".cu")),
        }),*]
    };
}

/// All files.
pub(super) static SOURCES: [Source; 10] = sources![
    "coding" [],
    "gather" [],
    "hopper" [FINISH, COPIES, WGMMA],
    "int8" [FINISH, COPIES, MMA],
    "norm" [],
    "pool" [],
    "product" [FINISH],
    "rivals" [],
    "tensor" [FINISH, COPIES, MMA],
    "train" [],
];

impl Source {
    /// The file of this name.
    ///
    /// # Panics
    /// If there is none: names are constants of this crate.
    pub(super) fn named(name: &str) -> &'static Self {
        SOURCES.iter().find(|source| source.name == name).expect("a file of kernels")
    }

    /// The whole text.
    pub(super) fn text(&self) -> String {
        let whole = [&[COMMON], self.headers, &["#line 1\n", self.text]];
        whole.concat().join("\n")
    }
}
