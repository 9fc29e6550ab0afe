//! Window positions by the taps that lie outside the grid.

use std::ops::Range;

use bnn_core::{Grid, Window};

/// Positions of a window, in classes whose taps are inside the grid alike: nine for a window of three
/// by three with a padding of one.
#[derive(Clone)]
pub(crate) struct Borders {
    window: Window,
    out: Grid,
    down: Vec<Stretch>,
    along: Vec<Stretch>,
}

/// Positions along one side that are alike.
#[derive(Clone)]
pub(crate) struct Stretch {
    pub(crate) positions: Range<usize>,
    /// Their taps that lie inside the grid.
    pub(crate) inside: Range<usize>,
}

impl Borders {
    /// The window positions of a grid, `out` of them.
    pub(crate) fn new(grid: Grid, window: Window, out: Grid) -> Self {
        let down = stretches(out.height, window.height, grid.height, &window);
        let along = stretches(out.width, window.width, grid.width, &window);
        Self { window, out, down, along }
    }

    /// Number of classes.
    pub(crate) fn classes(&self) -> usize {
        self.down.len() * self.along.len()
    }

    /// The class of a row of the product.
    pub(crate) fn class(&self, row: usize) -> usize {
        let place = row % self.out.pixels();
        let (y, x) = (place / self.out.width, place % self.out.width);
        let find =
            |stretches: &[Stretch], at| stretches.iter().position(|it| it.positions.contains(&at));
        let (down, along) = (find(&self.down, y), find(&self.along, x));
        let (down, along) = down.zip(along).expect("stretches hold all positions");
        down * self.along.len() + along
    }

    /// The positions of a class, and their taps, down and along.
    pub(crate) fn stretches(&self, class: usize) -> (&Stretch, &Stretch) {
        let across = self.along.len();
        (&self.down[class / across], &self.along[class % across])
    }

    /// Number of taps inside the grid, for positions of a class.
    pub(crate) fn taps(&self, class: usize) -> usize {
        let (down, along) = self.stretches(class);
        down.inside.len() * along.inside.len()
    }

    /// Whether a tap lies inside the grid, for positions of a class.
    pub(crate) fn inside(&self, class: usize, tap: usize) -> bool {
        let (down, along) = self.stretches(class);
        down.inside.contains(&(tap / self.window.width))
            && along.inside.contains(&(tap % self.window.width))
    }
}

/// Taps enter and leave the grid in their order, so that positions that are alike lie side by side.
fn stretches(positions: usize, taps: usize, size: usize, window: &Window) -> Vec<Stretch> {
    let mut stretches: Vec<Stretch> = Vec::new();
    for position in 0..positions {
        let at = position * window.stride;
        let first = window.pad.saturating_sub(at).min(taps);
        let inside = first..taps.min((size + window.pad).saturating_sub(at)).max(first);
        match stretches.last_mut().filter(|last| last.inside == inside) {
            Some(last) => last.positions.end += 1,
            None => stretches.push(Stretch { positions: position..position + 1, inside }),
        }
    }
    stretches
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
                let (down, along) = borders.stretches(class);
                let place = row % out.pixels();
                assert!(down.positions.contains(&(place / out.width)), "{window} on {grid}");
                assert!(along.positions.contains(&(place % out.width)), "{window} on {grid}");
                for tap in 0..window.taps() {
                    assert_eq!(borders.inside(class, tap), inside(&tap), "{window} on {grid}");
                }
            }
        }
    }
}
