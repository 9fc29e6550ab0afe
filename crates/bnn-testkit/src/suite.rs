//! The whole suite: as tests, one per property, or as one call.

use bnn_core::{BinaryBackend, TrainBackend};

use crate::cases;

/// Checks every property of [`BinaryBackend`], for backends that are found only at run time.
///
/// # Panics
/// At the first property that fails.
pub fn check_inference<B: BinaryBackend>(backend: &B) {
    cases::coding::reals_round_trip(backend);
    cases::coding::codes_round_trip(backend);
    cases::coding::encode(backend);
    cases::coding::encode_stochastic(backend);
    cases::coding::coding_refusals(backend);
    cases::product::product(backend);
    cases::product::product_of_bytes(backend);
    cases::product::product_cut(backend);
    cases::product::product_refusals(backend);
    cases::pool::pool(backend);
    cases::pool::pool_refusals(backend);
    cases::golden::signs(backend);
    cases::golden::dense(backend);
    cases::golden::convolution(backend);
    cases::golden::first_layer(backend);
    cases::golden::bit_planes(backend);
    cases::golden::linear_codes(backend);
}

/// Checks every property of [`TrainBackend`]; those of inference are checked by
/// [`check_inference`].
///
/// # Panics
/// At the first property that fails.
pub fn check_training<B: TrainBackend>(backend: &B) {
    cases::coding::dropout(backend);
    cases::coding::dropout_refusals(backend);
    cases::pool::max_pool(backend);
    cases::pool::max_pool_grad(backend);
    cases::pool::max_pool_refusals(backend);
    cases::gradient::product_grad_input(backend);
    cases::gradient::product_grad_weight(backend);
    cases::gradient::pass_through(backend);
    cases::gradient::loss(backend);
    cases::gradient::gradient_refusals(backend);
    cases::norm::norm_eval(backend);
    cases::norm::norm(backend);
    cases::norm::norm_grad(backend);
    cases::norm::norm_refusals(backend);
    cases::update::update(backend);
    cases::update::update_from_product(backend);
    cases::update::update_refusals(backend);
    cases::golden::product_gradients(backend);
    cases::golden::straight_through(backend);
    cases::golden::max_pool(backend);
    cases::golden::batch_norm(backend);
    cases::golden::shift_norm(backend);
    cases::golden::adam(backend);
    cases::golden::shift_adamax(backend);
    cases::golden::hinge(backend);
    cases::steps::mlp_steps(backend);
    cases::steps::convnet_steps(backend);
}

/// Makes a module `conformance` with one test per property of [`BinaryBackend`].
///
/// The expression is evaluated once per test, where the macro stands; for a second backend in one
/// file, wrap the macro in a module.
///
/// ```
/// bnn_testkit::conformance_tests!(bnn_core::Reference);
/// ```
#[macro_export]
macro_rules! conformance_tests {
    ($backend:expr) => {
        mod conformance {
            use super::*;
            #[test]
            fn reals_round_trip() {
                $crate::cases::coding::reals_round_trip(&$backend);
            }
            #[test]
            fn codes_round_trip() {
                $crate::cases::coding::codes_round_trip(&$backend);
            }
            #[test]
            fn encode() {
                $crate::cases::coding::encode(&$backend);
            }
            #[test]
            fn encode_stochastic() {
                $crate::cases::coding::encode_stochastic(&$backend);
            }
            #[test]
            fn coding_refusals() {
                $crate::cases::coding::coding_refusals(&$backend);
            }
            #[test]
            fn product() {
                $crate::cases::product::product(&$backend);
            }
            #[test]
            fn product_of_bytes() {
                $crate::cases::product::product_of_bytes(&$backend);
            }
            #[test]
            fn product_cut() {
                $crate::cases::product::product_cut(&$backend);
            }
            #[test]
            fn product_refusals() {
                $crate::cases::product::product_refusals(&$backend);
            }
            #[test]
            fn pool() {
                $crate::cases::pool::pool(&$backend);
            }
            #[test]
            fn pool_refusals() {
                $crate::cases::pool::pool_refusals(&$backend);
            }
            #[test]
            fn golden_signs() {
                $crate::cases::golden::signs(&$backend);
            }
            #[test]
            fn golden_dense() {
                $crate::cases::golden::dense(&$backend);
            }
            #[test]
            fn golden_convolution() {
                $crate::cases::golden::convolution(&$backend);
            }
            #[test]
            fn golden_first_layer() {
                $crate::cases::golden::first_layer(&$backend);
            }
            #[test]
            fn bit_planes() {
                $crate::cases::golden::bit_planes(&$backend);
            }
            #[test]
            fn linear_codes() {
                $crate::cases::golden::linear_codes(&$backend);
            }
        }
    };
}

