//! Files turned into images of one size and kind.

use std::path::{Path, PathBuf};

use super::shelf::Split;
use crate::archive::Entry;
use crate::images::Images;
use crate::picture::{self, Image, Picture, Rules, Size};
use crate::{Error, Result, limits};

/// The most pixels in a row or a column of images that keep their size.
const LIMIT: usize = 1024;

/// Turns files into pixels, all of the size of the first one.
pub(super) struct Album<'a> {
    path: PathBuf,
    classes: usize,
    rules: &'a Rules,
    /// Size and place of the first image.
    first: Option<(Size, String)>,
    /// Bytes of all images so far: a small file may be a large picture.
    bytes: u64,
    kinds: Kinds,
}

/// How many pictures are of a kind, and where the first of them is.
#[derive(Default)]
struct Count {
    count: usize,
    first: Option<String>,
}

/// The kinds of pictures that were found.
#[derive(Default)]
struct Kinds {
    grey: Count,
    coloured: Count,
    /// Coloured ones of these that number their colours.
    palette: Count,
    /// Those that tell opacity.
    alpha: Count,
    /// Those of these that something shines through.
    clear: Count,
}

impl<'a> Album<'a> {
    pub(super) fn new(path: &Path, classes: usize, rules: &'a Rules) -> Self {
        Self { path: path.into(), classes, rules, first: None, bytes: 0, kinds: Kinds::default() }
    }

    /// Pixels and labels of a split, the classes taking turns.
    ///
    /// Where kinds are mixed, which [`Album::kinds`] refuses, not all pixels are there.
    pub(super) fn develop(&mut self, split: Split) -> Result<(Vec<u8>, Vec<u8>)> {
        let (mut pixels, mut labels) = (Vec::new(), Vec::new());
        let count: usize = split.iter().map(Vec::len).sum();
        let mut classes: Vec<_> = split.into_iter().map(Vec::into_iter).collect();
        while labels.len() < count {
            for (label, class) in classes.iter_mut().enumerate() {
                let Some(entry) = class.next() else { continue };
                self.append(&entry, count - labels.len(), &mut pixels)?;
                labels.push(label as u8);
            }
        }
        Ok((pixels, labels))
    }

    /// Appends an image, one of `left`.
    fn append(&mut self, entry: &Entry, left: usize, pixels: &mut Vec<u8>) -> Result<()> {
        let refuse = |why| Error::entry(&self.path, &entry.place, why);
        let picture = picture::decode(&entry.bytes, |size| self.allow(size)).map_err(&refuse)?;
        let clear = picture.is_clear();
        self.kinds.add(&picture, clear, &entry.place);
        if self.kinds.refused(self.rules).is_some() {
            return Ok(()); // the others are counted, and nothing more
        }
        let Image { size, bytes, .. } = self.rules.develop(picture).map_err(&refuse)?;
        let (first, place) = self.first.get_or_insert_with(|| (size, entry.place.clone()));
        if size != *first {
            return Err(refuse(format!(
                "the image is {size}, but the first one, {place}, {first} (width x height); `resize` \
                 in the table `[images]` of a spec makes them alike"
            )));
        }
        let want = left.saturating_mul(bytes.len());
        if self.bytes.saturating_add(want as u64) > limits::DATA_SET {
            let most = limits::DATA_SET;
            return Err(refuse(format!(
                "{left} images of {size}, this one the first, take the data set beyond {most} bytes, \
                 its limit; take fewer, or `resize` them in the table `[images]` of a spec"
            )));
        }
        self.bytes += bytes.len() as u64;
        let reserved = pixels.try_reserve_exact(want);
        reserved.map_err(|_| refuse(format!("no memory for {left} images of {size}")))?;
        pixels.extend(bytes);
        Ok(())
    }

    /// Whether images of a size can be worked with.
    fn allow(&self, size: Size) -> std::result::Result<(), String> {
        if self.rules.resize.is_none() && size.height.max(size.width) > LIMIT {
            return Err(format!(
                "{size} pixels are more than {LIMIT} a side; `resize` in the table `[images]` of a \
                 spec makes them smaller"
            ));
        }
        Ok(())
    }

    /// What was found, if not all are grey or all coloured and nothing else; or why it cannot be mixed.
    pub(super) fn kinds(&self) -> Result<Option<String>> {
        match self.kinds.refused(self.rules) {
            None => Ok(self.kinds.are_mixed().then(|| self.kinds.text())),
            Some((place, why)) => Err(Error::entry(&self.path, place, why)),
        }
    }

    /// Images of what [`Album::develop`] made.
    pub(super) fn images(&self, pixels: Vec<u8>, labels: Vec<u8>) -> Result<Images> {
        let (size, _) = self.first.as_ref().expect("no class is empty");
        let channels = self.rules.channels.unwrap_or(self.kinds.channels());
        Images::new((size.height, size.width, channels), self.classes, pixels, labels)
    }
}

impl Count {
    fn add(&mut self, place: &str) {
        self.count += 1;
        self.first.get_or_insert_with(|| place.into());
    }
}

impl Kinds {
    fn add(&mut self, picture: &Picture, clear: bool, place: &str) {
        let colours = if picture.channels == 1 { &mut self.grey } else { &mut self.coloured };
        colours.add(place);
        let more = [
            (picture.palette, &mut self.palette),
            (picture.alpha, &mut self.alpha),
            (clear, &mut self.clear),
        ];
        more.into_iter().filter(|(is, _)| *is).for_each(|(_, count)| count.add(place));
    }

    /// Whether there is more to say than how many there are.
    fn are_mixed(&self) -> bool {
        let Self { grey, coloured, palette, alpha, .. } = self;
        (grey.count > 0 && coloured.count > 0) || palette.count > 0 || alpha.count > 0
    }

    /// Channels of all, where they agree.
    fn channels(&self) -> usize {
        if self.coloured.count == 0 { 1 } else { 3 }
    }

    /// The first picture that asks for a rule which is not there, and why.
    fn refused(&self, rules: &Rules) -> Option<(&str, String)> {
        let Self { grey, coloured, clear, .. } = self;
        if let (None, Some(place)) = (rules.alpha, &clear.first) {
            let why = format!(
                "something shines through {} of the images ({}); `alpha = \"white\"` or \
                 `alpha = \"black\"` in the table `[images]` of a spec puts them on a background",
                clear.count,
                self.text(),
            );
            return Some((place, why));
        }
        if let (None, Some(first), Some(other)) = (rules.channels, &grey.first, &coloured.first) {
            let why = format!(
                "grey and coloured images are mixed ({}; {first} is grey); `channels = 1` in the \
                 table `[images]` of a spec makes all grey, `channels = 3` makes all coloured",
                self.text(),
            );
            return Some((other, why));
        }
        None
    }

    /// All counts in a line.
    fn text(&self) -> String {
        let of = |name: &str, Count { count, .. }: &Count| match count {
            0 => None,
            count => Some(format!("{count} {name}")),
        };
        let kinds = [
            of("grey", &self.grey),
            of("coloured", &self.coloured),
            of("of these with a palette", &self.palette),
            of("with an alpha channel", &self.alpha),
        ];
        kinds.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}
