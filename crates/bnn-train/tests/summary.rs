//! The numbers of a network, against numbers computed by hand from the paper's architectures.
#![allow(clippy::unwrap_used)] // in helpers too

use bnn_core::{Grid, Input, Reference};
use bnn_data::Digits;
use bnn_train::cost::{Traffic, costs};
use bnn_train::summary::check_model;
use bnn_train::{Options, Spec, Summary, run};

fn spec(blocks: &str, weights: &str, activations: &str) -> Spec {
    let text = format!(
        r#"
        name = "test"
        title = "test"
        data = ["digits"]
        seeds = [0]
        backends = ["reference"]
        [net]
        blocks = [{blocks}]
        weights = "{weights}"
        activations = "{activations}"
        norm = "theano"
        [train]
        epochs = 1
        batch = 10
        optimizer = "adam"
        rate = {{ from = 3e-3 }}
        loss = "squared-hinge"
        step_scale = "glorot"
        "#
    );
    Spec::parse("test.toml", &text).unwrap()
}

fn summary(blocks: &str, side: usize, channels: usize) -> Summary {
    let input = Input { grid: Grid { height: side, width: side }, channels };
    let classes = (0..10).map(|class: usize| class.to_string()).collect();
    Summary::new(&spec(blocks, "sign", "sign"), input, classes).unwrap()
}

const MLP: &str = r#""dense 4096", "dense 4096", "dense 4096", "dense 10""#;
const CONVNET: &str = r#"
    "conv 128 kernel 3 pad 1", "conv 128 kernel 3 pad 1 pool 2",
    "conv 256 kernel 3 pad 1", "conv 256 kernel 3 pad 1 pool 2",
    "conv 512 kernel 3 pad 1", "conv 512 kernel 3 pad 1 pool 2",
    "dense 1024", "dense 1024", "dense 10""#;