/// Makes a module `training_conformance` with one test per property of [`TrainBackend`].
///
/// The expression is evaluated as in [`conformance_tests!`](crate::conformance_tests).
///
/// ```
/// bnn_testkit::training_conformance_tests!(bnn_core::Reference);
/// ```
#[macro_export]
macro_rules! training_conformance_tests {
    ($backend:expr) => {
        mod training_conformance {
            use super::*;
            #[test]
            fn dropout() {
                $crate::cases::coding::dropout(&$backend);
            }
            #[test]
            fn dropout_refusals() {
                $crate::cases::coding::dropout_refusals(&$backend);
            }
            #[test]
            fn max_pool() {
                $crate::cases::pool::max_pool(&$backend);
            }
            #[test]
            fn max_pool_grad() {
                $crate::cases::pool::max_pool_grad(&$backend);
            }
            #[test]
            fn max_pool_refusals() {
                $crate::cases::pool::max_pool_refusals(&$backend);
            }
            #[test]
            fn product_grad_input() {
                $crate::cases::gradient::product_grad_input(&$backend);
            }
            #[test]
            fn product_grad_weight() {
                $crate::cases::gradient::product_grad_weight(&$backend);
            }
            #[test]
            fn pass_through() {
                $crate::cases::gradient::pass_through(&$backend);
            }
            #[test]
            fn loss() {
                $crate::cases::gradient::loss(&$backend);
            }
            #[test]
            fn gradient_refusals() {
                $crate::cases::gradient::gradient_refusals(&$backend);
            }
            #[test]
            fn norm_eval() {
                $crate::cases::norm::norm_eval(&$backend);
            }
            #[test]
            fn norm() {
                $crate::cases::norm::norm(&$backend);
            }
            #[test]
            fn norm_grad() {
                $crate::cases::norm::norm_grad(&$backend);
            }
            #[test]
            fn norm_refusals() {
                $crate::cases::norm::norm_refusals(&$backend);
            }
            #[test]
            fn update() {
                $crate::cases::update::update(&$backend);
            }
            #[test]
            fn update_from_product() {
                $crate::cases::update::update_from_product(&$backend);
            }
            #[test]
            fn update_refusals() {
                $crate::cases::update::update_refusals(&$backend);
            }
            #[test]
            fn golden_product_gradients() {
                $crate::cases::golden::product_gradients(&$backend);
            }
            #[test]
            fn golden_straight_through() {
                $crate::cases::golden::straight_through(&$backend);
            }
            #[test]
            fn golden_max_pool() {
                $crate::cases::golden::max_pool(&$backend);
            }
            #[test]
            fn golden_batch_norm() {
                $crate::cases::golden::batch_norm(&$backend);
            }
            #[test]
            fn golden_shift_norm() {
                $crate::cases::golden::shift_norm(&$backend);
            }
            #[test]
            fn golden_adam() {
                $crate::cases::golden::adam(&$backend);
            }
            #[test]
            fn golden_shift_adamax() {
                $crate::cases::golden::shift_adamax(&$backend);
            }
            #[test]
            fn golden_hinge() {
                $crate::cases::golden::hinge(&$backend);
            }
            #[test]
            fn mlp_steps() {
                $crate::cases::steps::mlp_steps(&$backend);
            }
            #[test]
            fn convnet_steps() {
                $crate::cases::steps::convnet_steps(&$backend);
            }
        }
    };
}
