//! What the conformance suite does not ask: it is held against the definitions here.
#![cfg(feature = "tch")]

mod edges;
mod float;

/// libtorch on the processor, there by the means of GPUs, and on a GPU where there is one.
fn everywhere() -> Vec<bnn_tch::Tch> {
    let gpu =
        bnn_tch::Tch::cuda().map_err(|error| bnn_testkit::skipped("tch:cuda", &error.to_string()));
    [bnn_tch::Tch::cpu(), bnn_tch::Tch::cpu_as_gpu()].into_iter().chain(gpu).collect()
}
