//! `bnn predict`.

use std::cmp::Ordering;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use bnn::{WithBackend, with_backend};
use bnn_core::{Frozen, Matrix, Session, TrainBackend, plain};
use bnn_data::picture::Rules;
use bnn_data::preprocess::Transform;
use bnn_train::preprocess;
use ndarray::ArrayView2;
use serde::Serialize;

use crate::commands::{Device, batch, read_model, rules_of};
use crate::{output, picture};

/// Scores shown to people if they do not say how many.
const TOP: usize = 3;

/// Classify PNG and JPEG images with a frozen model.
///
/// Prints of every image its class, the margin by which that class wins over the second, and the best
/// scores. Scores compare classes of one image; they are no probabilities.
///
/// A model that was trained on preprocessed images is given its images preprocessed alike; if they
/// were whitened, the file `preprocess-DIGEST.safetensors` that the model names must lie beside it.
///
/// Photos are turned upright by their EXIF orientation. A model that was trained with a table `[images]` in its spec
/// has pictures resized, made grey or coloured, and put on a background as that says. Otherwise images
/// must have the size that it reads; grey stands for colours of equal parts, but colours are not turned
/// into grey, nor is transparency filled in.
///
/// An image that cannot be read is named on standard error; the others are classified all the same,
/// and the exit code is 1.
///
/// Example: bnn predict runs/first/model.safetensors seven.png scans/*.png --invert
#[derive(clap::Args)]
pub struct Args {
    /// The frozen model, such as `model.safetensors` in the folder of a run.
    model: PathBuf,
    /// PNG or JPEG images.
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<PathBuf>,
    /// Swap dark and light: MNIST and `digits` are light on dark, scans are dark on light.
    #[arg(long)]
    invert: bool,
    /// Scores to show, the best first; 3 by default, all in JSON.
    #[arg(long, value_name = "K")]
    top: Option<NonZeroUsize>,
    /// Print JSON, one image per line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    device: Device,
}

/// What a model says of an image.
#[derive(Debug, PartialEq, Serialize)]
struct Prediction<'a> {
    file: String,
    class: &'a str,
    /// Distance to the second score; none if there is no second class.
    margin: Option<f32>,
    /// The best first.
    scores: Vec<ClassScore<'a>>,
}

#[derive(Debug, PartialEq, Serialize)]
struct ClassScore<'a> {
    class: &'a str,
    score: f32,
}

/// Prints one line per image.
pub fn run(args: &Args) -> Result<()> {
    let network = read_model(&args.model)?;
    let backend = args.device.backend.as_deref().unwrap_or("auto");
    let transform = preprocess::for_model(&network, &args.model)?;
    let rules = rules_of(&network).with_context(|| args.model.display().to_string())?;
    let job = Predict { args, network: &network, rules, transform: transform.as_ref() };
    let failed = with_backend(backend, args.device.threads, job)??;
    ensure!(failed == 0, "{failed} of {} images could not be read", args.images.len());
    Ok(())
}

struct Predict<'a> {
    args: &'a Args,
    network: &'a Frozen,
    /// What makes pictures images.
    rules: Rules,
    /// What makes pixels the codes that the network reads.
    transform: Option<&'a Transform>,
}

impl WithBackend for Predict<'_> {
    /// How many images could not be read.
    type Output = Result<usize>;

    fn run<B: TrainBackend>(self, backend: &B) -> Self::Output {
        let session = Session::of_codes(backend, self.network)?;
        let mut failed = 0;
        for paths in self.args.images.chunks(batch(self.network)?) {
            let pictures: Vec<_> = paths.iter().map(|path| self.read(path)).collect();
            let scores = scores(&session, pictures.iter().flatten())?;
            let mut scores = scores.rows().into_iter();
            for (path, picture) in paths.iter().zip(pictures) {
                match picture {
                    Ok(_) => self.print(path, scores.next().into_iter().flatten().copied())?,
                    Err(error) => {
                        failed += 1;
                        output::complain(&error);
                    }
                }
            }
        }
        Ok(failed)
    }
}

