//! Times steps of training on libtorch: `steps [cuda | cpu | gathered] [STEPS]`.
//!
//! Every network takes four batches of noise in turn, copied to the device as in training, and the
//! time ends when the last loss has been read back. The first steps, in which libtorch chooses
//! kernels, do not count.

#[cfg(feature = "tch")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    steps::main()
}

#[cfg(not(feature = "tch"))]
fn main() {
    eprintln!("error: built without libtorch; run it with `--features tch`");
    std::process::exit(1);
}

#[cfg(feature = "tch")]
mod steps {
    use std::error::Error;
    use std::time::Instant;

    use bnn_core::{BinaryBackend, Clock, Grid, Input, Key};
    use bnn_tch::Tch;
    use bnn_train::Spec;
    use bnn_train::net::Net;
    use ndarray::Array2;

    /// Networks of the paper: name, blocks, dropout, images, and how many make a batch.
    const NETWORKS: [(&str, &str, &str, Input, usize); 2] = [
        (
            "MNIST MLP 3x4096",
            r#"["dense 4096", "dense 4096", "dense 4096", "dense 10"]"#,
            "input = 0.2, hidden = 0.5",
            Input { grid: Grid { height: 28, width: 28 }, channels: 1 },
            100,
        ),
        (
            "CIFAR-10 ConvNet",
            r#"["conv 128 kernel 3 pad 1", "conv 128 kernel 3 pad 1 pool 2",
                "conv 256 kernel 3 pad 1", "conv 256 kernel 3 pad 1 pool 2",
                "conv 512 kernel 3 pad 1", "conv 512 kernel 3 pad 1 pool 2",
                "dense 1024", "dense 1024", "dense 10"]"#,
            "",
            Input { grid: Grid { height: 32, width: 32 }, channels: 3 },
            50,
        ),
    ];

    pub fn main() -> Result<(), Box<dyn Error>> {
        let mut args = std::env::args().skip(1);
        let tch = match args.next().as_deref() {
            Some("cuda") => Tch::cuda()?,
            Some("cpu") | None => Tch::cpu(),
            Some("gathered") => Tch::cpu_as_gpu(),
            Some(other) => return Err(format!("`{other}` is not cuda, cpu or gathered").into()),
        };
        let steps = args.next().map_or(Ok(200), |text| text.parse())?;
        for (name, blocks, dropout, input, batch) in NETWORKS {
            let spec = spec(blocks, dropout, batch)?;
            let seconds = time(&tch, &spec, input, steps)?;
            let each = 1e3 * seconds / steps as f64;
            println!("{name}, {batch} images a step, on {}: {each:.3} ms", tch.name());
        }
        Ok(())
    }

    fn spec(blocks: &str, dropout: &str, batch: usize) -> Result<Spec, Box<dyn Error>> {
        let text = format!(
            r#"
            name = "steps"
            title = "Steps"
            data = ["digits"]
            seeds = [0]
            backends = ["tch"]
            [net]
            blocks = {blocks}
            weights = "sign"
            activations = "sign"
            norm = "theano"
            dropout = {{ {dropout} }}
            [train]
            epochs = 1
            batch = {batch}
            optimizer = "adam"
            rate = {{ from = 1e-3, to = 1e-4 }}
            loss = "squared-hinge"
            step_scale = "glorot"
            "#
        );
        Ok(Spec::parse("steps", &text)?)
    }

    /// Seconds for so many steps.
    fn time(tch: &Tch, spec: &Spec, input: Input, steps: u64) -> Result<f64, Box<dyn Error>> {
        let mut net = Net::new(tch, spec, input, 10, 1)?;
        let batches = [0, 1, 2, 3].map(|step| noise(input, spec.train.batch, Key::new(2, step)));
        let mut last = None;
        let mut start = Instant::now();
        let warm = steps.div_ceil(10);
        for (step, (images, labels)) in (0..warm + steps).zip(batches.iter().cycle()) {
            if step == warm {
                read(tch, last.take())?;
                start = Instant::now();
            }
            let batch = net.upload(tch, images.view(), labels)?;
            let clock = Clock { step_size: 1e-3, key: Key::new(1, step) };
            last = Some(net.step(tch, batch, spec.train.loss, &clock)?.loss);
        }
        read(tch, last)?;
        Ok(start.elapsed().as_secs_f64())
    }

    /// Waits for a loss, which must be a number.
    fn read(tch: &Tch, loss: Option<bnn_tch::Real>) -> Result<(), Box<dyn Error>> {
        let Some(loss) = loss else { return Ok(()) };
        let loss = tch.get(&loss)?[[0, 0]];
        if loss.is_finite() { Ok(()) } else { Err(format!("the loss became {loss}").into()) }
    }

    /// Bytes of images and their labels.
    fn noise(input: Input, batch: usize, key: Key) -> (Array2<u8>, Vec<u8>) {
        let bytes = input.bytes();
        let byte = |(row, col)| key.word((row * bytes + col) as u32) as u8;
        let label = |image| (key.stream(1).word(image) % 10) as u8;
        (Array2::from_shape_fn((batch, bytes), byte), (0..batch as u32).map(label).collect())
    }
}
