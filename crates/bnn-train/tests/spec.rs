//! What a spec file may and may not say.
#![allow(clippy::unwrap_used)] // in helpers too

use bnn_train::Spec;

const GOOD: &str = r#"
name = "mlp"
title = "an MLP"
data = ["digits"]
seeds = [0, 1]
backends = ["cpu"]

[net]
blocks = ["dense 64", "dense 10"]
weights = "sign"
activations = "sign"
norm = "theano"

[train]
epochs = 3
batch = 100
optimizer = "adam"
rate = { from = 3e-3, to = 3e-4 }
loss = "squared-hinge"
step_scale = "glorot"

[expect]
test_error = { at_most = 0.1, paper = 0.05 }

[tier.smoke]
seeds = [0]
train = { epochs = 1, rate = { from = 1e-2 } }
"#;

#[test]
fn tiers_override_the_base() {
    let spec = Spec::parse("mlp.toml", GOOD).unwrap();
    let smoke = spec.tier("smoke").unwrap().unwrap();
    assert_eq!((smoke.train.epochs, smoke.seeds.as_slice()), (1, [0].as_slice()));
    assert_eq!(smoke.train.rate.to, None, "a rate is replaced whole");
    assert_eq!((smoke.train.batch, smoke.net.clone()), (100, spec.net.clone()));
    assert!(spec.tier("paper").unwrap().is_none());
    let text = smoke.to_toml().unwrap();
    assert_eq!(Spec::parse("again", &text).unwrap(), smoke);
}

