//! What is done to pictures before they are images of a network: in training and afterwards the same.

use std::fmt;
use std::str::FromStr;

use super::{Image, Picture, Refused, Resize};

/// What a picture is put on where it shines through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Background {
    /// Byte 255.
    White,
    /// Byte 0.
    Black,
}

/// How pictures become images, in this order; where nothing is said, only what loses nothing is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// What is behind them; without it all must be opaque.
    pub alpha: Option<Background>,
    /// 1 makes colours grey, 3 makes grey the colour of equal parts; without it they stay.
    pub channels: Option<usize>,
    /// The size they are brought to; without it they keep theirs.
    pub resize: Option<Resize>,
}

impl Background {
    fn byte(self) -> u32 {
        match self {
            Self::White => 255,
            Self::Black => 0,
        }
    }
}

impl FromStr for Background {
    type Err = String;

    fn from_str(text: &str) -> Refused<Self> {
        match text {
            "white" => Ok(Self::White),
            "black" => Ok(Self::Black),
            _ => Err(format!("`{text}` is no background: want `white` or `black`")),
        }
    }
}

impl fmt::Display for Background {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::White => "white",
            Self::Black => "black",
        })
    }
}

impl Rules {
    /// Whether they can be followed.
    ///
    /// # Errors
    /// For channels other than 1 and 3, and as [`Resize::check`].
    pub fn check(&self) -> Refused<()> {
        if let Some(channels) = self.channels.filter(|channels| !matches!(channels, 1 | 3)) {
            return Err(format!("{channels} channels: want 1 (grey) or 3 (colours)"));
        }
        self.resize.map_or(Ok(()), |resize| resize.check())
    }

    /// Makes a picture an image.
    ///
    /// # Errors
    /// Naming the pixel that something shines through, where no background is given; and as
    /// [`Rules::check`].
    pub fn develop(&self, picture: Picture) -> Refused<Image> {
        self.check()?;
        if let Some((row, column, alpha)) = picture.clear().filter(|_| self.alpha.is_none()) {
            return Err(format!(
                "pixel {column},{row}: transparent (opacity {alpha} of 255); put the image on a \
                 background first, for example with `magick IN.png -background black -flatten OUT.png`"
            ));
        }
        let image = flatten(picture, self.alpha.unwrap_or(Background::White));
        let image = match self.channels {
            Some(channels) => convert(image, channels),
            None => image,
        };
        Ok(match self.resize {
            Some(resize) => resize.apply(image),
            None => image,
        })
    }
}

/// The rules as a model keeps them, one text each: `alpha white`, `channels 1`, `resize 28 x 28 crop`.
impl From<Rules> for Vec<String> {
    fn from(Rules { alpha, channels, resize }: Rules) -> Self {
        let texts = [
            alpha.map(|alpha| format!("alpha {alpha}")),
            channels.map(|channels| format!("channels {channels}")),
            resize.map(|resize| format!("resize {resize}")),
        ];
        texts.into_iter().flatten().collect()
    }
}

impl TryFrom<&[String]> for Rules {
    type Error = String;

    fn try_from(texts: &[String]) -> Refused<Self> {
        let mut rules = Self::default();
        for text in texts {
            match text.split_once(' ') {
                Some(("alpha", alpha)) => rules.alpha = Some(alpha.parse()?),
                Some(("channels", channels)) => {
                    let refused = |_| format!("`{channels}` is no number of channels");
                    rules.channels = Some(channels.parse().map_err(refused)?);
                }
                Some(("resize", resize)) => rules.resize = Some(resize.parse()?),
                _ => return Err(format!("`{text}` is no rule of pictures that is known here")),
            }
        }
        if Vec::from(rules) != texts {
            return Err("rules of pictures in another order, or twice".into());
        }
        rules.check().map(|()| rules)
    }
}

/// Puts a picture on a background, which an opaque one hides.
fn flatten(Picture { size, channels, alpha, samples, .. }: Picture, behind: Background) -> Image {
    if !alpha {
        return Image { size, channels, bytes: samples };
    }
    let mut bytes = Vec::with_capacity(size.pixels() * channels);
    for pixel in samples.chunks_exact(channels + 1) {
        let (&opacity, colours) = pixel.split_last().expect("opacity is there");
        let (front, back) = (u32::from(opacity), u32::from(u8::MAX - opacity));
        let mixed = |&colour: &u8| (u32::from(colour) * front + behind.byte() * back + 127) / 255;
        bytes.extend(colours.iter().map(|colour| mixed(colour) as u8));
    }
    Image { size, channels, bytes }
}

/// Makes colours grey, or grey colours.
fn convert(image: Image, channels: usize) -> Image {
    let bytes = match (image.channels, channels) {
        (1, 3) => image.bytes.iter().flat_map(|&grey| [grey; 3]).collect(),
        (3, 1) => image.bytes.chunks_exact(3).map(luma).collect(),
        _ => return image,
    };
    Image { channels, bytes, ..image }
}

/// How light a colour is, by the weights of ITU-R BT.601 in 65,536ths, as Pillow and JPEG have it.
fn luma(colour: &[u8]) -> u8 {
    let parts = colour.iter().zip([19_595, 38_470, 7_471]);
    let sum: u32 = parts.map(|(&byte, weight)| u32::from(byte) * weight).sum();
    ((sum + 0x8000) >> 16) as u8
}

