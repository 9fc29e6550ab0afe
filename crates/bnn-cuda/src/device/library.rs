//! The kernels' sources, as they are handed to a compiler.

/// In front of every file.
const COMMON: &str = include_str!("../../kernels/common.cuh");

/// In front of every file with a sign product.
const FINISH: &str = include_str!("../../kernels/finish.cuh");

/// A file of kernels.
pub(super) struct Source {
    /// Its name, without the ending.
    pub(super) name: &'static str,
    /// Whether it has a sign product.
    product: bool,
    text: &'static str,
}

macro_rules! sources {
    ($($name:literal $product:literal),* $(,)?) => {
        [$(Source {
            name: $name,
            product: $product,
            text: include_str!(concat!("../../kernels/", $name, ".cu")),
        }),*]
    };
}

/// All files.
pub(super) static SOURCES: [Source; 9] = sources![
    "coding" false,
    "gather" false,
    "hopper" true,
    "norm" false,
    "pool" false,
    "product" true,
    "rivals" false,
    "tensor" true,
    "train" false,
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
        let finish = if self.product { FINISH } else { "" };
        [COMMON, finish, "#line 1\n", self.text].join("\n")
    }
}
