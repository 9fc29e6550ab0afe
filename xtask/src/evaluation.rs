//! What a run's network gets wrong, as the binary writes it into the folder of the run.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::record::Done;

/// Version of the file's layout.
const FORMAT: u64 = 1;

/// How every PNG file begins, in base64.
const PNG: &str = "iVBORw0KGgo";

/// Which classes a network takes for which, its worst mistakes, and what its first layer looks for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Version of the file's layout.
    pub format: u64,
    /// The epoch whose network it is, from 1.
    pub epoch: u64,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// Test images by class (rows) and by the class they are taken for (columns).
    pub confusion: Vec<Vec<u64>>,
    /// The misclassified images with the largest margins, the largest first.
    pub mistakes: Vec<Mistake>,
    /// The first layer's weights, where they are one plane of signs.
    pub filters: Option<Filters>,
    /// Share of 2-D kernels that differ, of every hidden layer; none for layers without such kernels,
    /// and no layer in results of earlier versions and of networks that are not frozen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kernels: Vec<Option<f64>>,
}

/// A misclassified image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mistake {
    /// Its place among the test images, from 0.
    pub index: u64,
    /// Its class.
    pub label: usize,
    /// The class it is taken for.
    pub predicted: usize,
    /// By how much the score of that class is above the score of its own.
    pub margin: f64,
    /// The image, where it can be shown.
    pub image: Option<Png>,
}

/// Filters side by side in one picture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Filters {
    /// Height of one in pixels.
    pub height: u64,
    /// Width of one in pixels.
    pub width: u64,
    /// Bytes of a pixel.
    pub channels: u64,
    /// How many are shown.
    pub shown: u64,
    /// How many there are.
    pub of: u64,
    /// The picture.
    pub image: Png,
}

/// A PNG file in base64.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Png(String);

impl TryFrom<String> for Png {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte);
        if text.starts_with(PNG) && text.bytes().all(known) {
            return Ok(Self(text));
        }
        Err("an image that is no PNG file in base64".into())
    }
}

impl From<Png> for String {
    fn from(png: Png) -> Self {
        png.0
    }
}

impl Png {
    /// The image as an address that holds it.
    pub fn address(&self) -> String {
        format!("data:image/png;base64,{}", self.0)
    }
}

impl Evaluation {
    /// Reads the file of a run that has ended, if the run says that there is one.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn of_run(folder: &Path, done: &Done) -> Result<Option<Self>> {
        let name = done.other.get("evaluation").and_then(Value::as_str);
        name.map(|name| Self::read(&folder.join(name))).transpose()
    }

    /// Reads a file.
    ///
    /// # Errors
    /// Names the file, and what is wrong with it: another version, a missing field, classes that do
    /// not fit.
    pub fn read(path: &Path) -> Result<Self> {
        let place = || path.display().to_string();
        let bytes = crate::folder::read(path)?;
        let value: Value = serde_json::from_slice(&bytes).with_context(place)?;
        let format = &value["format"];
        ensure!(
            *format == FORMAT,
            "{}: format {format}, want {FORMAT}: build `bnn` and `xtask` from one commit",
            place()
        );
        let told: Self = serde_json::from_value(value).with_context(place)?;
        told.check().with_context(place)?;
        Ok(told)
    }

    /// Refuses what does not fit together.
    ///
    /// # Errors
    /// What does not.
    pub fn check(&self) -> Result<()> {
        ensure!(self.format == FORMAT, "an evaluation of format {}, want {FORMAT}", self.format);
        let classes = self.classes.len();
        let square = self.confusion.len() == classes
            && self.confusion.iter().all(|row| row.len() == classes);
        ensure!(square, "the field `confusion` has not {classes} rows and columns, one per class");
        let images = self.confusion.iter().flatten();
        let countable = images.copied().try_fold(0, u64::checked_add).is_some();
        ensure!(countable, "the counts in the field `confusion` are more than can be added up");
        let known = |mistake: &Mistake| mistake.label.max(mistake.predicted) < classes;
        ensure!(
            self.mistakes.iter().all(known),
            "`mistakes` of a class beyond the {classes} named"
        );
        let share = |share: &f64| (0.0..=1.0).contains(share);
        ensure!(
            self.kernels.iter().flatten().all(share),
            "a share in the field `kernels` is not from 0 to 1"
        );
        Ok(())
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A transparent picture of one pixel.
    pub const PIXEL: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNgYGBgAAAABQABpfZFQAAAAABJRU5ErkJggg==";

    /// Two classes, one mistake.
    pub fn sample() -> Evaluation {
        let image = || Png::try_from(PIXEL.to_owned()).unwrap();
        let mistake =
            Mistake { index: 7, label: 0, predicted: 1, margin: 1.25, image: Some(image()) };
        Evaluation {
            format: FORMAT,
            epoch: 2,
            classes: vec!["cat".into(), "<dog>".into()],
            confusion: vec![vec![9, 1], vec![0, 10]],
            mistakes: vec![mistake],
            filters: Some(Filters {
                height: 28,
                width: 28,
                channels: 1,
                shown: 64,
                of: 256,
                image: image(),
            }),
            kernels: vec![Some(0.5), Some(0.25), None],
        }
    }

    #[test]
    fn a_damaged_file_is_named_with_its_fault() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("evaluation.json");
        let whole = serde_json::to_string(&sample()).unwrap();
        std::fs::write(&path, &whole).unwrap();
        assert_eq!(Evaluation::read(&path).unwrap(), sample());
        for (from, to, fault) in [
            ("\"format\":1", "\"format\":2", "format 2, want 1"),
            ("\"format\":1", "\"x\":1", "format null, want 1"),
            ("\"margin\":", "\"x\":", "`margin`"),
            ("[0,10]", "[0]", "2 rows and columns"),
            ("\"predicted\":1", "\"predicted\":2", "class beyond the 2"),
            ("[0.5,", "[1.5,", "`kernels` is not from 0 to 1"),
            ("iVBOR", "javascript:", "no PNG file"),
            ("{", "", "line 1 column"),
        ] {
            assert!(whole.contains(from));
            std::fs::write(&path, whole.replacen(from, to, 1)).unwrap();
            let error = format!("{:#}", Evaluation::read(&path).unwrap_err());
            assert!(error.contains("evaluation.json") && error.contains(fault), "{fault}: {error}");
        }
    }
}
