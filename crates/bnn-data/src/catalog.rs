//! The data sets by name. A new one is a file of its own and a row of the table here.

use crate::picture::Rules;
use crate::published::Published;
use crate::{
    Dataset, Error, Lookup, Result, cifar10, cifar10_jpeg, digits, mnist, own_images, svhn,
};

/// All data sets.
static SOURCES: [Source; 6] = [
    digits::SOURCE,
    mnist::SOURCE,
    cifar10::SOURCE,
    cifar10_jpeg::SOURCE,
    svhn::SOURCE,
    own_images::SOURCE,
];

/// What a data set tells the catalogue.
pub(crate) struct Source {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    /// Its files, if any are published.
    pub(crate) published: Option<&'static Published>,
    /// Says where the data set comes from, without reading it.
    pub(crate) place: fn(&Lookup) -> Result<String>,
    pub(crate) load: fn(&Lookup) -> Result<Dataset>,
}

/// A data set of the catalogue.
#[derive(Debug)]
pub struct Listing {
    /// The name to load it by.
    pub name: &'static str,
    /// What it is, in a line.
    pub about: &'static str,
    /// Where it is, or why it cannot be had.
    pub place: Result<String>,
    /// Addresses of folders that hold its files, in the order in which they are tried.
    pub mirrors: &'static [&'static str],
}

/// All known data sets, and where each is.
pub fn catalog(lookup: &Lookup) -> Vec<Listing> {
    let listing = |source: &Source| Listing {
        name: source.name,
        about: source.about,
        place: (source.place)(lookup),
        mirrors: source.published.map_or(&[], |published| published.mirrors),
    };
    SOURCES.iter().map(listing).collect()
}

/// Loads the data set `name`.
///
/// # Errors
/// [`Error::Unknown`] if no data set has this name, [`Error::Missing`] if it is not on this
/// machine, [`Error::File`] and [`Error::Damaged`] if its files are at fault.
pub fn load(name: &str, lookup: &Lookup) -> Result<Dataset> {
    (source(name)?.load)(lookup)
}

/// Loads the data set `name`, its images made as `rules` say.
///
/// # Errors
/// As [`load`], and [`Error::Images`] for rules that cannot be followed.
pub fn load_as(name: &str, lookup: &Lookup, rules: &Rules) -> Result<Dataset> {
    if name == own_images::SOURCE.name {
        return own_images::load(lookup, rules); // of several sizes and kinds
    }
    load(name, lookup)?.developed(rules)
}

/// The row of the data set `name`.
///
/// # Errors
/// [`Error::Unknown`] if there is none.
pub(crate) fn source(name: &str) -> Result<&'static Source> {
    let known = || SOURCES.iter().map(|source| format!("`{}`", source.name));
    SOURCES.iter().find(|source| source.name == name).ok_or_else(|| Error::Unknown {
        name: name.into(),
        known: known().collect::<Vec<_>>().join(", "),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_sets_go_by_name() {
        let listings = catalog(&Lookup::default());
        let names: Vec<_> = listings.iter().map(|listing| listing.name).collect();
        assert_eq!(names, ["digits", "mnist", "cifar10", "cifar10-jpeg", "svhn", "images"]);
        assert_eq!(listings[0].place.as_deref().unwrap(), "drawn when loaded");
        assert!(matches!(listings[1].place, Err(Error::Missing { name: "mnist", .. })));
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones() {
        let error = load("minst", &Lookup::default()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "no data set `minst`; known are `digits`, `mnist`, `cifar10`, `cifar10-jpeg`, `svhn`, \
             `images`"
        );
    }
}
