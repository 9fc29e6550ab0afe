//! How pictures become images: `[images]` with `channels`, `alpha` and `resize`.

use bnn_data::Dataset;
use bnn_data::picture::Rules;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// What is done to pictures before they are images of one size and kind; nothing by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Table", into = "Table")]
pub struct Images(pub Rules);

impl Images {
    /// Whether images are as they are.
    pub fn are_kept(&self) -> bool {
        self.0 == Rules::default()
    }

    /// Checks that the pictures of a data set became images as these say.
    ///
    /// # Errors
    /// [`Error::Spec`] if not.
    pub(crate) fn check(&self, data: &Dataset) -> Result<()> {
        if self.0 == *data.rules() {
            return Ok(());
        }
        let text = |rules| Vec::from(rules).join("`, `");
        let why = format!(
            "`{}` is asked for, and the images of `{}` were made by `{}`: load them with \
             `bnn_data::load_as`",
            text(self.0),
            data.name,
            text(*data.rules())
        );
        Err(Error::spec("images", why))
    }
}

/// The rules as a table of TOML.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    #[serde(skip_serializing_if = "Option::is_none")]
    alpha: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    channels: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resize: Option<String>,
}

impl TryFrom<Table> for Images {
    type Error = String;

    fn try_from(Table { alpha, channels, resize }: Table) -> std::result::Result<Self, String> {
        let alpha = alpha.map(|alpha| alpha.parse()).transpose();
        let resize = resize.map(|resize| resize.parse()).transpose();
        let rules = Rules {
            alpha: alpha.map_err(|why| format!("images.alpha: {why}"))?,
            channels,
            resize: resize.map_err(|why| format!("images.resize: {why}"))?,
        };
        rules.check().map_err(|why| format!("images: {why}"))?;
        Ok(Self(rules))
    }
}

impl From<Images> for Table {
    fn from(Images(Rules { alpha, channels, resize }): Images) -> Self {
        let text = |some: &dyn std::fmt::Display| some.to_string();
        Self {
            alpha: alpha.as_ref().map(|alpha| text(alpha)),
            channels,
            resize: resize.as_ref().map(|resize| text(resize)),
        }
    }
}
