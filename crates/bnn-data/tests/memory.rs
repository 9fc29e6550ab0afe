//! Memory that fits take, against what they are said to take.
#![allow(clippy::unwrap_used)]

use allocation_counter::measure;
use bnn_data::Images;
use bnn_data::preprocess::{Step, Transform};

#[test]
fn fits_take_what_they_are_said_to_take() {
    let (size, values) = ((24, 24, 1), 576);
    let noise = |at: usize| ((at as u32).wrapping_mul(0x9E37_79B9) >> 24) as u8;
    let pixels = (0..700 * values).map(noise).collect();
    let images = Images::new(size, 2, pixels, vec![0; 700]).unwrap();
    for chain in [&["zca ridge 0.1"][..], &["zca ridge 0.1", "zca ridge 0.1"]] {
        let steps: Vec<Step> = chain.iter().map(|step| step.parse().unwrap()).collect();
        let taken = measure(|| drop(Transform::fit(&steps, &images, 1).unwrap())).bytes_max;
        let said = Transform::fit_bytes(&steps, values);
        assert!(taken <= said && said <= 2 * taken, "{chain:?}: {taken} bytes, said {said}");
    }
    assert_eq!(Transform::fit_bytes(&["lcn".parse().unwrap()], values), 0);
}
