//! Window positions by the taps that lie outside the grid.

use std::ops::Range;

use bnn_core::{Grid, Window};

/// Positions of a window, in classes whose taps are inside the grid alike: nine for a window of three
/// by three with a padding of one.
#[derive(Clone)]
pub(crate) struct Borders {
    window: Window,
    out: Grid,
    down: Axis,
    along: Axis,
}

/// Positions along one side.
#[derive(Clone)]
struct Axis {
    /// The class of every position.
    class: Vec<usize>,
    /// Taps that lie inside, of every class.
    inside: Vec<Range<usize>>,
}

impl Borders {
    /// The window positions of a grid, `out` of them.
    pub(crate) fn new(grid: Grid, window: Window, out: Grid) -> Self {
        let down = Axis::new(out.height, window.height, grid.height, &window);
        let along = Axis::new(out.width, window.width, grid.width, &window);
        Self { window, out, down, along }
    }

    /// Number of classes.
    pub(crate) fn classes(&self) -> usize {
        self.down.inside.len() * self.along.inside.len()
    }

    /// The class of a row of the product.
    pub(crate) fn class(&self, row: usize) -> usize {
        let place = row % self.out.pixels();
        let (y, x) = (place / self.out.width, place % self.out.width);
        self.down.class[y] * self.along.inside.len() + self.along.class[x]
    }

    /// Whether a tap lies inside the grid, for positions of a class.
    pub(crate) fn inside(&self, class: usize, tap: usize) -> bool {
        let (down, along) = self.ranges(class);
        down.contains(&(tap / self.window.width)) && along.contains(&(tap % self.window.width))
    }

    /// Number of taps inside the grid, for positions of a class.
    pub(crate) fn count_inside(&self, class: usize) -> usize {
        let (down, along) = self.ranges(class);
        down.len() * along.len()
    }

    fn ranges(&self, class: usize) -> (&Range<usize>, &Range<usize>) {
        let across = self.along.inside.len();
        (&self.down.inside[class / across], &self.along.inside[class % across])
    }
}

impl Axis {
    fn new(positions: usize, taps: usize, size: usize, window: &Window) -> Self {
        let mut inside: Vec<Range<usize>> = Vec::new();
        let class = (0..positions).map(|position| {
            let at = position * window.stride;
            let first = window.pad.saturating_sub(at).min(taps);
            let range = first..taps.min(size + window.pad - at).max(first);
            inside.iter().rposition(|known| *known == range).unwrap_or_else(|| {
                inside.push(range);
                inside.len() - 1
            })
        });
        let class = class.collect();
        Self { class, inside }
    }
}

#[cfg(test)]
mod tests {
    use bnn_core::Gather;

    use super::*;

    #[test]
    fn taps_are_inside_where_they_have_a_source() {
        for (height, width, side, stride, pad) in
            [(4, 5, 3, 1, 1), (2, 2, 3, 1, 2), (1, 3, 5, 2, 4), (6, 4, 2, 2, 0), (5, 5, 4, 3, 3)]
        {
            let (grid, window) = (Grid { height, width }, Window::square(side, stride, pad));
            let out = window.positions(grid).unwrap();
            let borders = Borders::new(grid, window, out);
            let gather = Gather::Patches { grid, window };
            for row in 0..2 * out.pixels() {
                let class = borders.class(row);
                assert!(class < borders.classes());
                let inside = |tap: &usize| gather.source(row, *tap).is_some();
                let count = (0..window.taps()).filter(inside).count();
                assert_eq!(borders.count_inside(class), count, "{window} on {grid}, row {row}");
                for tap in 0..window.taps() {
                    assert_eq!(borders.inside(class, tap), inside(&tap), "{window} on {grid}");
                }
            }
        }
    }
}
