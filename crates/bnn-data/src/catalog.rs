//! The data sets by name. A new one is a file of its own and a row of the table here.

use crate::{Dataset, Error, Lookup, Result, digits, mnist};

/// All data sets.
const SOURCES: [Source; 2] = [digits::SOURCE, mnist::SOURCE];

/// What a data set tells the catalogue.
pub(crate) struct Source {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
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
}

/// All known data sets, and where each is.
pub fn catalog(lookup: &Lookup) -> Vec<Listing> {
    let listing = |Source { name, about, place, .. }| Listing { name, about, place: place(lookup) };
    SOURCES.into_iter().map(listing).collect()
}

/// Loads the data set `name`.
///
/// # Errors
/// [`Error::Unknown`] if no data set has this name, [`Error::Missing`] if it is not on this
/// machine, [`Error::File`] and [`Error::Damaged`] if its files are at fault.
pub fn load(name: &str, lookup: &Lookup) -> Result<Dataset> {
    match SOURCES.iter().find(|source| source.name == name) {
        Some(source) => (source.load)(lookup),
        None => Err(Error::Unknown {
            name: name.into(),
            known: SOURCES.map(|source| format!("`{}`", source.name)).join(", "),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_sets_go_by_name() {
        let listings = catalog(&Lookup::default());
        let names: Vec<_> = listings.iter().map(|listing| listing.name).collect();
        assert_eq!(names, ["digits", "mnist"]);
        assert_eq!(listings[0].place.as_deref().unwrap(), "drawn when loaded");
        assert!(matches!(listings[1].place, Err(Error::Missing { name: "mnist", .. })));
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones() {
        let error = load("minst", &Lookup::default()).unwrap_err();
        assert_eq!(error.to_string(), "no data set `minst`; known are `digits`, `mnist`");
    }
}
