//! Files sorted into splits and classes by the folders that they lie in.

use std::collections::BTreeMap;

use crate::archive::{Content, Entry};

/// Files of one split: for every class, by its number, its files by the order of their names.
pub(super) type Split = Vec<Vec<Entry>>;

/// What is wrong, behind the place where it is.
type Fault = (String, String);

/// Folders of images to train on, to test by, and to validate by, of which there may be one.
pub(super) const SPLITS: [&str; 5] = ["train", "test", "val", "valid", "validation"];

/// The longest name of a class, in bytes: that of a file on most systems.
const NAME: usize = 255;

/// All images of a data set.
pub(super) struct Shelf {
    /// Names of the classes; their numbers are places in this list.
    pub(super) classes: Vec<String>,
    pub(super) train: Split,
    pub(super) test: Split,
    /// Images to validate by, if they have a folder of their own.
    pub(super) validation: Option<Split>,
}

/// Files of one split by the names of their classes.
type Classes = BTreeMap<String, Vec<Entry>>;

const LAYOUT: &str = "images lie in train/<class>/ and test/<class>/";

/// Whether a file at a place is an image; one beside the folders is a licence or a list of names.
///
/// # Errors
/// Why it cannot be there.
pub(super) fn is_image(place: &str) -> Result<bool, String> {
    match place.split('/').collect::<Vec<_>>()[..] {
        [_] => Ok(false),
        [split, class, _] if SPLITS.contains(&split) => check_name(class).map(|()| true),
        _ => Err(format!("this is no place for a file; {LAYOUT}")),
    }
}

/// Whether a folder at a place is one of a class.
pub(super) fn is_class(place: &str) -> bool {
    matches!(place.split('/').collect::<Vec<_>>()[..], [split, _] if SPLITS.contains(&split))
}

/// Names of classes are printed, on terminals too.
fn check_name(class: &str) -> Result<(), String> {
    if class.contains(char::is_control) {
        return Err("the name of the class has control characters; rename the folder".into());
    }
    if class.len() > NAME {
        return Err(format!("the name of the class has more than {NAME} bytes; rename the folder"));
    }
    Ok(())
}

impl Shelf {
    /// Sorts files by their places, of which [`is_image`] and [`is_class`] hold.
    pub(super) fn sort(content: Content) -> Result<Self, Fault> {
        let mut splits = SPLITS.map(|_| Classes::new());
        let number = |split: &str| SPLITS.iter().position(|name| *name == split);
        for folder in content.folders {
            if let Some((split, class)) = folder.split_once('/')
                && let Some(number) = number(split)
            {
                check_name(class).map_err(|why| (folder.clone(), why))?;
                splits[number].entry(class.into()).or_default();
            }
        }
        for file in content.files {
            if let [split, class, _] = file.place.split('/').collect::<Vec<_>>()[..]
                && let Some(number) = number(split)
            {
                splits[number].entry(class.into()).or_default().push(file);
            }
        }
        let [train, test, others @ ..] = splits;
        check_classes(&train, "test", &test)?;
        let classes = train.keys().cloned().collect();
        let validation = validation(&train, others)?;
        let (train, test) = (in_order("train", train)?, in_order("test", test)?);
        Ok(Self { classes, train, test, validation })
    }
}

/// The images to validate by, where a folder has them.
fn validation(train: &Classes, others: [Classes; 3]) -> Result<Option<Split>, Fault> {
    let mut named = SPLITS[2..].iter().zip(others).filter(|(_, classes)| !classes.is_empty());
    let Some((name, classes)) = named.next() else { return Ok(None) };
    if let Some((other, _)) = named.next() {
        let why = format!("there is {name} already, to validate by; keep only one of the two");
        return Err((other.to_string(), why));
    }
    check_classes(train, name, &classes)?;
    in_order(name, classes).map(Some)
}

/// Checks that a split has the classes of train, and as many as labels can tell apart.
fn check_classes(train: &Classes, name: &str, split: &Classes) -> Result<(), Fault> {
    for (name, split) in [("train", train), (name, split)] {
        if split.is_empty() {
            return Err((name.into(), format!("there are no images; {LAYOUT}")));
        }
    }
    if let Some(class) = split.keys().find(|class| !train.contains_key(*class)) {
        let list = train.keys().map(|class| format!("`{class}`")).collect::<Vec<_>>().join(", ");
        let why = format!("train has no such class, but the {} classes {list}", train.len());
        return Err((format!("{name}/{class}"), why));
    }
    if let Some(class) = train.keys().find(|class| !split.contains_key(*class)) {
        let why = format!("train has this class, with {} images", train[class].len());
        return Err((format!("{name}/{class}"), format!("the folder is missing; {why}")));
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