impl Predict<'_> {
    fn read(&self, path: &Path) -> Result<Vec<u8>> {
        let mut bytes = picture::read(path, self.network.input, &self.rules)?;
        if self.args.invert {
            bytes.iter_mut().for_each(|byte| *byte = !*byte); // 255 - byte
        }
        if let Some(transform) = self.transform {
            transform.apply(&mut bytes, 1)?;
        }
        Ok(bytes)
    }

    fn print(&self, path: &Path, scores: impl Iterator<Item = f32>) -> Result<()> {
        let mut prediction = predict(path, &self.network.classes, scores);
        let all = if self.args.json { usize::MAX } else { TOP };
        prediction.scores.truncate(self.args.top.map_or(all, NonZeroUsize::get));
        if self.args.json { output::json(&prediction) } else { output::line(&text(&prediction)) }
    }
}

/// Scores of images given as their bytes.
fn scores<'a, B: TrainBackend>(
    session: &Session<'_, B>,
    pictures: impl Iterator<Item = &'a Vec<u8>>,
) -> Result<Matrix> {
    let bytes: Vec<u8> = pictures.flatten().copied().collect();
    let width = session.network().input.bytes();
    let images = ArrayView2::from_shape((bytes.len() / width, width), &bytes)?;
    Ok(session.scores(images)?)
}

fn predict<'a>(
    path: &Path,
    classes: &'a [String],
    scores: impl Iterator<Item = f32>,
) -> Prediction<'a> {
    let mut scores: Vec<_> =
        classes.iter().zip(scores).map(|(class, score)| ClassScore { class, score }).collect();
    // Stable, and zeros of either sign are equal: the first of equal scores wins, as in a `Session`.
    scores.sort_by(|a, b| b.score.partial_cmp(&a.score).unwrap_or(Ordering::Equal));
    Prediction {
        file: path.display().to_string(),
        class: scores.first().map_or("", |best| best.class),
        margin: scores.get(1).map(|second| scores[0].score - second.score),
        scores,
    }
}

fn text(prediction: &Prediction<'_>) -> String {
    let Prediction { file, class, margin, scores } = prediction;
    let margin = margin.map(|margin| format!(", margin {margin:.3}")).unwrap_or_default();
    let score =
        |ClassScore { class, score }: &ClassScore<'_>| format!("{} {score:.3}", plain(class));
    let scores: Vec<_> = scores.iter().map(score).collect();
    format!("{}: {}{margin} ({})", plain(file), plain(class), scores.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_equal_scores_wins() {
        let classes = ["ant", "bee", "cat"].map(String::from);
        let winner = |scores: [f32; 3]| {
            let Prediction { class, margin, .. } =
                predict(Path::new("a.png"), &classes, scores.into_iter());
            (class, margin)
        };
        assert_eq!(winner([-1.0, 2.5, 0.5]), ("bee", Some(2.0)));
        assert_eq!(winner([1.0, 2.5, 2.5]), ("bee", Some(0.0)));
        assert_eq!(winner([-0.0, 0.0, -3.0]), ("ant", Some(0.0)));
    }

    #[test]
    fn a_prediction_is_a_line() {
        let classes = ["ant", "bee"].map(String::from);
        let line = |classes, scores: &[f32]| {
            text(&predict(Path::new("a.png"), classes, scores.iter().copied()))
        };
        let want = "a.png: bee, margin 0.750 (bee 0.500, ant -0.250)";
        assert_eq!(line(&classes, &[-0.25, 0.5]), want);
        assert_eq!(line(&classes[..1], &[-0.25]), "a.png: ant (ant -0.250)");
        let hostile = text(&predict(Path::new("a\nb.png"), &["\u{1b}c".into()], [0.5].into_iter()));
        assert_eq!(hostile, r"a\nb.png: \u{1b}c (\u{1b}c 0.500)");
    }
}