impl Image {
    /// The image with so many channels, where nothing is lost by it.
    ///
    /// # Errors
    /// Naming the pixel whose colour would be lost.
    pub fn lossless(self, channels: usize) -> Refused<Self> {
        if self.channels == 3 && channels == 1 {
            let grey = |colour: &[u8]| colour.iter().all(|part| *part == colour[0]);
            let mut pixels = self.bytes.chunks_exact(3);
            if let Some(at) = pixels.position(|colour| !grey(colour)) {
                let (row, column) = (at / self.size.width, at % self.size.width);
                let [red, green, blue] = [0, 1, 2].map(|part| self.bytes[3 * at + part]);
                return Err(format!(
                    "pixel {column},{row} is coloured ({red}, {green}, {blue}), and grey is wanted; \
                     convert the image first, for example with `magick IN.png -colorspace Gray OUT.png`"
                ));
            }
        }
        Ok(convert(self, channels))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::{Fit, Size};

    fn picture(channels: usize, alpha: bool, samples: &[u8]) -> Picture {
        let width = samples.len() / (channels + usize::from(alpha));
        let size = Size { height: 1, width };
        Picture { size, channels, alpha, palette: false, samples: samples.to_vec() }
    }

    fn bytes(rules: Rules, picture: Picture) -> Vec<u8> {
        rules.develop(picture).unwrap().bytes
    }

    #[test]
    fn backgrounds_show_where_something_shines_through() {
        let clear = || picture(1, true, &[100, 255, 100, 0, 100, 51]);
        let on = |behind| Rules { alpha: Some(behind), ..Rules::default() };
        assert_eq!(bytes(on(Background::White), clear()), [100, 255, 224]); // 51 is a fifth
        assert_eq!(bytes(on(Background::Black), clear()), [100, 0, 20]);
        let why = Rules::default().develop(clear()).unwrap_err();
        assert!(why.starts_with("pixel 1,0: transparent (opacity 0 of 255); put"), "{why}");
        let opaque = picture(3, true, &[1, 2, 3, 255]);
        assert_eq!(bytes(Rules::default(), opaque), [1, 2, 3]);
    }

    #[test]
    fn grey_and_colours_become_each_other() {
        let into = |channels| Rules { channels: Some(channels), ..Rules::default() };
        let colours = [255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9, 255, 255, 255];
        // As Pillow's convert("L") has it.
        assert_eq!(bytes(into(1), picture(3, false, &colours)), [76, 150, 29, 9, 255]);
        assert_eq!(bytes(into(3), picture(1, false, &[7, 8])), [7, 7, 7, 8, 8, 8]);
        assert_eq!(bytes(into(1), picture(1, false, &[7, 8])), [7, 8]);
        assert!(
            into(2).develop(picture(1, false, &[7])).unwrap_err().contains("want 1 (grey) or 3")
        );
    }

    #[test]
    fn only_what_loses_nothing_is_done_unasked() {
        let image = |samples: &[u8]| Rules::default().develop(picture(3, false, samples)).unwrap();
        assert_eq!(image(&[9, 9, 9, 7, 7, 7]).lossless(1).unwrap().bytes, [9, 7]);
        assert_eq!(image(&[1, 2, 3]).lossless(3).unwrap().bytes, [1, 2, 3]);
        let why = image(&[9, 9, 9, 70, 71, 70]).lossless(1).unwrap_err();
        assert!(why.starts_with("pixel 1,0 is coloured (70, 71, 70), and grey"), "{why}");
    }

    #[test]
    fn rules_are_kept_as_texts() {
        let resize = Some("28 x 20 stretch".parse().unwrap());
        let all = Rules { alpha: Some(Background::Black), channels: Some(3), resize };
        for rules in [Rules::default(), Rules { alpha: None, ..all }, all] {
            assert_eq!(Rules::try_from(&Vec::from(rules)[..]), Ok(rules));
        }
        assert_eq!(Vec::from(all), ["alpha black", "channels 3", "resize 28 x 20 stretch"]);
        for (texts, why) in [
            (&["channels 2"] as &[&str], "2 channels: want 1"),
            (&["channels x"], "no number"),
            (&["mirror"], "no rule of pictures"),
            (&["alpha grey"], "no background"),
            (&["channels 1", "alpha white"], "another order"),
            (&["channels 1", "channels 3"], "twice"),
        ] {
            let texts: Vec<_> = texts.iter().map(|&text| text.to_owned()).collect();
            let refused = Rules::try_from(&texts[..]).unwrap_err();
            assert!(refused.contains(why), "{refused}");
        }
    }

    #[test]
    fn rules_are_followed_in_order() {
        // Resized first, the background would be mixed in twice.
        let clear = picture(3, true, &[200, 0, 0, 255, 0, 0, 0, 0]);
        let resize = Resize { size: Size { height: 1, width: 1 }, fit: Fit::Stretch };
        let rules =
            Rules { alpha: Some(Background::White), channels: Some(1), resize: Some(resize) };
        // 200 of red are 60; (60 + 255) / 2
        assert_eq!(bytes(rules, clear), [158]);
    }
}
