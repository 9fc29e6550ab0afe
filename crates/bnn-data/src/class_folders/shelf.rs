//! Files sorted into splits and classes by the folders that they lie in.

use std::collections::{BTreeMap, BTreeSet};

use crate::archive::{Content, Entry};

/// Files of one split: for every class, by its number, its files by the order of their names.
pub(super) type Split = Vec<Vec<Entry>>;

/// What is wrong, behind the place where it is.
type Fault = (String, String);

/// All images of a data set.
pub(super) struct Shelf {
    /// Names of the classes; their numbers are places in this list.
    pub(super) classes: Vec<String>,
    pub(super) train: Split,
    pub(super) test: Split,
}

/// Files of one split by the names of their classes.
type Classes = BTreeMap<String, Vec<Entry>>;

const LAYOUT: &str = "images lie in train/<class>/ and test/<class>/";

impl Shelf {
    /// Sorts files by their places.
    pub(super) fn sort(content: Content) -> Result<Self, Fault> {
        let mut splits = [("train", Classes::new()), ("test", Classes::new())];
        for folder in content.folders {
            if let [split, class] = folder.split('/').collect::<Vec<_>>()[..]
                && let Some((_, classes)) = splits.iter_mut().find(|(name, _)| *name == split)
            {
                classes.entry(class.into()).or_default();
            }
        }
        for file in content.files {
            put(&mut splits, file)?;
        }
        let [(_, train), (_, test)] = splits;
        check_classes(&train, &test)?;
        let classes = train.keys().cloned().collect();
        Ok(Self { classes, train: in_order("train", train)?, test: in_order("test", test)? })
    }
}

/// Puts a file into its class.
fn put(splits: &mut [(&str, Classes); 2], file: Entry) -> Result<(), Fault> {
    let names: Vec<_> = file.place.split('/').collect();
    match names[..] {
        [_] => {} // a licence, a list of names
        [split, class, _] if splits.iter().any(|(name, _)| *name == split) => {
            let found = splits.iter_mut().find(|(name, _)| *name == split);
            let (_, classes) = found.expect("this is one of the two");
            classes.entry(class.into()).or_default().push(file);
        }
        _ => return Err((file.place, format!("this is no place for a file; {LAYOUT}"))),
    }
    Ok(())
}

/// Checks that both splits have the same classes, and as many as labels can tell apart.
fn check_classes(train: &Classes, test: &Classes) -> Result<(), Fault> {
    for (name, split) in [("train", train), ("test", test)] {
        if split.is_empty() {
            return Err((name.into(), format!("there are no images; {LAYOUT}")));
        }
    }
    let known: BTreeSet<_> = train.keys().collect();
    if let Some(class) = test.keys().find(|class| !known.contains(class)) {
        let list = train.keys().map(|class| format!("`{class}`")).collect::<Vec<_>>().join(", ");
        let why = format!("train has no such class, but the {} classes {list}", known.len());
        return Err((format!("test/{class}"), why));
    }
    if let Some(class) = train.keys().find(|class| !test.contains_key(*class)) {
        let why = format!("train has this class, with {} images", train[class].len());
        return Err((format!("test/{class}"), format!("the folder is absent, but {why}")));
    }
    let (count, most) = (train.len(), usize::from(u8::MAX) + 1);
    if count > most {
        return Err(("train".into(), format!("{count} classes are more than {most}")));
    }
    Ok(())
}

/// The files of every class by the order of their names.
fn in_order(split: &str, classes: Classes) -> Result<Split, Fault> {
    let sort = |(class, mut files): (String, Vec<Entry>)| {
        if files.is_empty() {
            return Err((format!("{split}/{class}"), "there is no image of this class".into()));
        }
        files.sort_by(|a, b| a.place.cmp(&b.place));
        match files.windows(2).find(|pair| pair[0].place == pair[1].place) {
            Some(pair) => Err((pair[0].place.clone(), "the archive has this file twice".into())),
            None => Ok(files),
        }
    };
    classes.into_iter().map(sort).collect()
}