#[test]
fn faults_are_named() {
    let cases = [
        ("batch = 100", "batch = 100\nbacth = 1", "unknown field `bacth`"),
        ("epochs = 3", "epochs = 0", "mlp.toml: train.epochs: must be at least 1"),
        ("epochs = 3", "epochs = 3\nstop_after = 4", "train.stop_after: lies behind epoch 3"),
        ("to = 3e-4", "to = 3e-4, halve_every = 2", "`to` and `halve_every` exclude each other"),
        (
            "from = 3e-3",
            "from = nan",
            "mlp.toml: train.rate.from: a rate of NaN makes no steps in f32",
        ),
        ("from = 3e-3", "from = 1e-320", "train.rate.from: a rate of 1e-320 makes no steps in f32"),
        ("from = 3e-3", "from = 5e-38", "train.rate.from: a rate of 5e-38 makes no steps in f32"),
        ("from = 3e-3", "from = 1e300", "train.rate.from: a rate of 1e300 makes no steps in f32"),
        ("from = 3e-3", "from = -1", "train.rate.from: a rate of -1e0 makes no steps"),
        ("to = 3e-4", "to = 1e-320", "train.rate.to: a rate of 1e-320 makes no steps in f32"),
        ("to = 3e-4", "to = inf", "train.rate.to: a rate of inf makes no steps in f32"),
        ("to = 3e-4", "halve_every = 0", "train.rate.halve_every: must be at least 1"),
        (
            "epochs = 3\nbatch = 100\noptimizer = \"adam\"\nrate = { from = 3e-3, to = 3e-4 }",
            "epochs = 200\nbatch = 100\noptimizer = \"adam\"\nrate = { from = 3e-3, halve_every = 1 }",
            "train.rate.halve_every: in epoch 200, a rate of",
        ),
        (
            "norm = \"theano\"",
            "norm = \"theano\"\ndropout = { input = 1e-320 }",
            "dropping 1e-320 of",
        ),
        ("norm = \"theano\"", "norm = \"theano\"\ndropout = { hidden = 1e-9 }", "dropping 1e-9"),
        (
            "norm = \"theano\"",
            "norm = \"theano\"\ndropout = { hidden = 0.99999999999 }",
            "not in [0, 1)",
        ),
        (
            "norm = \"theano\"",
            "norm = \"theano\"\ndropout = { hidden = nan }",
            "NaN is not in [0, 1)",
        ),
        (
            "seeds = [0]\ntrain",
            "net = { dropout = { input = 1e-320 } }\ntrain",
            "[tier.smoke]: overrides: dropping 1e-320",
        ),
        (r#"weights = "sign""#, r#"weights = "ternary 1e-320""#, "`ternary 1e-320`"),
        (
            r#"weights = "sign""#,
            r#"weights = "ternary 1.5""#,
            "net.weights: `ternary 1.5` makes every",
        ),
        ("at_most = 0.1", "at_most = inf", "mlp.toml: expect.test_error.at_most: inf cannot be"),
        ("at_most = 0.1", "at_most = 10", "expect.test_error.at_most: 10 cannot be; want a share"),
        ("at_most = 0.1", "at_least = -0.1", "expect.test_error.at_least: -0.1 cannot be"),
        (
            "paper = 0.05",
            "paper = nan",
            "expect.test_error.paper: NaN cannot be; want a share from",
        ),
        (
            "test_error = { at_most = 0.1",
            "train_loss = { at_most = nan",
            "expect.train_loss.at_most: NaN",
        ),
        ("batch = 100", "batch = 18446744073709551616", "line 16"),
        ("batch = 100", "batch = -1", "line 16"),
        ("seeds = [0, 1]", "seeds = [-1]", "line 5"),
        (r#""dense 64","#, r#""dense 0","#, "`dense 0` is no layer"),
        (r#""dense 10"]"#, r#""conv 10 kernel 3"]"#, "a convolution cannot follow a dense layer"),
        (r#"weights = "sign""#, r#"weights = "tanh""#, "`tanh` is no quantizer"),
        (
            r#"weights = "sign""#,
            r#"weights = "stochastic-sign""#,
            "mlp.toml: net.weights: `stochastic-sign` is for activations: want `sign`, `ternary DELTA`",
        ),
        (r#"weights = "sign""#, r#"weights = "relu""#, "weights may also be `real`"),
        (
            r#"activations = "sign""#,
            r#"activations = "real""#,
            "activations may also be real: `hard-tanh` or `relu`",
        ),
        (
            r#"activations = "sign""#,
            "activations = \"relu\"\ndropout = { hidden = 0.5 }",
            "mlp.toml: net.dropout.hidden: real activations, `relu`, have no dropout; want 0, or a quantizer",
        ),
        ("norm = \"theano\"", "norm = \"theano\"\ndropout = { hidden = 1.0 }", "is not in [0, 1)"),
        ("at_most = 0.1", "at_most = 0.1, at_least = 0.2", "at_least exceeds at_most"),
        ("test_error =", "test_eror =", "unknown variant `test_eror`"),
        ("train = { epochs = 1,", "train = { epochs = 0,", "mlp.toml, [tier.smoke]: train.epochs"),
        ("train = { epochs = 1,", "train = { epoch = 1,", "[tier.smoke]"),
        ("data = [\"digits\"]", "data = []", "data: must not be empty"),
        ("[net]", "[net", "mlp.toml: TOML parse error at line 8"),
    ];
    for (good, bad, why) in cases {
        assert!(GOOD.contains(good), "{good}");
        let error = Spec::parse("mlp.toml", &GOOD.replace(good, bad)).unwrap_err().to_string();
        assert!(error.contains(why), "{bad}: {error}");
    }
}

#[test]
fn float_baselines_round_trip_through_text() {
    for (weights, activations) in [("real", "hard-tanh"), ("sign", "relu"), ("real", "levels 2")] {
        let text = GOOD.replace("weights = \"sign\"", &format!("weights = \"{weights}\""));
        let text =
            text.replace("activations = \"sign\"", &format!("activations = \"{activations}\""));
        let spec = Spec::parse("mlp.toml", &text).unwrap();
        let again = spec.to_toml().unwrap();
        for line in [format!("weights = \"{weights}\""), format!("activations = \"{activations}\"")]
        {
            assert!(again.contains(&line), "{again}");
        }
        assert_eq!(Spec::parse("again", &again).unwrap().net, spec.net);
    }
}
