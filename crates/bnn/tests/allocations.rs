//! What the CPU asks the system for, once its own memory has been filled: next to nothing.
#![cfg(feature = "cpu")]
#![allow(clippy::unwrap_used)] // in helpers too

use allocation_counter::{AllocationInfo, measure};
use bnn::core::{Clock, Grid, Input, Key, Loss, Session};
use bnn::train::Spec;
use bnn::train::net::Net;
use bnn_cpu::Cpu;
use ndarray::{Array2, s};

/// The largest number of bytes that may be alive at a time in small pieces, which every layer has some
/// of: what it keeps for the way back, and lists of shapes.
fn little(net: &Net<Cpu>) -> u64 {
    1024 * (1 + net.blocks.len() as u64)
}

const MLP: &str = r#"["dense 256", "dense 256", "dense 10"]"#;
const CONVNET: &str =
    r#"["conv 64 kernel 3 pad 1", "conv 64 kernel 3 pad 1 pool 2", "dense 128", "dense 10"]"#;
/// Long lists of words, and long lines of windows.
const WIDE: &str = r#"["conv 256 kernel 3 pad 1", "conv 512 kernel 3 pad 1 pool 2", "dense 10"]"#;

const IMAGES: usize = 20;

fn net(cpu: &Cpu, blocks: &str, net: &str, input: Input) -> Net<Cpu> {
    let text = format!(
        r#"
        name = "test"
        title = "test"
        data = ["digits"]
        seeds = [0]
        backends = ["cpu"]
        [net]
        blocks = {blocks}
        weights = "sign"
        norm = "theano"
        {net}
        [train]
        epochs = 1
        batch = {IMAGES}
        optimizer = "adam"
        rate = {{ from = 3e-3, to = 3e-4 }}
        loss = "squared-hinge"
        step_scale = "glorot"
        "#
    );
    Net::new(cpu, &Spec::parse("test.toml", &text).unwrap(), input, 10, 0).unwrap()
}

fn images(input: Input) -> Array2<u8> {
    Array2::from_shape_fn((IMAGES, input.bytes()), |(row, col)| (row * 89 + col * 37) as u8)
}

fn step(cpu: &Cpu, net: &mut Net<Cpu>, images: &Array2<u8>, time: u64) -> AllocationInfo {
    let labels: Vec<u8> = (0..IMAGES).map(|image| (image % 10) as u8).collect();
    let batch = net.upload(cpu, images.view(), &labels).unwrap();
    let clock = Clock { step_size: 1e-3, key: Key::new(0, time) };
    measure(|| drop(net.step(cpu, batch, Loss::SquaredHinge, &clock).unwrap()))
}

/// Nets of one thread, so that all is asked for where it is counted.
fn nets(cpu: &Cpu) -> Vec<(Net<Cpu>, Array2<u8>)> {
    let (pixels, colours, strips) = ((28, 28, 1), (16, 16, 3), (2, 120, 3));
    let forms = [
        (MLP, "activations = \"sign\"", pixels),
        (MLP, "activations = \"sign\"\ndropout = { input = 0.2, hidden = 0.5 }", pixels),
        (MLP, "activations = \"stochastic-sign\"", pixels),
        (CONVNET, "activations = \"sign\"", colours),
        (WIDE, "activations = \"sign\"", strips),
    ];
    let net = |(blocks, text, (height, width, channels)): (&str, &str, _)| {
        let input = Input { grid: Grid { height, width }, channels };
        (net(cpu, blocks, text, input), images(input))
    };
    forms.map(net).into()
}

#[test]
fn training_asks_for_no_memory_from_the_third_step_on() {
    let cpu = Cpu::new().with_threads(1).unwrap();
    for (mut net, images) in nets(&cpu) {
        let little = little(&net);
        for time in 1..6 {
            let asked = step(&cpu, &mut net, &images, time);
            if time >= 3 {
                assert!(asked.bytes_max <= little, "step {time}: {asked:?}");
                assert!(asked.bytes_current <= 0, "step {time} keeps memory: {asked:?}");
            }
        }
    }
}

#[test]
fn sessions_ask_for_little_more_than_their_results() {
    let cpu = Cpu::new().with_threads(1).unwrap();
    for (net, images) in nets(&cpu) {
        let classes = (0..10).map(|class| class.to_string()).collect();
        let frozen = net.freeze(&cpu, classes).unwrap();
        let session = Session::new(&cpu, &frozen).unwrap();
        let call = |count| drop(session.scores(images.slice(s![..count, ..])).unwrap());
        [IMAGES, 1, IMAGES, 1].into_iter().for_each(call); // fill the memory, and the lists of what is free
        for count in [IMAGES, 1, IMAGES] {
            let asked = measure(|| call(count));
            assert!(asked.bytes_max <= little(&net), "{count} images: {asked:?}");
            assert_eq!(asked.bytes_current, 0, "{count} images: {asked:?}");
        }
    }
}
