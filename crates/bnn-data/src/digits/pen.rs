//! A pen that leaves grey pixels along a chain of straight pieces.

use super::SIDE;
use super::hand::Point;
use crate::random::Random;

/// Squared distance of pixels that no stroke comes near.
const FAR: f32 = 1e9;

/// Ink and paper of one image.
pub(super) struct Pen {
    /// Half the width of a stroke, in pixels.
    radius: f32,
    /// Width of the edge over which ink fades out, in pixels.
    edge: f32,
    /// Byte of full ink.
    ink: f32,
    /// Largest change of a pixel by noise, up or down.
    noise: f32,
}

impl Pen {
    /// Draws the pen of an image.
    pub(super) fn new(random: &mut Random) -> Self {
        Self {
            radius: random.between(0.7, 1.7),
            edge: random.between(0.9, 2.0),
            ink: random.between(170.0, 255.0),
            noise: random.between(0.0, 24.0),
        }
    }

    /// Fills an image with chains of pieces: 0 is paper, 255 the blackest ink.
    pub(super) fn draw(&self, chains: &[Vec<Point>], random: &mut Random, image: &mut [u8]) {
        let mut distances = [FAR; SIDE * SIDE];
        for piece in chains.iter().flat_map(|chain| chain.windows(2)) {
            self.approach([piece[0], piece[1]], &mut distances);
        }
        for (bytes, distances) in image.chunks_mut(8).zip(distances.chunks(8)) {
            let grains = random.word().to_le_bytes();
            for ((byte, &distance), grain) in bytes.iter_mut().zip(distances).zip(grains) {
                let noise = self.noise * (f32::from(grain) / 127.5 - 1.0);
                *byte = (self.ink * self.cover(distance) + noise + 0.5) as u8;
            }
        }
    }

    /// Share of ink at a squared distance from the middle of the stroke.
    fn cover(&self, squared: f32) -> f32 {
        ((self.radius - squared.sqrt()) / self.edge + 0.5).clamp(0.0, 1.0)
    }

    /// Lowers the squared distances of the pixels that the piece may reach.
    fn approach(&self, [from, to]: [Point; 2], distances: &mut [f32; SIDE * SIDE]) {
        let reach = self.radius + 0.5 * self.edge;
        let range = |axis: usize| {
            let low = from[axis].min(to[axis]) - reach;
            let high = from[axis].max(to[axis]) + reach;
            low.max(0.0) as usize..(high + 1.0).clamp(0.0, SIDE as f32) as usize
        };
        for y in range(1) {
            for x in range(0) {
                let nearest = &mut distances[y * SIDE + x];
                *nearest = nearest.min(squared_distance([x as f32, y as f32], from, to));
            }
        }
    }
}

/// Squared distance of a point from the straight piece between two others.
fn squared_distance(point: Point, from: Point, to: Point) -> f32 {
    let (dx, dy) = (to[0] - from[0], to[1] - from[1]);
    let (px, py) = (point[0] - from[0], point[1] - from[1]);
    let length = dx * dx + dy * dy;
    let along = if length > 0.0 { ((px * dx + py * dy) / length).clamp(0.0, 1.0) } else { 0.0 };
    let (ex, ey) = (px - along * dx, py - along * dy);
    ex * ex + ey * ey
}
