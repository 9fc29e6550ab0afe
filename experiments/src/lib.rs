//! The experiments beside this crate's manifest, built into programs that run without a checkout.
//!
//! Every file is read when the crate is built, from within its own package: nothing is copied, and a
//! published crate holds what a checkout does.

#![forbid(unsafe_code)]

/// An experiment: a spec under its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Experiment {
    /// The name of its file, without `.toml`.
    pub name: &'static str,
    /// The text of its file, comments and tiers included.
    pub text: &'static str,
}

/// All experiments, by name.
pub const ALL: &[Experiment] = &[
    file("cifar-convnet", include_str!("../cifar-convnet.toml")),
    file("cifar-convnet-binaryconnect", include_str!("../cifar-convnet-binaryconnect.toml")),
    file("cifar-convnet-float", include_str!("../cifar-convnet-float.toml")),
    file("cifar-convnet-jpeg", include_str!("../cifar-convnet-jpeg.toml")),
    file("cifar-convnet-quarter", include_str!("../cifar-convnet-quarter.toml")),
    file("cifar-convnet-torch", include_str!("../cifar-convnet-torch.toml")),
    file("cifar-convnet-torch-jpeg", include_str!("../cifar-convnet-torch-jpeg.toml")),
    file("cifar-convnet-torch-quarter", include_str!("../cifar-convnet-torch-quarter.toml")),
    file("digits-conv", include_str!("../digits-conv.toml")),
    file("digits-mlp", include_str!("../digits-mlp.toml")),
    file("mnist-mlp", include_str!("../mnist-mlp.toml")),
    file("mnist-mlp-binaryconnect", include_str!("../mnist-mlp-binaryconnect.toml")),
    file("mnist-mlp-float", include_str!("../mnist-mlp-float.toml")),
    file("mnist-mlp-plain", include_str!("../mnist-mlp-plain.toml")),
    file("mnist-mlp-small", include_str!("../mnist-mlp-small.toml")),
    file("mnist-mlp-start", include_str!("../mnist-mlp-start.toml")),
    file("mnist-mlp-torch", include_str!("../mnist-mlp-torch.toml")),
    file("mnist-mlp-torch-deterministic", include_str!("../mnist-mlp-torch-deterministic.toml")),
    file("mnist-mlp-torch-unshifted", include_str!("../mnist-mlp-torch-unshifted.toml")),
    file("svhn-convnet", include_str!("../svhn-convnet.toml")),
    file("svhn-convnet-binaryconnect", include_str!("../svhn-convnet-binaryconnect.toml")),
    file("svhn-convnet-float", include_str!("../svhn-convnet-float.toml")),
    file("svhn-convnet-torch", include_str!("../svhn-convnet-torch.toml")),
];

const fn file(name: &'static str, text: &'static str) -> Experiment {
    Experiment { name, text }
}

/// The experiment of a name.
///
/// ```
/// let first = bnn_experiments::find("digits-mlp").expect("built in");
/// assert!(first.text.contains("[tier.quick]"));
/// assert_eq!(bnn_experiments::find("digits-mlp.toml"), None);
/// ```
pub fn find(name: &str) -> Option<Experiment> {
    ALL.iter().copied().find(|experiment| experiment.name == name)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// The files of experiments in the folder, by name.
    fn files() -> Vec<(String, String)> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let specs = paths.filter(|path| path.extension().is_some_and(|it| it == "toml"));
        let specs = specs.filter(|path| !path.ends_with("Cargo.toml"));
        let read = |path: std::path::PathBuf| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read_to_string(path).unwrap())
        };
        let mut files: Vec<_> = specs.map(read).collect();
        files.sort();
        files
    }

    #[test]
    fn every_file_of_the_folder_is_built_in() {
        let built: Vec<_> = ALL.iter().map(|it| (it.name.to_owned(), it.text.to_owned())).collect();
        assert_eq!(built, files(), "add the file to `ALL`, in the order of names");
    }
}
