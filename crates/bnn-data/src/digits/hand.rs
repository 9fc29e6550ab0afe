//! A hand that never writes a digit twice in the same way: where the points of a stroke end up.

use super::strokes::Stroke;
use crate::random::Random;

/// A place in the image, in pixels from the upper left corner: x, y.
pub(super) type Point = [f32; 2];

/// Pixels per coordinate step of the strokes, so that digits are about 20 pixels high.
const PIXELS: f32 = 0.2;
/// Middle of the image, in pixels.
const MIDDLE: f32 = 13.5;
/// Straight pieces that a stroke is cut into between two of its points.
const PIECES: usize = 6;

/// The distortions of one image.
pub(super) struct Hand {
    /// Rotation, shear and scale as a matrix.
    linear: [Point; 2],
    /// Pixels that the digit is moved by.
    shift: Point,
    /// Bends of x and of y: factors of the squares and the product of both.
    bend: [[f32; 3]; 2],
    /// Standard deviation of each point, in coordinate steps.
    jitter: f32,
}

impl Hand {
    /// Draws the distortions of an image.
    pub(super) fn new(random: &mut Random) -> Self {
        let [cos, sin] = turn(0.09 * random.normal());
        let size = 1.0 + 0.1 * random.normal();
        let wide = size * (0.95 + 0.12 * random.normal());
        let shear = 0.22 * random.normal();
        let bend = [(); 2].map(|()| [(); 3].map(|()| 3.5 * random.normal()));
        Self {
            linear: [
                [cos * wide, cos * shear - sin * size],
                [sin * wide, sin * shear + cos * size],
            ],
            shift: [1.1 * random.normal(), 1.1 * random.normal()],
            bend,
            jitter: 2.6,
        }
    }

    /// The stroke as this hand draws it: the corners of a chain of straight pieces.
    pub(super) fn write(&self, stroke: Stroke, random: &mut Random) -> Vec<Point> {
        let points: Vec<Point> = stroke.iter().map(|&point| self.wobble(point, random)).collect();
        smooth(&points).into_iter().map(|point| self.place(point)).collect()
    }

    /// The point, a little off, seen from the middle of the digit.
    fn wobble(&self, (x, y): (i8, i8), random: &mut Random) -> Point {
        [x, y].map(|at| f32::from(at) - 50.0 + self.jitter * random.normal())
    }

    fn place(&self, [x, y]: Point) -> Point {
        let (u, v) = (x / 50.0, y / 50.0);
        let bent = |[a, b, c]: [f32; 3]| a * u * u + b * u * v + c * v * v;
        let (x, y) = (x + bent(self.bend[0]), y + bent(self.bend[1]));
        let pixel = |axis: usize| {
            let [a, b] = self.linear[axis];
            MIDDLE + self.shift[axis] + PIXELS * (a * x + b * y)
        };
        [pixel(0), pixel(1)]
    }
}

/// Cosine and sine of the angle whose half has the tangent `t`, by arithmetic alone.
fn turn(t: f32) -> Point {
    let square = t * t;
    [(1.0 - square) / (1.0 + square), 2.0 * t / (1.0 + square)]
}

/// Points on the Catmull-Rom spline through `points`, the first and the last included.
fn smooth(points: &[Point]) -> Vec<Point> {
    let last = points.len() - 1;
    let at = |index: usize| points[index.min(last)];
    let mut chain = vec![points[0]];
    for span in 0..last {
        let near = [at(span.saturating_sub(1)), at(span), at(span + 1), at(span + 2)];
        chain.extend((1..=PIECES).map(|piece| spline(near, piece as f32 / PIECES as f32)));
    }
    chain
}

/// The spline between the second and the third of four points, at `t` from 0 to 1.
fn spline([a, b, c, d]: [Point; 4], t: f32) -> Point {
    [0, 1].map(|axis| {
        let (a, b, c, d) = (a[axis], b[axis], c[axis], d[axis]);
        let (linear, square) = (c - a, 2.0 * a - 5.0 * b + 4.0 * c - d);
        let cube = 3.0 * (b - c) + d - a;
        b + 0.5 * t * (linear + t * (square + t * cube))
    })
}
