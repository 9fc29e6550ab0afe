//! The chain of preprocessing: `preprocess = ["gcn bias 10", "lcn"]`.

use bnn_data::preprocess::Step;
use serde::{Deserialize, Serialize};

/// Steps of preprocessing in order; none leaves bytes as they are, and so does `["linear"]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Chain(pub Vec<Step>);

impl Chain {
    /// Whether bytes stay as they are, and stand for numbers from -1 to 1.
    pub fn is_linear(&self) -> bool {
        self.0.is_empty()
    }
}

/// The name of no step at all.
const LINEAR: &str = "linear";

impl TryFrom<Vec<String>> for Chain {
    type Error = String;

    fn try_from(steps: Vec<String>) -> Result<Self, String> {
        match &steps[..] {
            [only] if only == LINEAR => Ok(Self::default()),
            steps if steps.iter().any(|step| step == LINEAR) => {
                Err("`linear` leaves bytes as they are, and stands alone".into())
            }
            steps => steps.iter().map(|step| step.parse()).collect::<Result<_, _>>().map(Self),
        }
    }
}

impl From<Chain> for Vec<String> {
    fn from(Chain(steps): Chain) -> Self {
        match &steps[..] {
            [] => vec![LINEAR.into()],
            steps => steps.iter().map(ToString::to_string).collect(),
        }
    }
}