#[test]
fn what_no_model_file_may_be_is_refused_before_it_is_trained() {
    let refused = |blocks: &str, side: usize, class: &str| {
        let input = Input { grid: Grid { height: side, width: side }, channels: 1 };
        let classes = (0..10).map(|number| format!("{class}{number}")).collect();
        let spec = spec(blocks, "sign", "sign");
        check_model(&spec, input, classes).unwrap_err().to_string()
    };
    // Sums of 2^30 bytes, and a code beside them.
    let wide = refused(r#""conv 256 kernel 3 pad 1 pool 64", "dense 10""#, 1024, "");
    assert!(wide.contains("hidden.0") && wide.contains("more than 2^30 bytes per image"), "{wide}");
    let turned = refused(MLP, 28, "ant\u{200f}");
    assert!(turned.contains("characters that control a terminal"), "{turned}");
}

#[test]
fn the_mnist_mlp_has_the_papers_numbers() {
    let mlp = summary(MLP, 28, 1);
    assert_eq!(mlp.total.weights, 36_806_656); // 784 * 4096 + 2 * 4096^2 + 4096 * 10
    assert_eq!(mlp.total.f32_bytes, 4 * 36_806_656);
    // A row of 784 bits takes 13 words; all others fill theirs: 36,806,656 / 8 + 4096 * 6.
    assert_eq!(mlp.total.packed_bytes, 4_600_832 + 24_576);
    assert_eq!(mlp.norm_channels, 12_298);
    assert_eq!(mlp.total.by_operands["byte x binary"], 784 * 4096);
    assert_eq!(mlp.total.by_operands["binary x binary"], 36_806_656 - 784 * 4096);
    assert!(mlp.layers.iter().all(|layer| layer.is_dense() && layer.weight_bits == 1));
    assert_eq!(mlp.layers.iter().map(|layer| layer.input_bits).collect::<Vec<_>>(), [8, 1, 1, 1]);
}

#[test]
fn the_cifar_convnet_has_the_papers_numbers() {
    let net = summary(CONVNET, 32, 3);
    assert_eq!(net.total.weights, 14_022_016);
    assert_eq!(net.norm_channels, 3_850);
    assert_eq!(net.total.multiply_accumulates, 616_966_144);
    assert_eq!(net.total.by_operands["byte x binary"], 32 * 32 * 27 * 128);
    let sides: Vec<_> = net.layers.iter().map(|layer| layer.grid.height).collect();
    assert_eq!(sides, [32, 16, 16, 8, 8, 4, 1, 1, 1]);
    let dense: Vec<_> = net.layers.iter().map(|layer| layer.is_dense()).collect();
    assert_eq!(dense, [false, false, false, false, false, false, true, true, true]);
    assert_eq!(net.layers[6].inputs, 8192);
}

#[test]
fn memory_is_the_formulas() {
    // Convolution: 8 x 8 sums of 4 channels, 4 x 4 behind the pool; dense: 64 inputs, 10 sums.
    let net = summary(r#""conv 4 kernel 3 pad 1 pool 2", "dense 10""#, 8, 1);
    let (weights, channels) = (4 * 9 + 10 * 64, 14);
    assert_eq!(net.memory.weights, 4 * weights + 8 * (4 + 10));
    assert_eq!(net.memory.optimizer, 8 * (weights + 2 * channels));
    assert_eq!(net.memory.norms, 16 * channels);
    assert_eq!(net.memory.checkpoint, 2 * 4 * (3 * (weights + 2 * channels) + 2 * channels));
    let convolution = 64 + 3 * 4 * 64; // 64 bytes of pixels; sums, normalized sums and taps
    let dense = 64 / 8 + 2 * 4 * 10; // 64 bits of activations; sums and normalized sums
    let largest = 2 * 4 * 8 * 8 * 4; // the convolution's product and its gradient
    assert_eq!(net.memory.activations, 10 * (convolution + dense + largest));
}

#[test]
fn whitenings_are_kept_while_training_lasts() {
    let memory = |chain: &str| {
        let text = format!("preprocess = {chain}\n[net]");
        let spec = spec(r#""dense 10""#, "sign", "sign").to_toml().unwrap().replace("[net]", &text);
        let spec = Spec::parse("white.toml", &spec).unwrap();
        let input = Input { grid: Grid { height: 8, width: 8 }, channels: 1 };
        Summary::new(&spec, input, vec![String::new(); 10]).unwrap().memory
    };
    let (plain, local) = (memory(r#"["linear"]"#), memory(r#"["lcn"]"#));
    let white = memory(r#"["gcn bias 10", "zca ridge 1e-2"]"#);
    assert_eq!((plain.whitenings, local.whitenings), (0, 0));
    assert_eq!(white.whitenings, 4 * (64 + 64 * 64)); // a mean and a matrix
    assert_eq!(white.total(), plain.total() + white.whitenings);
}

#[test]
fn the_size_of_the_model_is_exact() {
    let digits = Digits { train: 20, validation: 10, test: 10, seed: 0 }.draw();
    for (blocks, weights, activations) in [
        (r#""dense 70", "dense 10""#, "sign", "stochastic-sign"),
        (r#""conv 3 kernel 5 stride 2 pool 3", "dense 65", "dense 10""#, "sign", "sign"),
        (r#""dense 20", "dense 10""#, "ternary 0.5", "levels 3"),
    ] {
        let spec = spec(blocks, weights, activations);
        let summary = Summary::new(&spec, bnn_train::run::input(&digits), digits.class_names());
        let outcome = run(&Reference, &spec, &digits, 0, &Options::default(), &mut ()).unwrap();
        assert_eq!(
            summary.unwrap().model_bytes,
            outcome.model.map(|model| model.len()),
            "{blocks}"
        );
    }
}

#[test]
fn bits_beyond_one_are_counted() {
    let input = Input { grid: Grid { height: 1, width: 100 }, channels: 1 };
    let spec = spec(r#""dense 8", "dense 3""#, "ternary 0.5", "levels 3");
    let classes = ["a", "b", "c"].map(String::from).into();
    let net = Summary::new(&spec, input, classes).unwrap();
    let operands: Vec<_> = net.layers.iter().map(|layer| layer.operands.as_str()).collect();
    assert_eq!(operands, ["byte x 2-bit", "3-bit x 2-bit"]);
    assert_eq!(net.layers[0].packed_bytes, 2 * 8 * 16);
    assert_eq!(net.total.multiply_accumulates, 8 * 100 + 3 * 8);
    assert_eq!(net.layers[1].sum_bound, Some(8 * 7 * 2));
}

#[test]
fn reals_are_counted_and_have_no_model() {
    let input = Input { grid: Grid { height: 1, width: 100 }, channels: 1 };
    let classes: Vec<String> = ["a", "b", "c"].map(String::from).into();
    let of = |weights: &str, activations: &str| {
        let spec = spec(r#""dense 8", "dense 3""#, weights, activations);
        Summary::new(&spec, input, classes.clone()).unwrap()
    };
    let operands =
        |net: &Summary| net.layers.iter().map(|l| l.operands.clone()).collect::<Vec<_>>();
    let float = of("real", "relu");
    assert_eq!(operands(&float), ["byte x f32", "f32 x f32"]);
    assert_eq!((float.model_bytes, float.layers[1].sum_bound), (None, None));
    assert_eq!(float.total.packed_bytes, float.total.f32_bytes);
    assert_eq!(float.memory.weights, 4 * (8 * 100 + 3 * 8)); // no code besides
    let connect = of("sign", "relu");
    assert_eq!(operands(&connect), ["byte x binary", "f32 x binary"]);
    assert_eq!((connect.model_bytes, connect.layers[0].sum_bound), (None, Some(255 * 100)));
    let codes = 8 * (8 * 2 + 3); // words of 64 signs
    assert_eq!(connect.memory.weights, 4 * (8 * 100 + 3 * 8) + codes);
    // One image: bytes and f32 of the inputs; sums and normalized sums; the largest product, twice.
    assert_eq!(connect.memory.activations, 10 * (100 + 32 + 8 * (8 + 3) + 8 * 8));
}

#[test]
fn every_weight_and_activation_crosses_once() {
    let mlp = costs(&summary(MLP, 28, 1).layers);
    let traffic = |weights, read, written| Traffic { weights, read, written };
    assert_eq!(mlp[0].bit_products, Some(8 * 784 * 4096));
    assert_eq!(mlp[0].own, traffic(784 * 4096, 8 * 784, 4096));
    assert_eq!(mlp[3].own, traffic(40_960, 4096, 32 * 10));
    assert_eq!(mlp[3].int8, traffic(8 * 40_960, 8 * 4096, 32 * 10));
    assert_eq!(mlp[1].f32, traffic(32 * 4096 * 4096, 32 * 4096, 32 * 4096));
    // A window reads a pixel nine times, memory gives it once; the pool writes a quarter.
    let convnet = costs(&summary(CONVNET, 32, 3).layers);
    assert_eq!(convnet[0].multiply_adds, 32 * 32 * 27 * 128);
    assert_eq!(convnet[0].own, traffic(27 * 128, 8 * 32 * 32 * 3, 32 * 32 * 128));
    assert_eq!(convnet[1].own, traffic(9 * 128 * 128, 32 * 32 * 128, 16 * 16 * 128));
    assert_eq!(convnet[6].own, traffic(16 * 512 * 1024, 16 * 512, 1024));
}

#[test]
fn reals_have_no_products_of_bits() {
    let input = Input { grid: Grid { height: 28, width: 28 }, channels: 1 };
    let classes = vec![String::new(); 10];
    let spec = spec(r#""dense 32", "dense 10""#, "real", "relu");
    let spec = Spec::parse("test.toml", &spec.to_toml().unwrap().replace("glorot", "none"));
    let layers = Summary::new(&spec.unwrap(), input, classes).unwrap().layers;
    for layer in &costs(&layers)[1..] {
        assert_eq!((layer.bit_products, layer.own), (None, layer.f32));
    }
}

/// What 2^32 weights a layer come to is counted, in no more memory than their names take.
#[test]
fn networks_of_any_size_are_counted_and_not_built() {
    let wide = r#""dense 65535", "dense 65535", "dense 65535", "dense 65535", "dense 10""#;
    let net = summary(wide, 28, 1);
    assert_eq!(net.total.weights, 784 * 65_535 + 3 * 65_535 * 65_535 + 10 * 65_535);
    let packed = 8 * 65_535 * (13 + 3 * 1024) + 8 * 10 * 1024;
    assert_eq!(net.total.packed_bytes, packed);
    let cuts = 4 * 4 * 65_535;
    let file = net.model_bytes.unwrap();
    assert!((packed + cuts..packed + cuts + 4096).contains(&file), "{file}");
    assert!(net.memory.total() > 12 * net.total.weights as u64);
}

#[test]
fn counts_stay_at_the_end_of_64_bits() {
    let input = Input { grid: Grid { height: 1 << 20, width: 1 << 20 }, channels: 1 };
    let mut spec =
        spec(r#""conv 16000000 kernel 3 pad 1 pool 1048576", "dense 10""#, "sign", "sign");
    spec.train.batch = usize::MAX / 2;
    let classes = vec![String::new(); 10];
    let net = Summary::new(&spec, input, classes.clone()).unwrap();
    assert_eq!(net.total.multiply_accumulates, u64::MAX);
    assert_eq!((net.memory.activations, net.memory.total()), (u64::MAX, u64::MAX));
    assert_eq!(costs(&net.layers)[0].f32.weights, 32 * 9 * 16_000_000);
    for grid in [Grid { height: usize::MAX, width: 9 }, Grid { height: 0, width: 9 }] {
        let error = Summary::new(&spec, Input { grid, channels: 1 }, classes.clone()).unwrap_err();
        let error = error.to_string();
        assert!(
            error.starts_with("images: ") && error.ends_with("is no size of an image"),
            "{error}"
        );
    }
}
